//! Databases for tests: one cluster per process, and one fresh database per call. A second cluster is for databases
//! that must not be in the first one.
//!
//! Each cluster starts with the first call for it and ends with the process, even if the process is killed. The
//! migrations run once in each cluster: a database with the schema is a copy of a template.
//!
//! ```no_run
//! # async fn example() -> Result<(), tollgate::postgres::cluster::ClusterError> {
//! let database = tollgate::postgres::cluster::testing::database().await?;
//! let config: tokio_postgres::Config = database.config();
//! # Ok(())
//! # }
//! ```

use std::{
    env, fs,
    path::Path,
    process,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use parking_lot::Mutex;
use tokio::sync::OnceCell;
use tokio_postgres::NoTls;

pub use super::tried::{NOTES_VARIABLE, has, never_tried};
use super::{
    Cluster, ClusterError, Options, Shared, account::Account, binaries::Binaries, place::Place,
};

const TEMPLATE: &str = "tollgate_template";

/// Names an SQL file that is applied to each test database after the migrations. With it `tests/mutants` checks what
/// the tests notice.
pub const SQL_VARIABLE: &str = "TOLLGATE_TEST_SQL";

/// Names the socket folder of a running server, which is used instead of a cluster of this process: for hundreds of
/// runs of one test program. The databases that are created there stay.
pub const SERVER_VARIABLE: &str = "TOLLGATE_TEST_SERVER";

static MAIN: Ground = Ground::new();
static ELSEWHERE: Ground = Ground::new();
static NEXT: AtomicU64 = AtomicU64::new(1);

/// A cluster of this process, and whether its template exists.
struct Ground {
    cluster: OnceCell<Cluster>,
    template: OnceCell<()>,
}

/// A database of one test's own, in a cluster of this process.
#[derive(Debug)]
pub struct Database {
    cluster: &'static Cluster,
    name: String,
}

impl Database {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its URL, as the superuser.
    pub fn url(&self) -> String {
        self.cluster.url(&self.name)
    }

    /// Its configuration, as the superuser.
    pub fn config(&self) -> tokio_postgres::Config {
        self.cluster.config(&self.name)
    }

    /// The cluster it is in, shared by all tests of this process: do not stop it.
    pub fn cluster(&self) -> &'static Cluster {
        self.cluster
    }

    /// A connection outside the pool, as the superuser, to prepare and to check data.
    ///
    /// # Errors
    /// The server does not answer.
    pub async fn connect(&self) -> Result<tokio_postgres::Client, ClusterError> {
        connect(self.cluster, &self.name).await
    }
}

/// The cluster of this process.
///
/// # Errors
/// As [`Cluster::start`].
pub async fn cluster() -> Result<&'static Cluster, ClusterError> {
    let running = env::var_os(SERVER_VARIABLE);
    let start = async || match running {
        Some(sockets) => Cluster::running(sockets.as_ref()),
        None => Cluster::temporary(Options::ephemeral()).await,
    };
    MAIN.cluster.get_or_try_init(start).await
}

/// A fresh database with all migrations applied.
///
/// # Errors
/// The cluster does not start, or a migration fails.
pub async fn database() -> Result<Database, ClusterError> {
    cluster().await?;
    MAIN.database().await
}

/// A fresh database with all migrations applied, in a second cluster of this process: its server shares nothing with
/// that of [`database`].
///
/// # Errors
/// As [`database`].
pub async fn database_elsewhere() -> Result<Database, ClusterError> {
    ELSEWHERE.database().await
}

/// A fresh database with nothing in it.
///
/// # Errors
/// The cluster does not start.
pub async fn empty_database() -> Result<Database, ClusterError> {
    create(cluster().await?, "template0").await
}

/// Applies the SQL file that [`SQL_VARIABLE`] names.
async fn alter(config: &tokio_postgres::Config) -> Result<(), ClusterError> {
    let Some(file) = env::var_os(SQL_VARIABLE) else { return Ok(()) };
    let sql = fs::read_to_string(file)?;
    let applied = connect_to(config).await?.batch_execute(&sql).await;
    applied.map_err(|error| ClusterError::Database(error.into()))
}

impl Cluster {
    /// A server that another process starts and stops.
    fn running(sockets: &Path) -> Result<Self, ClusterError> {
        let (account, binaries) = (Account::find()?, Binaries::find(None, None)?);
        let (place, options) = (Place::running(sockets)?, Options::ephemeral());
        let server = Mutex::new(None);
        Ok(Self(Arc::new(Shared { binaries, account, place, options, server })))
    }
}

impl Ground {
    const fn new() -> Self {
        Self { cluster: OnceCell::const_new(), template: OnceCell::const_new() }
    }

    async fn cluster(&self) -> Result<&Cluster, ClusterError> {
        self.cluster.get_or_try_init(|| Cluster::temporary(Options::ephemeral())).await
    }

    async fn database(&'static self) -> Result<Database, ClusterError> {
        let cluster = self.cluster().await?;
        self.template.get_or_try_init(|| make_template(cluster)).await?;
        let database = create(cluster, TEMPLATE).await?;
        alter(&database.config()).await?;
        Ok(database)
    }
}

async fn create(cluster: &'static Cluster, template: &str) -> Result<Database, ClusterError> {
    // The name has the process id, because a running server may serve several test programs.
    let name = format!("test_{}_{}", process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    statement(cluster, &format!("create database {name} template {template}")).await?;
    Ok(Database { cluster, name })
}

async fn make_template(cluster: &Cluster) -> Result<(), ClusterError> {
    if env::var_os(SERVER_VARIABLE).is_some() && connect(cluster, TEMPLATE).await.is_ok() {
        return Ok(());
    }
    // A test program that was interrupted may have left a partial template.
    statement(cluster, &format!("drop database if exists {TEMPLATE} with (force)")).await?;
    statement(cluster, &format!("create database {TEMPLATE} template template0")).await?;
    let migrated = crate::postgres::migrate::run(&cluster.config(TEMPLATE)).await;
    migrated.map(drop).map_err(|error| ClusterError::Database(error.into()))
}

async fn statement(cluster: &Cluster, sql: &str) -> Result<(), ClusterError> {
    let client = connect(cluster, "postgres").await?;
    client.batch_execute(sql).await.map_err(|error| ClusterError::Database(error.into()))
}

async fn connect(
    cluster: &Cluster,
    database: &str,
) -> Result<tokio_postgres::Client, ClusterError> {
    connect_to(&cluster.config(database)).await
}

async fn connect_to(
    config: &tokio_postgres::Config,
) -> Result<tokio_postgres::Client, ClusterError> {
    let connected = config.connect(NoTls).await;
    let (client, connection) = connected.map_err(|error| ClusterError::Database(error.into()))?;
    // The task ends with the client. Errors of the connection are reported by the client's calls.
    tokio::spawn(async move { drop(connection.await) });
    Ok(client)
}
