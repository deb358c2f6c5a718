//! A database, a provider, an issuer, and gateways in front of them.

use std::{
    net::SocketAddr,
    num::NonZeroU32,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use tokio::{
    net::TcpListener,
    runtime::{self, Runtime},
    sync::oneshot,
    task::JoinHandle,
};
use tokio_postgres::config::{Host, TargetSessionAttrs};
use tokio_util::sync::CancellationToken;
use tollgate::{
    domain::{
        credits::Credits,
        dialect::Dialect,
        ids::OrganizationId,
        policy::{AllowList, Policy},
    },
    gateway::{
        Gateway, Stores,
        config::{Config, Credit, Identity, Limits, Server},
        issuer::{DevIssuer, Grant, JWKS_PATH},
        server::Stopped,
    },
    postgres::{
        Operator, Pool, PoolConfig, PostgresStore, Prepared, Schema, Seal,
        cluster::{Cluster, testing},
        migrate,
        sealing::{self, Sealing},
    },
    provider::{
        mock::{self, MockProvider},
        upstream::{SecretRef, UpstreamConfig},
    },
    store::admin::{CreditAdmin, OrganizationAdmin, PolicyAdmin},
    store::coalesce::Options,
};
use uuid::Uuid;

use super::{Answer, Ask, Client, logs, price};

/// What every login of a gateway brings, though the cluster asks for none: no log may show it.
const PASSWORD: &str = "password-of-the-login";

/// The bounds of a gateway under test.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    pub(crate) server: Server,
    pub(crate) connections: usize,
    pub(crate) wait: Duration,
    pub(crate) head_timeout: Duration,
    pub(crate) idle_timeout: Duration,
    pub(crate) prepared: Prepared,
    pub(crate) credit: Credit,
    /// What claims must be sealed with; none is asked for without it.
    pub(crate) seal: Option<Seal>,
    /// Whether gateways listen for changes.
    pub(crate) listens: bool,
    /// Further databases, as their administrator.
    pub(crate) placements: Vec<(String, tokio_postgres::Config)>,
    /// How long calls wait for the end of a move.
    pub(crate) move_wait: Duration,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            server: Server::default(),
            connections: 8,
            // Two cores are shared by all tests: waiting is no fault here.
            wait: Duration::from_secs(30),
            head_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(30),
            prepared: Prepared::Auto,
            credit: Credit::default(),
            seal: None,
            listens: true,
            placements: Vec::new(),
            move_wait: Duration::from_secs(30),
        }
    }
}

impl Setup {
    /// A gateway that soon gives up an answer that is read on without its client, because the provider hangs.
    pub(crate) fn giving_up() -> Self {
        let mut setup = Self::default();
        setup.server.drain_max = Some(Duration::from_millis(500));
        setup
    }
}

/// Everything that one test needs, and nothing that another one has.
pub(crate) struct House {
    pub(crate) operator: Operator,
    /// All places, as the administrator.
    pub(crate) places: PostgresStore,
    pub(crate) mock: MockProvider,
    pub(crate) gateways: Vec<Running>,
    pub(crate) admin: Arc<tokio_postgres::Client>,
    /// Rows of calls that the provider never saw are no fault: clients leave on the way there.
    pub(crate) some_unserved: bool,
    /// Calls without a row are no fault: their gateway died.
    pub(crate) some_lost: bool,
    /// How many gateways share the rates, each with its number: they take turns.
    pub(crate) replicas: NonZeroU32,
    started: AtomicU32,
    pub(crate) setup: Setup,
    /// Where gateways find the database.
    pub(crate) login: tokio_postgres::Config,
    pub(crate) database: tokio_postgres::Config,
    issuer: DevIssuer,
    issuer_url: String,
    /// Where gateways that are started from now on find the provider.
    pub(crate) mock_url: String,
    /// The key that gateways send to the provider.
    key: SecretFile,
    /// The database's address with a password, for those that are programs of their own.
    urls: Mutex<Vec<SecretFile>>,
    closing: CancellationToken,
}

/// A file with a secret, gone with it.
#[derive(Debug)]
struct SecretFile(PathBuf);

impl SecretFile {
    fn new(secret: &str) -> Self {
        let name = format!("tollgate-test-{}.secret", Uuid::new_v4());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, secret).unwrap();
        Self(path)
    }

    /// As a configuration names it.
    fn reference(&self) -> SecretRef {
        SecretRef::File(self.0.clone())
    }
}

impl Drop for SecretFile {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.0));
    }
}

/// A gateway that serves.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) pool: Pool,
    pub(crate) stop: CancellationToken,
    pub(crate) task: JoinHandle<Stopped>,
}

/// An organization and a token of a member of it.
#[derive(Clone, Debug)]
pub(crate) struct Org {
    pub(crate) id: OrganizationId,
    pub(crate) token: String,
}

impl House {
    /// One gateway on a fresh database of this process's cluster.
    pub(crate) async fn open() -> Self {
        Self::with(Setup::default()).await
    }

    pub(crate) async fn with(setup: Setup) -> Self {
        let mut house = Self::unopened(setup).await;
        house.start().await;
        house
    }

    /// All but the gateway, on a fresh database of this process's cluster.
    pub(crate) async fn unopened(setup: Setup) -> Self {
        let database = testing::database().await.unwrap();
        Self::on(database.config(), setup).await
    }

    /// One gateway on a cluster of its own, which the test may stop.
    pub(crate) async fn on_its_own(cluster: &Cluster, setup: Setup) -> Self {
        Self::on_one_of(&[cluster], setup).await
    }

    /// One gateway on whichever of these clusters takes writes.
    pub(crate) async fn on_one_of(clusters: &[&Cluster], setup: Setup) -> Self {
        let mut config = clusters[0].config("postgres");
        for other in &clusters[1..] {
            config.host_path(other.socket_dir());
            config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        }
        migrate::run(&config).await.unwrap();
        let mut house = Self::on(config, setup).await;
        house.start().await;
        house
    }

    async fn on(database: tokio_postgres::Config, setup: Setup) -> Self {
        logs::listen();
        let key = format!("sk-test-{}", Uuid::new_v4());
        logs::secret(&key);
        logs::secret(PASSWORD);
        let mut login = database.clone();
        login.user("tollgate_login").password(PASSWORD);
        if let Some(seal) = &setup.seal {
            sealing::set(&database, &Sealing::Only(vec![seal.clone()])).await.unwrap();
        }
        let pool = |database: &tokio_postgres::Config| {
            let mut bounds = PoolConfig::new(database.clone());
            (bounds.connections_max, bounds.wait_max) = (4, Duration::from_secs(30));
            bounds.seal.clone_from(&setup.seal);
            Pool::connect(bounds).unwrap()
        };
        for (_, further) in &setup.placements {
            sealing::as_in(&database, further, &Schema::SHARED).await.unwrap();
        }
        let further = setup.placements.iter().map(|(name, config)| (name.clone(), pool(config)));
        let places =
            PostgresStore::across(pool(&database), further, setup.move_wait, Options::default());
        let operator = Operator::over(places.clone());
        operator.import_prices([&price()]).await.unwrap();

        let closing = CancellationToken::new();
        let (listener, issuer_url) = bind().await;
        let issuer = DevIssuer::ephemeral(&issuer_url, "tollgate").unwrap();
        tokio::spawn(closing.clone().run_until_cancelled_owned(issuer.clone().serve(listener)));
        let (listener, mock_url) = bind().await;
        let mock = MockProvider::new();
        let serving = mock::serve(mock.clone(), listener, closing.clone().cancelled_owned());
        tokio::spawn(async move { serving.await.unwrap() });
        Self {
            operator,
            places,
            mock,
            gateways: Vec::new(),
            admin: Arc::new(connect(&database).await),
            some_unserved: false,
            some_lost: false,
            replicas: NonZeroU32::MIN,
            started: AtomicU32::new(0),
            setup,
            login,
            database,
            issuer,
            issuer_url,
            mock_url,
            key: SecretFile::new(&key),
            urls: Mutex::default(),
            closing,
        }
    }

    /// Another gateway over the same database.
    pub(crate) async fn start(&mut self) {
        let places = open(&self.bounds(), self.waiting(), &self.setup);
        let pool = places.pool().clone();
        let assembled = assemble(self.config(), places, self.listened());
        let (gateway, listener) = assembled.await;
        let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
        let task = tokio::spawn(gateway.run(listener, None, stop.clone()));
        self.gateways.push(Running { address, pool, stop, task });
    }

    /// Another one, which ends with the runtime that comes with it: without order, as if killed.
    pub(crate) async fn start_apart(&self) -> (SocketAddr, Runtime) {
        let runtime = runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let (runtime, (config, bounds)) = (runtime.unwrap(), (self.config(), self.bounds()));
        let setup = self.setup.clone();
        let (waiting, direct) = (self.waiting(), self.listened());
        let (tell, told) = oneshot::channel();
        runtime.spawn(async move {
            let places = open(&bounds, waiting, &setup);
            let (gateway, listener) = assemble(config, places, direct).await;
            tell.send(listener.local_addr().unwrap()).unwrap();
            gateway.run(listener, None, CancellationToken::new()).await
        });
        (told.await.unwrap(), runtime)
    }

    fn waiting(&self) -> Options {
        let mut waiting = Options::default();
        waiting.wait_max = self.setup.credit.wait_max;
        waiting.waiting_max = self.setup.credit.waiting_max;
        waiting
    }

    /// Where gateways listen: past any pooler.
    fn listened(&self) -> Vec<tokio_postgres::Config> {
        let further = self.setup.placements.iter().map(|(_, database)| database);
        let all = std::iter::once(&self.database).chain(further).filter(|_| self.setup.listens);
        let direct = all.cloned().map(|mut direct| {
            direct.user("tollgate_login").password(PASSWORD);
            direct
        });
        direct.collect()
    }

    fn bounds(&self) -> PoolConfig {
        let mut bounds = PoolConfig::new(self.login.clone());
        bounds.connections_max = self.setup.connections;
        bounds.wait_max = self.setup.wait;
        bounds.prepared = self.setup.prepared;
        bounds.seal.clone_from(&self.setup.seal);
        bounds
    }

    /// Sends calls to an address where nobody listens, from the next gateway on.
    pub(crate) async fn lose_provider(&mut self) {
        self.mock_url = bind().await.1;
    }

    pub(crate) fn config(&self) -> Config {
        let upstream = |name: &str, dialect: Dialect| {
            let mut upstream = UpstreamConfig::new(name, dialect, &self.mock_url);
            upstream.credential = Some(self.key.reference());
            upstream.models = AllowList::Only(vec!["*".into()]);
            upstream.head_timeout = self.setup.head_timeout;
            upstream.idle_timeout = self.setup.idle_timeout;
            upstream.forward_header_prefixes = vec!["x-mock-".into()];
            upstream
        };
        Config {
            server: self.setup.server.clone(),
            credit: self.setup.credit,
            limits: Limits {
                replicas: self.replicas,
                replica_index: Some(self.started.fetch_add(1, Ordering::Relaxed) % self.replicas),
            },
            identity: Identity {
                issuer: Some(self.issuer_url.clone()),
                audience: Some("tollgate".into()),
                jwks_url: Some(format!("{}{JWKS_PATH}", self.issuer_url)),
                role_claim: Some("/role".into()),
                team_claim: Some("/team_id".into()),
                key_claim: Some("/key_id".into()),
                ..Identity::default()
            },
            upstream: vec![
                upstream("mock-openai", Dialect::OpenAi),
                upstream("mock-anthropic", Dialect::Anthropic),
            ],
            ..Config::default()
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.gateways[0].address
    }

    /// An organization with these credits.
    pub(crate) async fn organization(&self, nanos: i64) -> Org {
        self.organization_with(nanos, Policy::default()).await
    }

    pub(crate) async fn organization_with(&self, nanos: i64, policy: Policy) -> Org {
        let org = self.nobody();
        assert!(self.operator.create_organization(org.id, "Test", "UTC").await.unwrap());
        self.operator.set_policy(org.id, &policy).await.unwrap();
        if nanos > 0 {
            self.grant(&org, nanos).await;
        }
        org
    }

    /// A token that is good, for an organization that is in no database.
    pub(crate) fn nobody(&self) -> Org {
        let id = OrganizationId::new(Uuid::now_v7());
        self.somebody(&Grant::new(id, "ann"))
    }

    /// A token that says so.
    pub(crate) fn somebody(&self, grant: &Grant) -> Org {
        let token = self.issuer.issue(grant).unwrap().token;
        // Any token is known by its beginning; this one by the seal at its end, too.
        logs::secret(token.rsplit('.').next().unwrap());
        Org { id: grant.organization_id, token }
    }

    pub(crate) async fn grant(&self, org: &Org, nanos: i64) {
        self.operator.grant_credits(org.id, Credits::from_nanos(nanos), None).await.unwrap();
    }

    /// Posted, held and debt.
    pub(crate) async fn balance(&self, org: &Org) -> (i64, i64, i64) {
        let balance = self.operator.organization(org.id).await.unwrap().balance;
        (balance.posted.nanos(), balance.held.nanos(), balance.debt.nanos())
    }

    pub(crate) async fn client(&self) -> Client {
        Client::open(self.address()).await
    }

    /// The whole answer to one call, on a connection of its own.
    pub(crate) async fn ask(&self, org: &Org, ask: &Ask) -> Answer {
        let mut client = self.client().await;
        client.send(&ask.bytes(&org.token)).await;
        client.answer().await.expect("an answer")
    }

    pub(crate) async fn ready(&self) -> bool {
        let mut client = self.client().await;
        client.send(b"GET /readyz HTTP/1.1\r\nhost: gateway\r\n\r\n").await;
        client.answer().await.unwrap().status == 200
    }

    /// The database's address, as this user.
    pub(crate) fn url(&self, user: &str) -> String {
        let servers = self.database.get_hosts().iter().map(|host| match host {
            Host::Unix(path) => path.display().to_string().replace('/', "%2F") + ":5432",
            Host::Tcp(name) => format!("{name}:5432"),
        });
        let servers: Vec<_> = servers.collect();
        let several = self.database.get_target_session_attrs() == TargetSessionAttrs::ReadWrite;
        let attrs = if several { "?target_session_attrs=read-write" } else { "" };
        let database = self.database.get_dbname().unwrap();
        format!("postgres://{user}@{}/{database}{attrs}", servers.join(","))
    }

    /// The same with a password, in a file, which is where one may be.
    pub(crate) fn url_with_password(&self) -> String {
        let url = self.url("tollgate_login");
        let file = SecretFile::new(&url.replacen('@', &format!(":{PASSWORD}@"), 1));
        let reference = file.reference().to_string();
        self.urls.lock().unwrap().push(file);
        reference
    }

    /// Another connection past the gateway, as the superuser.
    pub(crate) async fn stranger(&self) -> Arc<tokio_postgres::Client> {
        Arc::new(connect(&self.database).await)
    }

    /// Ends all gateways in order, and looks at what is left of them: nothing.
    pub(crate) async fn close(mut self) {
        let before = self.check().await;
        for Running { stop, task, .. } in std::mem::take(&mut self.gateways) {
            stop.cancel();
            assert_eq!(task.await.unwrap().cut, 0, "open connections at the end of a test");
        }
        assert_eq!(self.check().await, before, "the end of the gateways changed the books");
        self.closing.cancel();
    }
}

/// The places as a gateway has them.
fn open(bounds: &PoolConfig, waiting: Options, setup: &Setup) -> PostgresStore {
    let further = setup.placements.iter().map(|(name, database)| {
        let mut bounds = bounds.clone();
        bounds.connection = database.clone();
        bounds.connection.user("tollgate_login").password(PASSWORD);
        (name.clone(), Pool::connect(bounds).unwrap())
    });
    PostgresStore::across(Pool::connect(bounds.clone()).unwrap(), further, setup.move_wait, waiting)
}

async fn assemble(
    config: Config,
    places: PostgresStore,
    listened: Vec<tokio_postgres::Config>,
) -> (Gateway, TcpListener) {
    places.read().await.unwrap();
    let mut gateway =
        Gateway::assemble(config.settings().unwrap(), Stores::over(places)).await.unwrap();
    for database in listened {
        gateway = gateway.listening_to(database);
    }
    (gateway, TcpListener::bind("127.0.0.1:0").await.unwrap())
}

async fn bind() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    (listener, url)
}

pub(super) async fn connect(database: &tokio_postgres::Config) -> tokio_postgres::Client {
    let mut database = database.clone();
    // The checker's plans look dear and are small: compiling them would take a second each.
    database.options("-c jit=off");
    let (client, connection) = database.connect(tokio_postgres::NoTls).await.unwrap();
    // Ends with the client, or with the server: the client's next statement says so.
    tokio::spawn(async move { drop(connection.await) });
    client
}
