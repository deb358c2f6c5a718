//! Brings a database to this program's schema.
//!
//! Everything lies in the schema `tollgate`. First the bootstrap makes roles and schema, where the
//! user may do so (afterwards it has nothing left to do, so any member of `tollgate_migrator` can
//! migrate). Then the steps run as `tollgate_migrator`, each in a transaction with its entry in
//! `tollgate.schema_history`: they change tables, and rows that are there. At last the functions and
//! rights that are declared are brought into force. Processes that migrate at once go one after the other.
//!
//! The same happens in every schema that an organization has of its own in the same database.
//!
//! What a database should have is told by its steps alone, so a change of what is declared comes with a step, if only
//! an empty one. A program that is older than the database changes nothing in it.

use refinery::{Migration, Runner};
use tokio_postgres::{Client, Config, NoTls, Row};

use super::{
    declared,
    error::{self, PostgresError},
    pool::Pool,
    rows::column,
    schema::Schema,
    statement::Statement,
    tls::Tls,
};
use crate::store::StoreError;

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
const VERSIONS: Statement =
    Statement::new(include_str!("sql/statements/migrate/schema_versions.sql"), &[]);

macro_rules! steps {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("sql/steps/", $name, ".sql")))),*]
    };
}

/// In order. A step that was released is never changed: add another one.
const STEPS: &[(&str, &str)] = steps!["V1__baseline"];

/// How a database stands to this program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It has every step of this program (and may have later ones).
    UpToDate,
    /// It lacks this many steps.
    Missing(usize),
}

/// Applies what is missing in the shared schema and says how many steps that were. Needs a direct connection,
/// not a pooler in transaction mode.
///
/// # Errors
/// Postgres is away, the user may neither migrate nor bootstrap, another program made the schema, or a step fails; that
/// step then has left nothing behind.
pub async fn run(config: &Config) -> Result<usize, StoreError> {
    run_in(config, &Schema::SHARED).await
}

/// As [`run`], in an organization's own schema, which is made where it is not there. Needs the shared one, and for a
/// new schema a user who may make some.
///
/// # Errors
/// As [`run`].
pub async fn run_in(config: &Config, schema: &Schema) -> Result<usize, StoreError> {
    let (mut client, applied) = apply(config, schema, STEPS).await?;
    // What an older program declares is not what a newer one needs.
    if !applied.is_newer {
        declare(&mut client, schema).await?;
    }
    Ok(applied.steps)
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
        Err(error) if is_bare(&error) => return Ok(Status::Missing(STEPS.len())),
        Err(error) => return Err(error),
    };
    let ours = parse(STEPS, pool.schema())?;
    let history = History::of(&rows)?;
    history.must_be_of(&ours)?;
    let missing = ours.iter().filter(|step| !history.has(step)).count();
    Ok(if missing == 0 { Status::UpToDate } else { Status::Missing(missing) })
}

/// Everything that is no step, in a schema that has its tables.
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

    /// Refuses a history in which a version of ours has another name: nothing here fits to what it made.
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

/// Applies these steps, and nothing of what is declared.
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

fn parse(steps: &[(&str, &str)], schema: &Schema) -> Result<Vec<Migration>, StoreError> {
    let parsed = steps.iter().map(|(name, sql)| Migration::unapplied(name, &schema.read(sql)));
    parsed.collect::<Result<_, _>>().map_err(|error| refused(&error))
}

/// Whether the schema is not there yet, or not for this user.
fn is_bare(error: &StoreError) -> bool {
    let code = PostgresError::of(error).and_then(PostgresError::code);
    code.is_some_and(|code| ["42P01", "3F000", "42501"].contains(&code.code()))
}

/// The operator is told everything: steps hold no one's data.
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
