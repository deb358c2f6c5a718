//! Whether the database accepts only sealed claims, and with which keys.
//!
//! If it does, injected SQL gains nothing by setting other claims: every row-security policy and every function
//! requires claims with a [`Seal`] of an accepted key. The mode is off until `tollgate migrate --seal-key` turns it on,
//! and costs nothing until then.

use tokio_postgres::{Client, Config, types::Type};

use super::{
    declared::Claims,
    error::{self, PostgresError},
    migrate,
    pool::Pool,
    query::{Parameter, Query, Quiet},
    rows::column,
    schema::Schema,
    seal::Seal,
};
use crate::store::StoreError;

const WRITE_KEYS: &str = include_str!("sql/statements/seals/write_seal_keys.sql");
const FORGET_KEYS: &str = include_str!("sql/statements/seals/forget_seal_keys.sql");
const ACCEPT_KEY: &str = include_str!("sql/statements/seals/accept_seal_key.sql");
const BECOME_READER: &str = include_str!("sql/statements/seals/become_key_reader.sql");
const RESET_ROLE: &str = "set local role none";
const KEPT_KEYS: &str = include_str!("sql/statements/seals/kept_seal_keys.sql");
const STATE: Query = Query::new(include_str!("sql/statements/seals/sealing.sql"), &[]);
const CHECK: Query =
    Query::new(include_str!("sql/statements/seals/check_sealing.sql"), &[Type::TEXT]);

/// Which claims the database accepts.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Sealing {
    /// Claims without a seal.
    Off,
    /// Claims sealed with one of these keys, and no others. As [`Off`](Self::Off) if the list is empty.
    Only(Vec<Seal>),
    /// Claims sealed with this key, or with one that is accepted already.
    Also(Seal),
}

/// Database and configuration do not agree on seals.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SealingError {
    /// The configuration has a key, but the database does not require seals.
    #[error(
        "database.seal_key: the configuration names a key, the database takes claims without a seal. \
         Run `tollgate migrate --seal-key REFERENCE` with that key's reference as its administrator, or take the key out of \
         the configuration"
    )]
    Off,
    /// The database requires seals, but the configuration has no key.
    #[error(
        "the database takes sealed claims only: set database.seal_key in the configuration, or \
         TOLLGATE_DATABASE__SEAL_KEY, to the reference of a key that it accepts, or run `tollgate migrate --unseal` as its administrator"
    )]
    NoKey,
    /// The operator's user may not read the keys, and no configuration names one.
    #[error(
        "the database takes sealed claims only, and this user may not read the keys: name a database user who may become \
         tollgate_seals, such as its administrator, or pass --config with the file of a gateway, whose database.seal_key is used"
    )]
    NoOperatorKey,
    /// The database does not accept the configured key.
    #[error(
        "database.seal_key: the database does not accept this key, whose id is {key_id}. \
         Run `tollgate migrate` with a --seal-key for each key in use as its administrator, or change the configuration"
    )]
    Key {
        /// The configured key's id.
        key_id: String,
    },
    /// The clocks of this machine and the database are too far apart for seals.
    #[error(
        "the clock of this machine is {seconds} s ahead of that of the database (behind, if below zero), too far for seals on \
         claims: set the clocks right"
    )]
    Clock {
        /// How far this machine's clock is ahead; below zero if it is behind.
        seconds: i64,
    },
    /// The database does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Sets which claims the database accepts. Idempotent. Needs the schema, and a user who may become
/// `tollgate_migrator`. If seals are required, gateways without an accepted key are refused everything from then on.
///
/// # Errors
/// Postgres is unavailable, or the user lacks a right. Nothing has changed then.
pub async fn set(config: &Config, sealing: &Sealing) -> Result<(), StoreError> {
    set_in(config, &Schema::SHARED, sealing).await
}

/// As [`set`], for one schema of several in a database.
///
/// # Errors
/// As [`set`].
pub async fn set_in(config: &Config, schema: &Schema, sealing: &Sealing) -> Result<(), StoreError> {
    let mut client = migrate::alone(config).await?;
    change(&mut client, schema, sealing).await.map_err(|error| error::failed(&error))
}

/// Makes a schema of any database require seals if the shared schema of the main database does, and accept the same
/// keys.
///
/// # Errors
/// As [`set`]; also if this user may not read the keys.
pub async fn as_in(main: &Config, config: &Config, schema: &Schema) -> Result<(), StoreError> {
    let mut client = migrate::connect(main.clone()).await?;
    if !is_on_within(&client, &Schema::SHARED).await? {
        return set_in(config, schema, &Sealing::Off).await;
    }
    let transaction = client.transaction().await.map_err(|error| error::failed(&error))?;
    let mut keys = all_kept_within(transaction.client(), &Schema::SHARED).await?;
    if keys.is_empty() {
        let cause = "claims must be sealed, and this user may not read the keys";
        return Err(StoreError::Refused(PostgresError::text(cause).into()));
    }
    // They come newest first. Written oldest first, the newest key stays the newest.
    keys.reverse();
    set_in(config, schema, &Sealing::Only(keys)).await
}

async fn change(
    client: &mut Client,
    schema: &Schema,
    sealing: &Sealing,
) -> Result<(), tokio_postgres::Error> {
    let transaction = client.transaction().await?;
    transaction.batch_execute(&schema.read(WRITE_KEYS)).await?;
    let accepted = match sealing {
        Sealing::Off => [].as_slice(),
        Sealing::Only(seals) => seals.as_slice(),
        Sealing::Also(seal) => std::slice::from_ref(seal),
    };
    if !matches!(sealing, Sealing::Also(_)) {
        transaction.batch_execute(&schema.read(FORGET_KEYS)).await?;
    }
    let types = [Type::TEXT, Type::BYTEA, Type::BYTEA];
    for seal in accepted {
        let [inner, outer] = seal.pads();
        let parameters: [Parameter<'_>; 3] = [&seal.key_id(), &inner.as_slice(), &outer.as_slice()];
        let accept = transaction.prepare_typed(&schema.read(ACCEPT_KEY), &types).await?;
        transaction.execute_raw(&accept, parameters.into_iter().map(Quiet)).await?;
    }
    let claims = if accepted.is_empty() { Claims::Open } else { Claims::Sealed };
    transaction.batch_execute(&schema.read(claims.functions())).await?;
    transaction.commit().await
}

/// Checks that the database accepts the claims of a gateway on this pool, which logs in as `tollgate_login`.
///
/// # Errors
/// Database and pool do not agree, or the database does not answer.
pub async fn check(pool: &Pool) -> Result<(), SealingError> {
    let row = pool.call(&CHECK, &[&pool.sealed("{}")]).await?;
    let (sealing, accepted): (bool, bool) = (column(&row, 0)?, column(&row, 1)?);
    let Some(seal) = pool.seal() else {
        return if sealing { Err(SealingError::NoKey) } else { Ok(()) };
    };
    if !sealing {
        return Err(SealingError::Off);
    }
    if accepted {
        return Ok(());
    }
    let validity = i64::try_from(Seal::VALIDITY.as_millis()).unwrap_or(i64::MAX);
    let expires: i64 = column::<Option<i64>>(&row, 2)?.unwrap_or(i64::MAX);
    Err(match expires {
        0..=AHEAD_MAX_MS => SealingError::Key { key_id: seal.key_id().to_owned() },
        _ => SealingError::Clock { seconds: expires.saturating_sub(validity).div_euclid(1_000) },
    })
}

/// How far in the future a seal may expire, by the database's clock.
const AHEAD_MAX_MS: i64 = 300_000;

/// Whether the database accepts only sealed claims. Every login may ask.
///
/// # Errors
/// As [`Pool::rows`].
pub async fn is_on(pool: &Pool) -> Result<bool, StoreError> {
    column(&pool.call(&STATE, &[]).await?, 0)
}

/// As [`is_on`], on a connection, for any of our schemas.
pub(super) async fn is_on_within(client: &Client, schema: &Schema) -> Result<bool, StoreError> {
    let state = client.query_one(&*schema.read(STATE.sql()), &[]).await;
    column(&state.map_err(|error| error::failed(&error))?, 0)
}

/// The newest key that the database accepts. `None` if it accepts none, or if this user may not become the role that
/// reads keys.
///
/// # Errors
/// Postgres is unavailable.
pub async fn kept(config: &Config) -> Result<Option<Seal>, StoreError> {
    let mut client = migrate::connect(config.clone()).await?;
    let transaction = client.transaction().await.map_err(|error| error::failed(&error))?;
    // When it is dropped, the transaction is rolled back and the connection is closed.
    kept_within(transaction.client(), &Schema::SHARED).await
}

/// As [`kept`], for any of our schemas, in the transaction that is open on `client`. Afterwards the session's own role
/// is in force.
pub(super) async fn kept_within(
    client: &Client,
    schema: &Schema,
) -> Result<Option<Seal>, StoreError> {
    Ok(all_kept_within(client, schema).await?.into_iter().next())
}

async fn all_kept_within(client: &Client, schema: &Schema) -> Result<Vec<Seal>, StoreError> {
    let failed = |error: tokio_postgres::Error| error::failed(&error);
    let state = client.query_one(&*schema.read(STATE.sql()), &[]).await.map_err(failed)?;
    if !column::<bool>(&state, 1)? {
        return Ok(Vec::new());
    }
    client.batch_execute(BECOME_READER).await.map_err(failed)?;
    let keys = client.query(&*schema.read(KEPT_KEYS), &[]).await.map_err(failed)?;
    client.batch_execute(RESET_ROLE).await.map_err(failed)?;
    let seals = keys.iter().map(|key| Ok(Seal::of_pad(column(key, 0)?, column(key, 1)?)));
    seals.filter_map(Result::transpose).collect()
}
