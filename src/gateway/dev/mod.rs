//! `tollgate dev`: everything on one machine without any setup, for trials, development and tests.
//!
//! It runs a private Postgres in the data folder (or uses an existing database), with the schema, prices and two demo
//! organizations with credits. It also runs a token issuer and a mock provider. The gateway is the production one: it
//! logs in as `tollgate_login` and verifies tokens against the issuer's keys. In memory there is no Postgres: the same
//! gateway keeps everything in its process.

mod place;
mod seed;
mod summary;

use std::{io, net::SocketAddr, path::PathBuf};

use http::Uri;
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub(crate) use self::place::running_database;
use self::place::{DataDir, Kept, Mark};
pub use self::summary::{Organization, Summary, Tokens};
use super::{
    Gateway, StartError, Stores,
    config::{Config, ConfigError, Databases, Identity, Server, Settings},
    database::{self, DatabaseError},
    issuer::{DevIssuer, IssuerError, JWKS_PATH, TOKEN_PATH},
    server::{ListenError, Stopped, listen},
};
use crate::{
    domain::dialect::Dialect,
    postgres::cluster::{Cluster, ClusterError, Options},
    provider::{
        mock::{self, MockProvider},
        upstream::{SecretRef, UpstreamConfig},
    },
    store::StoreError,
};

const AUDIENCE: &str = "tollgate";
const LOCALHOST: [u8; 4] = [127, 0, 0, 1];
/// The private cluster's database.
const DATABASE: &str = "postgres";

/// How a development gateway is set up.
#[derive(Clone, Debug)]
pub struct DevOptions {
    /// Where the gateway listens; port 0 picks a free port.
    pub listen: SocketAddr,
    /// The data folder.
    pub data_dir: PathBuf,
    /// A provider instead of the mock.
    pub upstream: Option<String>,
    /// A database instead of the private one, as its administrator.
    pub database_url: Option<String>,
    /// No database and no data folder: everything is in this process's memory and lost at its end.
    pub in_memory: bool,
    /// Whether `listen` may be an address beyond this machine. `/dev/token` is then closed.
    pub expose: bool,
}

impl DevOptions {
    /// Adds `/dev/token`, unless others could ask it.
    fn with_tokens(&self, gateway: Gateway, url: &str) -> Result<Gateway, DevError> {
        Ok(if self.listen.ip().is_loopback() {
            gateway.with_dev_tokens(url.parse::<Uri>()?)
        } else {
            gateway
        })
    }
}

/// The development gateway cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DevError {
    /// The gateway's address is taken, or is not one of this machine.
    #[error("{0}. Choose another with --listen, for example --listen 127.0.0.1:0 for a free port")]
    Listen(#[from] ListenError),
    /// Others could reach it.
    #[error(
        "--listen {0} can be reached from other machines, and a development gateway has known organizations and the keys of its providers. Choose an address such as 127.0.0.1:8080, or add --expose"
    )]
    Exposed(SocketAddr),
    /// The data folder cannot be used.
    #[error("the data folder {} cannot be used: {source}. Choose another with --data-dir", path.display())]
    DataDir {
        /// Which folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The private Postgres does not start.
    #[error("{}{}", .0, without_postgres(.0))]
    Cluster(#[from] ClusterError),
    /// The database cannot be used.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The issuer does not start.
    #[error("the dev issuer cannot start: {0}")]
    Issuer(#[from] IssuerError),
    /// An address is not a valid URL.
    #[error("not an address: {0}")]
    Address(#[from] http::uri::InvalidUri),
    /// An option has a value that a gateway cannot use.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The gateway itself does not start.
    #[error(transparent)]
    Gateway(#[from] StartError),
    /// The organizations of a gateway in memory cannot be made.
    #[error("the demo organizations cannot be made: {0}")]
    Memory(#[source] StoreError),
}

/// A further hint, if no Postgres server is installed.
const fn without_postgres(error: &ClusterError) -> &'static str {
    if matches!(error, ClusterError::NoServer | ClusterError::NoServerAt(_)) {
        ". To try the gateway without Postgres: tollgate dev --in-memory"
    } else {
        ""
    }
}

/// A development gateway that is ready to run.
#[derive(Debug)]
pub struct Dev {
    gateway: Gateway,
    listener: TcpListener,
    summary: Summary,
    cluster: Option<Cluster>,
    beside: TaskTracker,
    ending: CancellationToken,
    _mark: Option<Mark>,
}

impl Dev {
    /// Starts everything except the gateway, which [`run`](Self::run) serves. Dropping the future leaves nothing
    /// running.
    pub async fn start(options: &DevOptions) -> Result<Self, DevError> {
        if !options.listen.ip().is_loopback() && !options.expose {
            return Err(DevError::Exposed(options.listen));
        }
        // Listen first: a port in use is the most frequent error.
        let listener = listen(options.listen).await?;
        if options.in_memory {
            return Self::start_in_memory(listener, options).await;
        }
        let unusable = |source| DevError::DataDir { path: options.data_dir.clone(), source };
        let place = DataDir::open(&options.data_dir).map_err(unusable)?;
        let cluster = match options.database_url {
            Some(_) => None,
            None => Some(Cluster::start(place.path(), Options::default()).await?),
        };
        let admin_url = match (&options.database_url, &cluster) {
            (Some(url), _) => url.clone(),
            (None, Some(cluster)) => cluster.url(DATABASE),
            (None, None) => String::new(),
        };
        let mut kept = place.kept().map_err(unusable)?;
        seed::database(&admin_url, &kept.organizations).await?;

        let (beside, ending) = (TaskTracker::new(), CancellationToken::new());
        let guard = ending.clone().drop_guard();
        let (issuer, issuer_url) = issuer(&place, &mut kept, &beside, &ending).await?;
        place.keep(&kept).map_err(unusable)?;
        let (settings, mock_url) = configured(options, &issuer_url, &beside, &ending).await?;
        let login_url = database::login_url(&admin_url).await?;
        let seal = database::kept_seal(&admin_url).await?;
        let databases = Databases::only(login_url.clone(), seal);
        let stores = database::stores(&databases).await?;
        let token_url = format!("{issuer_url}{TOKEN_PATH}");
        let gateway = Gateway::assemble(settings, stores)
            .await?
            .listening_to(database::listened(&login_url)?);
        let gateway = options.with_tokens(gateway, &token_url)?;

        let address = listener
            .local_addr()
            .map_err(|source| ListenError { address: options.listen, source })?;
        let summary = Summary {
            url: format!("http://{address}"),
            database_url: admin_url,
            jwks_url: format!("{issuer_url}{JWKS_PATH}"),
            issuer: issuer_url,
            token_url,
            mock_url,
            in_memory: false,
            organizations: seed::tokens(&issuer, &kept.organizations)?,
        };
        let mark = place.mark_running(&summary).map_err(unusable)?;
        guard.disarm();
        Ok(Self { gateway, listener, summary, cluster, beside, ending, _mark: Some(mark) })
    }

    /// As [`start`](Self::start), without a database and without files.
    async fn start_in_memory(
        listener: TcpListener,
        options: &DevOptions,
    ) -> Result<Self, DevError> {
        tracing::warn!("{}", summary::IN_MEMORY);
        let organizations = Kept::default().organizations;
        let (beside, ending) = (TaskTracker::new(), CancellationToken::new());
        let guard = ending.clone().drop_guard();
        let at = listen(SocketAddr::from((LOCALHOST, 0))).await?;
        let issuer_url = format!("http://{}", local(&at)?);
        let issuer = DevIssuer::ephemeral(&issuer_url, AUDIENCE)?;
        serve_issuer(&issuer, at, &beside, &ending);
        let (settings, mock_url) = configured(options, &issuer_url, &beside, &ending).await?;
        let ids = organizations.iter().map(|organization| organization.id);
        let stores = Stores::in_memory(seed::memory(&organizations)?, ids);
        let token_url = format!("{issuer_url}{TOKEN_PATH}");
        let gateway = Gateway::assemble(settings, stores).await?;
        let gateway = options.with_tokens(gateway, &token_url)?;
        let summary = Summary {
            url: format!("http://{}", local(&listener)?),
            database_url: String::new(),
            jwks_url: format!("{issuer_url}{JWKS_PATH}"),
            issuer: issuer_url,
            token_url,
            mock_url,
            in_memory: true,
            organizations: seed::tokens(&issuer, &organizations)?,
        };
        guard.disarm();
        Ok(Self { gateway, listener, summary, cluster: None, beside, ending, _mark: None })
    }

    /// The addresses, and the tokens of the demo organizations.
    pub const fn summary(&self) -> &Summary {
        &self.summary
    }

    /// Serves until `stop` is cancelled. Then stops in this order: the gateway, the issuer and the mock, Postgres.
    pub async fn run(self, stop: CancellationToken) -> Result<Stopped, DevError> {
        let stopped = self.gateway.run(self.listener, None, stop).await;
        self.ending.cancel();
        self.beside.close();
        self.beside.wait().await;
        if let Some(cluster) = &self.cluster {
            cluster.stop().await?;
        }
        Ok(stopped)
    }
}

/// Starts the issuer, at the address of the last start if that is free.
async fn issuer(
    place: &DataDir,
    kept: &mut Kept,
    beside: &TaskTracker,
    ending: &CancellationToken,
) -> Result<(DevIssuer, String), DevError> {
    let listener = match listen(SocketAddr::from((LOCALHOST, kept.issuer_port))).await {
        Ok(listener) => listener,
        Err(_) => listen(SocketAddr::from((LOCALHOST, 0))).await?,
    };
    let address = local(&listener)?;
    kept.issuer_port = address.port();
    let url = format!("http://{address}");
    let issuer = DevIssuer::open(&url, AUDIENCE, place.issuer_keys()).await?;
    serve_issuer(&issuer, listener, beside, ending);
    Ok((issuer, url))
}

fn serve_issuer(
    issuer: &DevIssuer,
    listener: TcpListener,
    beside: &TaskTracker,
    ending: &CancellationToken,
) {
    let (serving, ending) = (issuer.clone().serve(listener), ending.clone());
    drop(beside.spawn(async move {
        tokio::select! {
            () = ending.cancelled() => {}
            () = serving => {}
        }
    }));
}

/// The settings, and the mock's address if the mock is the provider. The mock is served from now on.
async fn configured(
    options: &DevOptions,
    issuer_url: &str,
    beside: &TaskTracker,
    ending: &CancellationToken,
) -> Result<(Settings, String), DevError> {
    let mock_url = match options.upstream {
        Some(_) => String::new(),
        None => serve_mock(beside, ending).await?,
    };
    let provider = options.upstream.as_deref().unwrap_or(&mock_url);
    let config = config(options.listen, issuer_url, provider, options.upstream.is_some());
    Ok((config.settings()?, mock_url))
}

async fn serve_mock(beside: &TaskTracker, ending: &CancellationToken) -> Result<String, DevError> {
    let listener = listen(SocketAddr::from((LOCALHOST, 0))).await?;
    let url = format!("http://{}", local(&listener)?);
    let ending = ending.clone();
    drop(beside.spawn(async move {
        if let Err(error) =
            mock::serve(MockProvider::new(), listener, ending.cancelled_owned()).await
        {
            tracing::error!(%error, "the mock provider ended");
        }
    }));
    Ok(url)
}

fn local(listener: &TcpListener) -> Result<SocketAddr, ListenError> {
    listener
        .local_addr()
        .map_err(|source| ListenError { address: SocketAddr::from((LOCALHOST, 0)), source })
}

/// The configuration that an operator would write for this setup.
fn config(listen: SocketAddr, issuer_url: &str, provider: &str, real: bool) -> Config {
    let upstream = |name: &str, dialect, key: &str| UpstreamConfig {
        // The developer who types a plain http address has decided to use it.
        allow_http: real,
        // The key is optional: a provider on this machine may need none, and the mock never does.
        credential: (real && std::env::var_os(key).is_some())
            .then(|| SecretRef::Env(key.to_owned())),
        forward_header_prefixes: vec!["x-mock-".to_owned()],
        ..UpstreamConfig::new(
            &format!("{}{name}", if real { "" } else { "mock-" }),
            dialect,
            provider,
        )
    };
    Config {
        server: Server { listen, ..Server::default() },
        identity: Identity {
            issuer: Some(issuer_url.to_owned()),
            audience: Some(AUDIENCE.to_owned()),
            jwks_url: Some(format!("{issuer_url}{JWKS_PATH}")),
            role_claim: Some("/role".to_owned()),
            team_claim: Some("/team_id".to_owned()),
            key_claim: Some("/key_id".to_owned()),
            ..Identity::default()
        },
        upstream: vec![
            upstream("openai", Dialect::OpenAi, "OPENAI_API_KEY"),
            upstream("anthropic", Dialect::Anthropic, "ANTHROPIC_API_KEY"),
        ],
        ..Config::default()
    }
}
