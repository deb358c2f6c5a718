//! Postgres as the server and the commands use it: stores for calls, an operator, migrations.

use std::{pin::Pin, sync::Arc, time::Duration};

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use tokio_postgres::Config as Connection;

use super::{
    Stores, Upkeep,
    config::{self, Config, ConfigError, Database},
};
use crate::{
    postgres::{
        Pool, PoolConfig, PostgresStore, Prepared, Schema, Seal,
        login::give_first_password,
        membership::{self, Membership, MembershipError},
        migrate::{self, Status},
        operator::{Operator, Reconciliation},
        prove::{self, Proof, Scope},
        sealing::{self, Sealing, SealingError},
    },
    store::{StoreError, StoreFuture, coalesce::Options},
};

/// The database cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DatabaseError {
    /// The address is not one of Postgres. It may hold a password, so it is not repeated.
    #[error("the database URL is not one of Postgres (postgres://user@host/database): {0}")]
    Address(#[source] tokio_postgres::Error),
    /// It does not answer, or does not let us in.
    #[error("the database cannot be used: {}", causes(.0))]
    Store(#[from] StoreError),
    /// Its schema is older than this program.
    #[error("the database lacks {0} migrations: run `tollgate migrate` as its administrator first")]
    Behind(usize),
    /// Memberships are not read from where they should be.
    #[error(transparent)]
    Membership(#[from] MembershipError),
    /// Seals on claims are not what the database takes.
    #[error(transparent)]
    Sealing(#[from] SealingError),
    /// The key for seals cannot be had.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The role of the gateway cannot log in.
    #[error(
        "the role tollgate_login has a password of its own in that database, so `tollgate dev` cannot log in as it: \
         use another database, or `tollgate serve`"
    )]
    Login,
}

/// The error and its causes, each once.
fn causes(error: &StoreError) -> String {
    let mut words = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        let text = error.to_string();
        if !words.contains(&text) {
            words.push_str(": ");
            words.push_str(&text);
        }
        cause = error.source();
    }
    words
}

/// The stores in the database at `url`, which must answer, be up to date, and take this seal where it is asked for.
pub(super) async fn stores(
    url: &str,
    settings: &Database,
    credit: &config::Credit,
    seal: Option<Seal>,
) -> Result<Stores, DatabaseError> {
    let mut bounds = PoolConfig::new(parse(url)?);
    bounds.connections_max = settings.pool_size;
    bounds.wait_max = settings.wait_timeout;
    bounds.connect_max = settings.create_timeout;
    bounds.seal = seal;
    bounds.prepared = match settings.prepared {
        config::Prepared::Auto => Prepared::Auto,
        config::Prepared::Never => Prepared::Never,
    };
    let pool = Pool::connect(bounds)?;
    match migrate::status(&pool).await? {
        Status::UpToDate => {}
        Status::Missing(migrations) => return Err(DatabaseError::Behind(migrations)),
    }
    sealing::check(&pool).await?;
    membership::check(&pool, settings.membership.into()).await?;
    let mut options = Options::default();
    (options.wait_max, options.waiting_max) = (credit.wait_max, credit.waiting_max);
    let store = Arc::new(PostgresStore::with(pool, options));
    Ok(Stores {
        policies: Arc::<PostgresStore>::clone(&store),
        switches: Arc::<PostgresStore>::clone(&store),
        prices: Arc::<PostgresStore>::clone(&store),
        ledger: Arc::<PostgresStore>::clone(&store),
        journal: Arc::<PostgresStore>::clone(&store),
        upkeep: store,
    })
}

/// Where changes are listened for.
pub(super) fn listened(url: &str) -> Result<tokio_postgres::Config, DatabaseError> {
    parse(url)
}

/// The operator's side of the database at `url`. Where claims must be sealed, with a key that the database keeps, if
/// this user may read it, else with that of `named`.
pub(super) async fn operator(url: &str, named: Option<&Config>) -> Result<Operator, DatabaseError> {
    let mut bounds = PoolConfig::new(parse(url)?);
    // Reading all books takes longer than a call may.
    bounds.statement_max = Duration::from_mins(5);
    bounds.connections_max = 4;
    bounds.seal = seal(&bounds, named).await?;
    Ok(Operator::new(Pool::connect(bounds)?))
}

/// The seal of an operator in a database that is up to date; none where none is asked for.
async fn seal(bounds: &PoolConfig, named: Option<&Config>) -> Result<Option<Seal>, DatabaseError> {
    let pool = Pool::connect(bounds.clone())?;
    if let Status::Missing(migrations) = migrate::status(&pool).await? {
        return Err(DatabaseError::Behind(migrations));
    }
    if !sealing::is_on(&pool).await? {
        return Ok(None);
    }
    if let Some(kept) = sealing::kept(&bounds.connection).await? {
        return Ok(Some(kept));
    }
    match named.map(Config::seal).transpose()?.flatten() {
        Some(seal) => Ok(Some(seal)),
        None => Err(SealingError::NoOperatorKey.into()),
    }
}

/// The seal of a gateway that is started by the administrator of its database.
pub(super) async fn kept_seal(admin_url: &str) -> Result<Option<Seal>, DatabaseError> {
    Ok(sealing::kept(&parse(admin_url)?).await?)
}

/// Brings the database at `url` to this program's schema; how many migrations that took.
/// Memberships are read from where they were, unless a source is named; seals are asked for as they were, unless it is
/// said how.
pub(super) async fn migrate(
    url: &str,
    membership: Option<Membership>,
    sealing: Option<&Sealing>,
) -> Result<usize, DatabaseError> {
    let config = parse(url)?;
    let applied = migrate::run(&config).await?;
    if let Some(source) = membership {
        membership::read_from(&config, source).await?;
    }
    if let Some(sealing) = sealing {
        sealing::set(&config, sealing).await?;
    }
    Ok(applied)
}

/// Whether organizations are apart in the database at `url`, which must be up to date. Seals as in [`operator`].
pub(super) async fn prove(
    url: &str,
    named: Option<&Config>,
    scope: Scope<'_>,
) -> Result<Proof, DatabaseError> {
    let bounds = PoolConfig::new(parse(url)?);
    let seal = seal(&bounds, named).await?;
    Ok(prove::run_in(&bounds.connection, &Schema::SHARED, scope, seal.as_ref()).await?)
}

fn parse(url: &str) -> Result<Connection, DatabaseError> {
    url.parse().map_err(DatabaseError::Address)
}

impl Upkeep for PostgresStore {
    fn ready(&self) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send>> {
        let pool = self.pool().clone();
        Box::pin(async move {
            let away = |error: StoreError| {
                // Whoever asks may be anybody: the detail is for the log.
                tracing::warn!(error = causes(&error), "the database does not answer");
                Err("does not answer".to_owned())
            };
            match migrate::status(&pool).await {
                Ok(Status::UpToDate) => {}
                Ok(Status::Missing(migrations)) => {
                    return Err(format!(
                        "{migrations} migrations are missing: run `tollgate migrate`"
                    ));
                }
                Err(error) => return away(error),
            }
            match sealing::check(&pool).await {
                // A seal that nobody asks for does no harm to calls.
                Ok(()) | Err(SealingError::Off) => Ok(()),
                Err(SealingError::Store(error)) => away(error),
                Err(error) => {
                    tracing::warn!(%error, "the database does not take the claims of this gateway");
                    Err("does not take the claims of this gateway".to_owned())
                }
            }
        })
    }

    fn expire_overdue(&self) -> StoreFuture<'_, u64> {
        Box::pin(self.sweep())
    }

    fn reconcile(&self) -> StoreFuture<'_, Reconciliation> {
        // The connection goes with the operator.
        Box::pin(async move { Operator::beside(self.pool())?.reconcile().await })
    }

    fn close(&self, wait_max: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(self.finish_holds(wait_max))
    }
}

const LOGIN: &str = "tollgate_login";

/// The address under which the gateway's own role logs in to the database at `url`, which is its
/// administrator's.
///
/// A private cluster trusts whoever can reach its socket. Elsewhere a role without a password is
/// given one that follows from the administrator's address, so that every `tollgate dev` with the same
/// address knows it and nobody else does; a role that has another password is left alone.
pub(super) async fn login_url(admin_url: &str) -> Result<String, DatabaseError> {
    let trusted = with_login(admin_url, None);
    if answers(&trusted).await? {
        return Ok(trusted);
    }
    let password = derived_password(admin_url);
    let with_password = with_login(admin_url, Some(&password));
    if answers(&with_password).await? {
        return Ok(with_password);
    }
    if let Err(error) = give_first_password(PoolConfig::new(parse(admin_url)?), &password).await {
        tracing::warn!(error = causes(&error), "{LOGIN} could not be given a password");
    }
    if answers(&with_password).await? { Ok(with_password) } else { Err(DatabaseError::Login) }
}

async fn answers(url: &str) -> Result<bool, DatabaseError> {
    let mut bounds = PoolConfig::new(parse(url)?);
    bounds.connections_max = 1;
    Ok(Pool::connect(bounds)?.ping().await.is_ok())
}

fn derived_password(admin_url: &str) -> String {
    let digest = aws_lc_rs::digest::digest(
        &aws_lc_rs::digest::SHA256,
        format!("{LOGIN} {admin_url}").as_bytes(),
    );
    BASE64_URL_SAFE_NO_PAD.encode(digest)
}

/// `postgres://user:password@host/…` with the user, and perhaps a password, replaced.
fn with_login(url: &str, password: Option<&str>) -> String {
    let user = password.map_or_else(|| LOGIN.to_owned(), |password| format!("{LOGIN}:{password}"));
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let authority_end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(authority_end);
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    // Credentials may also stand in the query, and would win there.
    let (path, query) =
        path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
    let kept: Vec<_> = query
        .unwrap_or_default()
        .split('&')
        .filter(|pair| {
            !pair.is_empty() && !pair.starts_with("user=") && !pair.starts_with("password=")
        })
        .collect();
    let query = if kept.is_empty() { String::new() } else { format!("?{}", kept.join("&")) };
    format!("{scheme}://{user}@{host}{path}{query}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_person_in_an_address_is_replaced() {
        for (url, expected) in [
            (
                "postgresql://postgres@/postgres?host=%2Ftmp%2Fx&port=5432",
                "postgresql://tollgate_login@/postgres?host=%2Ftmp%2Fx&port=5432",
            ),
            ("postgres://me:p%40ss@db:5432/x", "postgres://tollgate_login@db:5432/x"),
            ("postgres://db", "postgres://tollgate_login@db"),
            (
                "postgres://db/x?user=me&password=p&sslmode=require",
                "postgres://tollgate_login@db/x?sslmode=require",
            ),
        ] {
            assert_eq!(with_login(url, None), expected);
            assert!(parse(expected).unwrap().get_user() == Some(LOGIN));
        }
        assert_eq!(with_login("postgres://me@db/x", Some("s")), "postgres://tollgate_login:s@db/x");
    }

    #[test]
    fn an_address_that_is_none_is_refused_without_being_repeated() {
        let error = parse("postgres://me:hunter2@db:port/x").unwrap_err().to_string();
        assert!(error.contains("postgres://user@host") && !error.contains("hunter2"), "{error}");
    }
}
