//! Postgres as the server uses it: stores for calls, and its own login.

#[cfg(test)]
mod tests;

use std::{pin::Pin, sync::Arc, time::Duration};

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use futures_util::future::join_all;
use tokio_postgres::Config as Connection;

use super::{
    Stores, Upkeep,
    config::{ConfigError, Databases},
};
use crate::{
    causes::causes,
    postgres::{
        Operator, Pool, PoolConfig, PostgresStore, Seal,
        login::give_first_password,
        membership::{self, MembershipError},
        migrate::{self, Status},
        sealing::{self, SealingError},
    },
    store::{
        StoreError, StoreFuture,
        admin::{BookAdmin, Reconciliation},
    },
};

/// The database cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DatabaseError {
    /// The address is not a Postgres URL. It may hold a password, so the message does not repeat it.
    #[error("the database URL is not a Postgres URL (postgres://user@host/database): {0}")]
    Address(#[source] tokio_postgres::Error),
    /// The database does not answer, or refuses the login.
    #[error("the database cannot be used: {}", causes(.0))]
    Store(#[from] StoreError),
    /// A further database cannot be used.
    #[error("{place}: {error}")]
    Place {
        /// Which place.
        place: String,
        /// Why.
        error: Box<Self>,
    },
    /// The schema of the database is older than this program.
    #[error("the database lacks {0} migrations: run `tollgate migrate` as its administrator first")]
    Behind(usize),
    /// The database reads memberships from another source than the configuration names.
    #[error(transparent)]
    Membership(#[from] MembershipError),
    /// The database does not accept this program's seals on claims.
    #[error(transparent)]
    Sealing(#[from] SealingError),
    /// The key for seals cannot be read.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The role of the gateway cannot log in.
    #[error(
        "the role tollgate_login has a password in that database that `tollgate dev` does not know: \
         use another database, or `tollgate serve`"
    )]
    Login,
}

/// The stores in these databases. The main database must answer and be up to date; a further database may be
/// unreachable.
pub(crate) async fn stores(databases: &Databases) -> Result<Stores, DatabaseError> {
    let Databases { addresses, seal, section: settings, holds, .. } = databases;
    let pool = |url: &str, connections_max| {
        let mut bounds = PoolConfig::new(parse(url)?);
        bounds.connections_max = connections_max;
        bounds.wait_max = settings.wait_timeout;
        bounds.connect_max = settings.create_timeout;
        bounds.seal.clone_from(seal);
        bounds.prepared = settings.prepared;
        Ok::<_, DatabaseError>(Pool::connect(bounds)?)
    };
    let main = pool(&addresses.main, settings.pool_size)?;
    match migrate::status(&main).await? {
        Status::UpToDate => {}
        Status::Missing(migrations) => return Err(DatabaseError::Behind(migrations)),
    }
    sealing::check(&main).await?;
    membership::check(&main, settings.membership).await?;
    let mut further = Vec::new();
    for (name, url) in &addresses.placements {
        let size = settings.placements.get(name).map(|placement| placement.pool_size);
        further.push((name.clone(), pool(url, size.unwrap_or(settings.pool_size))?));
    }
    join_all(further.iter().map(|(name, pool)| look(name, pool))).await;
    let store = PostgresStore::across(main, further, settings.move_timeout, *holds);
    store.read().await?;
    Ok(Stores::over(store))
}

/// Logs what is wrong with a further database. Only the calls of its organizations are refused.
async fn look(place: &str, pool: &Pool) {
    let found = async {
        match migrate::status(pool).await? {
            Status::UpToDate => Ok(sealing::check(pool).await?),
            Status::Missing(migrations) => Err(DatabaseError::Behind(migrations)),
        }
    };
    if let Err(error) = found.await {
        tracing::error!(place, %error, "cannot use a further database: calls of its organizations are refused");
    }
}

/// The seal of a gateway that is started by the administrator of its database.
pub(super) async fn kept_seal(admin_url: &str) -> Result<Option<Seal>, DatabaseError> {
    Ok(sealing::kept(&parse(admin_url)?).await?)
}

/// The connection on which the server listens for changes.
pub(crate) fn listened(url: &str) -> Result<Connection, DatabaseError> {
    parse(url)
}

pub(super) fn parse(url: &str) -> Result<Connection, DatabaseError> {
    url.parse().map_err(DatabaseError::Address)
}

impl Stores {
    /// Stores that keep everything in this store.
    pub fn over(store: PostgresStore) -> Self {
        let store = Arc::new(store);
        Self {
            policies: Arc::<PostgresStore>::clone(&store),
            switches: Arc::<PostgresStore>::clone(&store),
            prices: Arc::<PostgresStore>::clone(&store),
            ledger: Arc::<PostgresStore>::clone(&store),
            journal: Arc::<PostgresStore>::clone(&store),
            upkeep: store,
        }
    }
}

impl Upkeep for PostgresStore {
    /// Checks the main database only. If a further database fails, only the calls of its organizations are refused.
    fn ready(&self) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send>> {
        let pool = self.pool().clone();
        Box::pin(async move {
            let away = |error: StoreError| {
                // Anyone may ask for readiness, so the details go to the log only.
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
                // Calls work with a seal that the database does not demand.
                Ok(()) | Err(SealingError::Off) => Ok(()),
                Err(SealingError::Store(error)) => away(error),
                Err(error) => {
                    tracing::warn!(%error, "the database does not accept the claims of this gateway");
                    Err("does not accept the claims of this gateway".to_owned())
                }
            }
        })
    }

    fn expire_overdue(&self) -> StoreFuture<'_, u64> {
        Box::pin(self.sweep())
    }

    fn reconcile(&self) -> StoreFuture<'_, Reconciliation> {
        // The connections are closed when the operator is dropped.
        Box::pin(async move { Operator::beside_all(self).await?.reconcile().await })
    }

    fn close(&self, wait_max: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(self.finish_holds(wait_max))
    }
}

const LOGIN: &str = "tollgate_login";

/// The URL with which the gateway's own role logs in to the database whose administrator's URL is `admin_url`.
///
/// A private cluster trusts every login through its socket. Elsewhere, if the role has no password, it gets one that is
/// derived from the administrator's URL. So every `tollgate dev` with the same URL knows the password, and nobody else
/// does. A role that has another password keeps it.
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
        tracing::warn!(error = causes(&error), "cannot set a password for {LOGIN}");
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
    // Credentials in the query would override those before the host.
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
