//! Migrates a database to this program's schema.
//!
//! Everything is in the schema `tollgate`. First the bootstrap creates roles and schema, which needs an administrator.
//! Once they exist, the bootstrap changes nothing, so any member of `tollgate_migrator` can migrate. Then the steps run
//! as `tollgate_migrator`. They change tables and existing rows, each in a transaction with its entry in
//! `tollgate.schema_history`. Last, the declared functions and rights are brought into force. Processes that migrate
//! at the same time run one after the other.
//!
//! Schemas of organizations' own in the same database are migrated in the same way.
//!
//! A gateway compares steps only to see whether a database is up to date. So a change of a declared text comes with a
//! step, even if the step is empty. A program that is older than the database changes nothing in it.

use refinery::{Migration, Runner};
use tokio_postgres::{Client, Config, NoTls, Row};

use super::{
    declared,
    error::{self, PostgresError},
    pool::Pool,
    query::Query,
    rows::column,
    schema::Schema,
    tls::Tls,
};
use crate::{causes::causes, store::StoreError};

const HISTORY: &str = "tollgate.schema_history";
const BOOTSTRAP: &str = include_str!("sql/statements/migrate/bootstrap.sql");
const BEFORE: &str = include_str!("sql/statements/migrate/before_migrations.sql");
const BECOME_MIGRATOR: &str = include_str!("sql/statements/migrate/become_migrator.sql");
const EXTEND_PARTITIONS: &str = include_str!("sql/statements/migrate/extend_partitions.sql");
const STAND_IN: &str = include_str!("sql/schema/stand_in_for_supabase.sql");
const CREATE_SCHEMA: &str = include_str!("sql/statements/migrate/create_schema.sql");
const OWN_SCHEMA: &str = include_str!("sql/schema/own_schema.sql");
const OWN_SCHEMAS: &str = include_str!("sql/statements/migrate/own_schemas.sql");
const HAS_HISTORY: &str = include_str!("sql/statements/migrate/has_history.sql");
const VERSIONS: Query = Query::new(include_str!("sql/statements/migrate/schema_versions.sql"), &[]);

macro_rules! steps {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("sql/steps/", $name, ".sql")))),*]
    };
}

/// In order. A released step is never changed: add another one.
const STEPS: &[(&str, &str)] = steps!["V1__baseline"];

/// How a database compares with this program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// The database has every step of this program (and may have later ones).
    UpToDate,
    /// The database lacks this many steps.
    Missing(usize),
}

/// Applies the missing steps to the shared schema, and returns how many there were. Needs a direct connection,
/// not a pooler in transaction mode.
///
/// # Errors
/// Postgres is unavailable, the user may neither migrate nor bootstrap, another program made the schema, or a step
/// fails. A step that fails leaves nothing behind.
pub async fn run(config: &Config) -> Result<usize, StoreError> {
    run_in(config, &Schema::SHARED).await
}

/// As [`run`], in an organization's own schema, which is created if it is missing. Needs the shared schema, and for a
/// new schema a user who may create schemas.
///
/// # Errors
/// As [`run`].
pub async fn run_in(config: &Config, schema: &Schema) -> Result<usize, StoreError> {
    let (mut client, applied) = apply(config, schema, STEPS).await?;
    // An older program must not replace the declared texts of a newer one.
    if !applied.is_newer {
        declare(&mut client, schema).await?;
    }
    Ok(applied.steps)
}

/// The schemas that organizations have of their own in this database.
///
/// # Errors
/// Postgres is unavailable.
pub async fn own_schemas(config: &Config) -> Result<Vec<Schema>, StoreError> {
    let client = connect(config.clone()).await?;
    let rows = client.query(OWN_SCHEMAS, &[]).await.map_err(|error| error::failed(&error))?;
    let names = rows.iter().filter_map(|row| row.try_get::<_, &str>(0).ok());
    Ok(names.filter_map(Schema::named).collect())
}

/// How the pool's schema compares with this program, for readiness. One statement.
///
/// # Errors
/// As [`Pool::rows`].
pub async fn status(pool: &Pool) -> Result<Status, StoreError> {
    let rows = match pool.rows(&VERSIONS, &[]).await {
        Ok(rows) => rows,
        Err(error) if is_bare(&error) => return Ok(Status::Missing(STEPS.len())),
        Err(error) => return Err(error),
    };
    let ours = parse(STEPS, pool.schema())?;
    let history = History::of(&rows)?;
    history.must_be_of(&ours)?;
    let missing = ours.iter().filter(|step| !history.has(step)).count();
    Ok(if missing == 0 { Status::UpToDate } else { Status::Missing(missing) })
}

/// Brings everything but the steps into force, in a schema that has its tables.
pub(super) async fn declare(client: &mut Client, schema: &Schema) -> Result<(), StoreError> {
    declared::bring_into_force(client, schema).await?;
    execute(client, schema, EXTEND_PARTITIONS).await?;
    let own = schema.owner().is_some();
    execute(client, schema, if own { OWN_SCHEMA } else { STAND_IN }).await
}

/// The steps that a database has, by version and name.
struct History(Vec<(i32, String)>);

impl History {
    fn of(rows: &[Row]) -> Result<Self, StoreError> {
        let steps = rows.iter().map(|row| Ok((column(row, 0)?, column(row, 1)?)));
        steps.collect::<Result<_, StoreError>>().map(Self)
    }

    fn has(&self, step: &Migration) -> bool {
        self.0.iter().any(|(version, _)| *version == step.version())
    }

    /// Refuses a history in which one of our versions has another name: our steps do not fit the tables that it made.
    fn must_be_of(&self, ours: &[Migration]) -> Result<(), StoreError> {
        let other = self.0.iter().find_map(|(version, name)| {
            let step = ours.iter().find(|step| step.version() == *version)?;
            (step.name() != name).then(|| format!("{version} is `{name}`, not `{}`", step.name()))
        });
        let Some(other) = other else { return Ok(()) };
        let text = format!(
            "the database has a history that this program does not know (step {other}): it was set up by a version of \
             Tollgate from before the first release, and only that version can use it. Nothing was changed; \
             `tollgate migrate` needs a database without the schema `tollgate`"
        );
        Err(StoreError::Refused(PostgresError::text(text).into()))
    }
}

/// What was done to a database.
pub(super) struct Applied {
    steps: usize,
    /// Whether a newer program has applied steps that this one does not know.
    is_newer: bool,
}

/// Applies these steps, and brings no declared text into force.
pub(super) async fn apply(
    config: &Config,
    schema: &Schema,
    steps: &[(&str, &str)],
) -> Result<(Client, Applied), StoreError> {
    let own = schema.owner().is_some();
    let steps = parse(steps, schema)?;
    let mut client = alone(config).await?;
    execute(&client, schema, if own { CREATE_SCHEMA } else { BOOTSTRAP }).await?;
    execute(&client, schema, BECOME_MIGRATOR).await?;
    let history = history(&client, schema).await?;
    history.must_be_of(&steps)?;
    let last = steps.iter().map(Migration::version).max();
    let is_newer = history.0.iter().any(|(version, _)| Some(*version) > last);
    let mut runner = Runner::new(&steps).set_abort_missing(false);
    runner.set_migration_table_name(schema.read(HISTORY));
    let report = runner.run_async(&mut client).await.map_err(|error| refused(&error))?;
    let steps = report.applied_migrations().len();
    Ok((client, Applied { steps, is_newer }))
}

async fn history(client: &Client, schema: &Schema) -> Result<History, StoreError> {
    let failed = |error: tokio_postgres::Error| error::failed(&error);
    let there = client.query_one(&*schema.read(HAS_HISTORY), &[]).await.map_err(failed)?;
    if !column::<bool>(&there, 0)? {
        return Ok(History(Vec::new()));
    }
    let rows = client.query(&*schema.read(VERSIONS.sql()), &[]).await.map_err(failed)?;
    History::of(&rows)
}

async fn execute(client: &Client, schema: &Schema, sql: &str) -> Result<(), StoreError> {
    client.batch_execute(&schema.read(sql)).await.map_err(|error| error::failed(&error))
}

/// A connection that holds the migration lock: no other process migrates meanwhile.
pub(super) async fn alone(config: &Config) -> Result<Client, StoreError> {
    let client = connect(config.clone()).await?;
    // A session lock: the server releases it when the connection ends, whatever happens here.
    client.batch_execute(BEFORE).await.map_err(|error| error::failed(&error))?;
    Ok(client)
}

pub(super) async fn connect(mut config: Config) -> Result<Client, StoreError> {
    let unconnected = |error: tokio_postgres::Error| error::unconnected(&error);
    // The task ends with the client. Errors of the connection are reported by the client's calls.
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

fn parse(steps: &[(&str, &str)], schema: &Schema) -> Result<Vec<Migration>, StoreError> {
    let parsed = steps.iter().map(|(name, sql)| Migration::unapplied(name, &schema.read(sql)));
    parsed.collect::<Result<_, _>>().map_err(|error| refused(&error))
}

/// Whether the schema does not exist yet, or this user may not use it.
fn is_bare(error: &StoreError) -> bool {
    let code = PostgresError::of(error).and_then(PostgresError::code);
    code.is_some_and(|code| ["42P01", "3F000", "42501"].contains(&code.code()))
}

/// The text has all causes: steps hold no data of organizations, so the operator may see everything.
fn refused(error: &refinery::Error) -> StoreError {
    StoreError::Refused(PostgresError::text(causes(error)).into())
}

#[cfg(test)]
#[path = "migrate_tests.rs"]
mod tests;
