//! Brings a database to this program's schema.
//!
//! Everything lies in the schema `tollgate`. First the bootstrap makes roles and schema, where the
//! user may do so (afterwards it has nothing left to do, so any member of `tollgate_migrator` can
//! migrate); then the migrations run as `tollgate_migrator`, each in a transaction with its entry in
//! `tollgate.schema_history`. Processes that migrate at once go one after the other.
//!
//! The same migrations run in every schema that an organization has of its own in the same database.

use refinery::{Migration, Runner};
use tokio_postgres::{Client, Config, NoTls};

use super::{
    error::{self, PostgresError},
    pool::Pool,
    schema::Schema,
    statement::Statement,
    tls::Tls,
};
use crate::store::StoreError;

const HISTORY: &str = "tollgate.schema_history";
const BOOTSTRAP: &str = include_str!("sql/bootstrap.sql");
const BEFORE: &str = include_str!("sql/before_migrations.sql");
const BECOME_MIGRATOR: &str = include_str!("sql/become_migrator.sql");
const AFTER: &str = include_str!("sql/after_migrations.sql");
const STAND_IN: &str = include_str!("sql/stand_in_for_supabase.sql");
const CREATE_SCHEMA: &str = include_str!("sql/create_schema.sql");
const OWN_SCHEMA: &str = include_str!("sql/own_schema.sql");
const OWN_SCHEMAS: &str = include_str!("sql/own_schemas.sql");
const VERSIONS: Statement = Statement::new(include_str!("sql/schema_versions.sql"), &[]);

macro_rules! migrations {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("sql/migrations/", $name, ".sql")))),*]
    };
}

/// In order. A migration that was released is never changed: add another one.
const MIGRATIONS: &[(&str, &str)] = migrations![
    "V1__claims",
    "V2__organizations",
    "V3__prices",
    "V4__credits",
    "V5__usage_and_audit",
    "V6__rights",
    "V7__hold",
    "V8__finish",
    "V9__standing",
    "V10__operate",
    "V11__owners",
    "V12__people",
    "V13__limits",
    "V14__routes",
    "V15__chain",
    "V16__membership_source",
    "V17__seals",
    "V19__money",
    "V20__standing",
    "V21__holds",
    "V22__finishes",
    "V23__reconcile",
    "V25__suspension",
    "V26__price_versions",
    "V27__statements",
    "V28__places",
];

/// How a database stands to this program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It has every migration of this program (and may have later ones).
    UpToDate,
    /// It lacks this many.
    Missing(usize),
}

/// Applies what is missing in the shared schema and says how many migrations that were. Needs a direct connection,
/// not a pooler in transaction mode.
///
/// # Errors
/// Postgres is away, the user may neither migrate nor bootstrap, or a migration fails; that
/// migration then has left nothing behind.
pub async fn run(config: &Config) -> Result<usize, StoreError> {
    run_these(config, &Schema::SHARED, MIGRATIONS).await
}

/// As [`run`], in an organization's own schema, which is made where it is not there. Needs the shared one, and for a
/// new schema a user who may make some.
///
/// # Errors
/// As [`run`].
pub async fn run_in(config: &Config, schema: &Schema) -> Result<usize, StoreError> {
    run_these(config, schema, MIGRATIONS).await
}

/// The schemas that organizations have of their own in this database.
///
/// # Errors
/// Postgres is away.
pub async fn own_schemas(config: &Config) -> Result<Vec<Schema>, StoreError> {
    let client = connect(config.clone()).await?;
    let rows = client.query(OWN_SCHEMAS, &[]).await.map_err(|error| error::failed(&error))?;
    let names = rows.iter().filter_map(|row| row.try_get::<_, &str>(0).ok());
    Ok(names.filter_map(Schema::named).collect())
}

/// How the pool's schema stands, for readiness: one statement.
///
/// # Errors
/// As [`Pool::rows`].
pub async fn status(pool: &Pool) -> Result<Status, StoreError> {
    let rows = match pool.rows(&VERSIONS, &[]).await {
        Ok(rows) => rows,
        Err(error) if is_bare(&error) => return Ok(Status::Missing(MIGRATIONS.len())),
        Err(error) => return Err(error),
    };
    let applied: Vec<i32> = rows.iter().filter_map(|row| row.try_get(0).ok()).collect();
    let ours = parse(MIGRATIONS, pool.schema())?;
    let missing = ours.iter().filter(|migration| !applied.contains(&migration.version())).count();
    Ok(if missing == 0 { Status::UpToDate } else { Status::Missing(missing) })
}

async fn run_these(
    config: &Config,
    schema: &Schema,
    migrations: &[(&str, &str)],
) -> Result<usize, StoreError> {
    let own = schema.owner().is_some();
    let migrations = parse(migrations, schema)?;
    let mut client = alone(config).await?;
    execute(&client, schema, if own { CREATE_SCHEMA } else { BOOTSTRAP }).await?;
    execute(&client, schema, BECOME_MIGRATOR).await?;
    let mut runner = Runner::new(&migrations).set_abort_missing(false);
    runner.set_migration_table_name(schema.read(HISTORY));
    let report = runner.run_async(&mut client).await.map_err(|error| refused(&error))?;
    execute(&client, schema, AFTER).await?;
    execute(&client, schema, if own { OWN_SCHEMA } else { STAND_IN }).await?;
    Ok(report.applied_migrations().len())
}

async fn execute(client: &Client, schema: &Schema, sql: &str) -> Result<(), StoreError> {
    client.batch_execute(&schema.read(sql)).await.map_err(|error| error::failed(&error))
}

/// A connection on which nobody else migrates.
pub(super) async fn alone(config: &Config) -> Result<Client, StoreError> {
    let client = connect(config.clone()).await?;
    // The lock is the session's: it goes when the connection goes, whatever happens here.
    client.batch_execute(BEFORE).await.map_err(|error| error::failed(&error))?;
    Ok(client)
}

pub(super) async fn connect(mut config: Config) -> Result<Client, StoreError> {
    let unconnected = |error: tokio_postgres::Error| error::unconnected(&error);
    // The task ends with the client; what goes wrong on it, the client's calls say.
    match Tls::of(&mut config)? {
        Tls::Plain => {
            let (client, connection) = config.connect(NoTls).await.map_err(unconnected)?;
            tokio::spawn(async move { drop(connection.await) });
            Ok(client)
        }
        Tls::Rustls(tls) => {
            let (client, connection) = config.connect(tls).await.map_err(unconnected)?;
            tokio::spawn(async move { drop(connection.await) });
            Ok(client)
        }
    }
}

fn parse(migrations: &[(&str, &str)], schema: &Schema) -> Result<Vec<Migration>, StoreError> {
    let parsed = migrations.iter().map(|(name, sql)| Migration::unapplied(name, &schema.read(sql)));
    parsed.collect::<Result<_, _>>().map_err(|error| refused(&error))
}

/// Whether the schema is not there yet, or not for this user.
fn is_bare(error: &StoreError) -> bool {
    let code = PostgresError::of(error).and_then(PostgresError::code);
    code.is_some_and(|code| ["42P01", "3F000", "42501"].contains(&code.code()))
}

/// The operator is told everything: migrations hold no one's data.
fn refused(error: &refinery::Error) -> StoreError {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    StoreError::Refused(PostgresError::text(text).into())
}

#[cfg(test)]
#[path = "migrate_tests.rs"]
mod tests;
