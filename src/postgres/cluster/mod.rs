//! A private Postgres cluster: for `tollgate dev` and for tests.
//!
//! It uses the server programs that are on the machine (Postgres 15 or newer) and listens on a unix
//! socket only. It ends with the process that started it, even if that process is killed.
//!
//! ```no_run
//! use tollgate::postgres::cluster::{Cluster, Options};
//!
//! # async fn example() -> Result<(), tollgate::postgres::cluster::ClusterError> {
//! let cluster = Cluster::start("./data", Options::default()).await?;
//! println!("psql '{}'", cluster.url("postgres"));
//! cluster.stop().await
//! # }
//! ```
//!
//! # Who can connect
//! The socket is in a folder of mode 0700, which has a short random name in the temporary folder.
//! Users who can enter the folder (its owner, and root) need no password. There is no TCP port.
//!
//! # As root
//! Postgres refuses to run as root. Its processes and files then belong to the account `postgres` or, if
//! there is no such account, to `nobody`. If that account cannot reach the data folder (below `/root`, say),
//! Postgres's files go to a new folder `/var/lib/tollgate-…` (else `/var/tmp/tollgate-…`). The file
//! `location` in the data folder names it: to delete the cluster, delete both folders.
//!
//! # After an unclean end
//! The process that uses the data folder locks it. If nobody holds the lock and a server still runs on
//! the folder, it is stopped. A stale `postmaster.pid` is removed. Postgres then recovers by itself.

mod account;
mod binaries;
mod install;
mod place;
mod server;
mod standby;
pub mod testing;
#[cfg(test)]
mod tests;
mod tried;

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;

pub use binaries::{BIN_VARIABLE, MAJOR_MIN};

use self::{account::Account, binaries::Binaries, place::Place, server::Server};

/// How a cluster is run.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// Default none. The folder with the server programs. Without it, the folder that `TOLLGATE_POSTGRES_BIN` names, or
    /// else that of the newest programs found.
    pub bin_dir: Option<PathBuf>,
    /// Default `false`. Whether the files may be lost if the machine (not just the server) crashes: then `fsync` is
    /// off. For tests only.
    pub volatile: bool,
    /// Default 60 s. How long each of creating, starting and recovering the cluster may take.
    pub start_max: Duration,
    /// Default 30 s. How long stopping may take.
    pub stop_max: Duration,
    /// Default 100. The server's `max_connections`.
    pub connections_max: u32,
    /// Default 5432. The port in the name of the socket. With a setting `listen_addresses`, also the TCP port.
    pub port: u16,
    /// Default none. More server settings, by name. They override ours.
    pub settings: Vec<(String, String)>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            bin_dir: None,
            volatile: false,
            start_max: Duration::from_mins(1),
            stop_max: Duration::from_secs(30),
            connections_max: 100,
            port: 5432,
            settings: Vec::new(),
        }
    }
}

impl Options {
    /// For tests: nothing is flushed to disk, so the files do not survive a crash of the machine.
    pub fn ephemeral() -> Self {
        Self { volatile: true, connections_max: 300, ..Self::default() }
    }

    fn settings(&self) -> Vec<(String, String)> {
        let durable = if self.volatile { "off" } else { "on" };
        let connections = self.connections_max.to_string();
        // Tests prove several databases at once, and a proof locks whatever it tries.
        let locks = if self.volatile { "256" } else { "64" };
        let port = self.port.to_string();
        let ours = [
            ("listen_addresses", ""),
            ("port", &port),
            ("unix_socket_permissions", "0700"),
            ("max_connections", &connections),
            ("max_locks_per_transaction", locks),
            ("shared_buffers", "64MB"),
            ("max_wal_size", "256MB"),
            ("fsync", durable),
            ("full_page_writes", durable),
            ("synchronous_commit", "on"),
            ("timezone", "UTC"),
            ("log_timezone", "UTC"),
            // Errors are logged without their statements, because statements may hold what people wrote.
            ("log_min_error_statement", "panic"),
            ("log_parameter_max_length_on_error", "0"),
            ("cluster_name", "tollgate"),
        ];
        let ours = ours.map(|(name, value)| (name.to_owned(), value.to_owned()));
        ours.into_iter().chain(self.settings.iter().cloned()).collect()
    }
}

/// A running cluster. It stops when it is dropped, and when this process ends, even if it is killed.
#[derive(Debug)]
pub struct Cluster(Arc<Shared>);

struct Shared {
    binaries: Binaries,
    account: Account,
    place: Place,
    options: Options,
    server: Mutex<Option<Server>>,
}

impl Cluster {
    /// Starts the cluster in this folder, and creates both if they do not exist.
    ///
    /// # Errors
    /// There are no server programs, the folder is in use by another process or not writable, or the server does
    /// not start in time. Each error says what to do, or has the end of the server's log.
    pub async fn start(data_dir: impl AsRef<Path>, options: Options) -> Result<Self, ClusterError> {
        let data_dir = data_dir.as_ref().to_owned();
        blocking(move || Self::begin(|account| Place::take(&data_dir, account), options)).await
    }

    /// Starts a new, empty cluster, whose files are deleted when it is dropped or this process ends.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn temporary(options: Options) -> Result<Self, ClusterError> {
        blocking(move || Self::begin(Place::temporary, options)).await
    }

    fn begin(
        place: impl FnOnce(Account) -> Result<Place, ClusterError>,
        options: Options,
    ) -> Result<Self, ClusterError> {
        let account = Account::find()?;
        // Before the first folder is created: without server programs, nothing is left behind.
        Binaries::find(options.bin_dir.as_deref(), None)?;
        let place = place(account)?;
        let binaries = Binaries::find(options.bin_dir.as_deref(), place.major())?;
        let shared = Shared { binaries, account, place, options, server: Mutex::new(None) };
        shared.start()?;
        Ok(Self(Arc::new(shared)))
    }

    /// Starts a standby of a running cluster: a copy that replicates from the primary through its socket. For tests of
    /// failovers.
    ///
    /// The standby has the options of `primary` and accepts no writes before it is [promoted](Self::promote). Its files
    /// are deleted when it is dropped or this process ends. Commits on `primary` wait for the standby once
    /// `synchronous_standby_names` there names it (`*` does). Set that after this call, otherwise the copy has the
    /// setting, too.
    ///
    /// # Errors
    /// As [`start`](Self::start); also if `pg_basebackup` is not among the server programs, or fails.
    pub async fn standby_of(primary: &Self) -> Result<Self, ClusterError> {
        let primary = Arc::clone(&primary.0);
        blocking(move || {
            let (binaries, account) = (primary.binaries.clone(), primary.account);
            let (place, options) = (Place::temporary(account)?, primary.options.clone());
            // From here on a failure drops the standby, which deletes its folder.
            let standby = Shared { binaries, account, place, options, server: Mutex::new(None) };
            let Shared { binaries, place, options, .. } = &standby;
            standby::copy(binaries, account, place, options, &primary.place)?;
            standby.start()?;
            Ok(Self(Arc::new(standby)))
        })
        .await
    }

    /// Promotes a standby, and resolves when it accepts writes. What its primary writes after this is lost.
    ///
    /// # Errors
    /// The cluster is not a standby, does not run, or is not promoted in time.
    pub async fn promote(&self) -> Result<(), ClusterError> {
        self.with(|shared| {
            let Shared { binaries, account, place, options, .. } = shared;
            standby::promote(binaries, *account, place, options)
        })
        .await
    }

    /// The URL of a database, for every client that takes libpq's URIs. It holds no secret.
    pub fn url(&self, database: &str) -> String {
        let sockets = encoded(&self.0.place.sockets.to_string_lossy());
        let port = self.0.options.port;
        format!("postgresql://postgres@/{}?host={sockets}&port={port}", encoded(database))
    }

    /// The same address as a configuration of `tokio-postgres`.
    pub fn config(&self, database: &str) -> tokio_postgres::Config {
        let mut config = tokio_postgres::Config::new();
        config.host_path(&self.0.place.sockets).port(self.0.options.port);
        config.user("postgres").dbname(database);
        config
    }

    /// The folder of the socket, whose name is `.s.PGSQL.` and the port.
    pub fn socket_dir(&self) -> &Path {
        &self.0.place.sockets
    }

    /// The folder of Postgres's own files.
    pub fn postgres_dir(&self) -> &Path {
        &self.0.place.pgdata
    }

    /// The major and minor version of the server programs.
    pub fn version(&self) -> (u32, u32) {
        self.0.binaries.version()
    }

    /// Stops the server: open statements are cancelled, everything is flushed. Does not wait for clients. Idempotent.
    ///
    /// # Errors
    /// The server did not stop in time.
    pub async fn stop(&self) -> Result<(), ClusterError> {
        self.with(|shared| shared.stop("INT")).await
    }

    /// Stops the server at once and without a checkpoint, like a crash of the server. The next start recovers.
    ///
    /// # Errors
    /// The server did not stop in time.
    pub async fn stop_immediate(&self) -> Result<(), ClusterError> {
        self.with(|shared| shared.stop("QUIT")).await
    }

    /// Kills the server's first process, as the out-of-memory killer would. The next start recovers.
    ///
    /// # Errors
    /// The server did not end in time.
    pub async fn kill(&self) -> Result<(), ClusterError> {
        self.with(|shared| shared.stop("KILL")).await
    }

    /// Stops the server if it runs, and starts it again at the same URL.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn restart(&self) -> Result<(), ClusterError> {
        self.with(|shared| {
            shared.stop("INT")?;
            shared.start()
        })
        .await
    }

    /// Starts the server again if it has ended by itself, as a service manager does. Returns whether it had ended.
    ///
    /// # Errors
    /// As [`start`](Self::start): whatever ended the server may prevent its start, too.
    pub async fn revive(&self) -> Result<bool, ClusterError> {
        self.with(Shared::revive).await
    }

    async fn with<T: Send + 'static>(
        &self,
        run: impl FnOnce(&Shared) -> Result<T, ClusterError> + Send + 'static,
    ) -> Result<T, ClusterError> {
        let shared = Arc::clone(&self.0);
        blocking(move || run(&shared)).await
    }
}

impl Shared {
    fn start(&self) -> Result<(), ClusterError> {
        let mut server = self.server.lock();
        let Self { binaries, account, place, options, .. } = self;
        if place.major().is_none() {
            server::initialise(binaries, *account, place, options)?;
        } else {
            server::stop_orphan(binaries, *account, place, options.stop_max)?;
        }
        if !place.sockets.exists() {
            place::private(&place.sockets, *account)?;
        }
        *server = Some(Server::start(binaries, *account, place, options)?);
        Ok(())
    }

    fn revive(&self) -> Result<bool, ClusterError> {
        let ended = {
            let mut slot = self.server.lock();
            match slot.as_mut() {
                Some(server) => server.exited()?.is_some(),
                None => true,
            }
        };
        if ended {
            self.start()?;
        }
        Ok(ended)
    }

    fn stop(&self, signal: &str) -> Result<(), ClusterError> {
        let mut slot = self.server.lock();
        let Some(server) = slot.as_mut() else { return Ok(()) };
        if server.exited()?.is_none() {
            server.signal(signal)?;
            server.wait(&self.place, self.options.stop_max)?;
        }
        *slot = None;
        Ok(())
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let slot = self.server.get_mut();
        let running = slot.as_mut().is_some_and(|server| matches!(server.exited(), Ok(None)));
        if running {
            // The supervisor stops the server and deletes the folders.
            drop(slot.take());
            return;
        }
        // An error is ignored, because nothing can be done about it here.
        let folder = self.place.disposable.as_ref().unwrap_or(&self.place.sockets);
        drop(fs::remove_dir_all(folder));
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster")
            .field("pgdata", &self.place.pgdata)
            .field("sockets", &self.place.sockets)
            .field("version", &self.binaries.version())
            .finish_non_exhaustive()
    }
}

/// Why a cluster cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClusterError {
    /// There are no server programs on this machine.
    #[error(
        "no Postgres server programs (postgres, initdb, pg_ctl) were found. Install Postgres {MAJOR_MIN} or newer {}, \
         or set {BIN_VARIABLE} to the folder that has them",
        install::advice()
    )]
    NoServer,
    /// The named folder holds no server programs.
    #[error("{} does not hold the Postgres programs postgres, initdb and pg_ctl (see {BIN_VARIABLE})", .0.display())]
    NoServerAt(PathBuf),
    /// The installed server programs are too old.
    #[error(
        "Postgres {newest} is too old: install {MAJOR_MIN} or newer, or set {BIN_VARIABLE} to the folder that has it"
    )]
    TooOld {
        /// The newest major version that was found.
        newest: u32,
    },
    /// The cluster was created by a major version that is not installed.
    #[error(
        "the cluster was made by Postgres {data}, the newest here is {newest}: install Postgres {data}, \
         set {BIN_VARIABLE} to the folder that has it, or choose another data folder"
    )]
    OtherMajor {
        /// The cluster's major version.
        data: u32,
        /// The newest major version that was found.
        newest: u32,
    },
    /// Another process runs this cluster.
    #[error("{} is in use by another running process: stop it, or choose another data folder", .0.display())]
    InUse(PathBuf),
    /// We are root, and no other account can run the server.
    #[error(
        "Postgres does not run as root, and no account `postgres` or `nobody` can run it here: start as another user"
    )]
    NoAccount,
    /// A folder or file cannot be used.
    #[error("{}: {error}", .folder.display())]
    Folder {
        /// The folder or file.
        folder: PathBuf,
        /// What the operating system says.
        #[source]
        error: io::Error,
    },
    /// The server did not come up.
    #[error("Postgres did not start ({reason}); the end of its log:\n{log}")]
    Start {
        /// How the server ended, or that it took too long.
        reason: String,
        /// The end of the server's log.
        log: String,
    },
    /// The server did not stop.
    #[error("Postgres did not stop within {limit:?}; the end of its log:\n{log}")]
    Stop {
        /// The time-out.
        limit: Duration,
        /// The end of the server's log.
        log: String,
    },
    /// The operating system refused something else.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A test database could not be made.
    #[error("the test database could not be made: {0}")]
    Database(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl ClusterError {
    fn folder(folder: &Path, error: io::Error) -> Self {
        Self::Folder { folder: folder.to_owned(), error }
    }
}

/// Runs blocking work (processes and files) outside the runtime's worker threads.
async fn blocking<T: Send + 'static>(
    run: impl FnOnce() -> Result<T, ClusterError> + Send + 'static,
) -> Result<T, ClusterError> {
    match tokio::task::spawn_blocking(run).await {
        Ok(result) => result,
        Err(error) => Err(io::Error::other(error).into()),
    }
}

/// Percent-encoded for any part of a URI.
fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push('%');
            let digits = [byte >> 4, byte & 15].map(u32::from);
            encoded.extend(digits.iter().filter_map(|digit| char::from_digit(*digit, 16)));
        }
    }
    encoded
}
