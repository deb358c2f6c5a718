//! The folders of a cluster.
//!
//! `{data_dir}/pgdata` has Postgres's own files. `{data_dir}` also has `lock` (held by the process that uses the
//! cluster), `server.log` and, if `pgdata` had to be somewhere else, `location`.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Read, Seek, SeekFrom},
    os::unix::{
        ffi::{OsStrExt, OsStringExt},
        fs::DirBuilderExt,
    },
    path::{Path, PathBuf},
};

use uuid::Uuid;

use super::{ClusterError, account::Account};

/// The longest path of a unix socket on Linux; macOS allows 103.
const SOCKET_PATH_BYTES_MAX: usize = 103;
const SOCKET_NAME_BYTES: usize = "/tollgate-0123456789ab/.s.PGSQL.65535.lock".len();

/// A cluster's folders. Only this process uses them while this value lives.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) pgdata: PathBuf,
    pub(super) sockets: PathBuf,
    pub(super) log: PathBuf,
    /// The folder of a temporary cluster, which is deleted after the server has ended.
    pub(super) disposable: Option<PathBuf>,
    // The operating system releases the lock even if we are killed.
    _lock: File,
}

impl Place {
    /// Takes the data folder, and creates it if it does not exist. Refused while another process has it.
    pub(super) fn take(data_dir: &Path, account: Account) -> Result<Self, ClusterError> {
        fs::create_dir_all(data_dir).map_err(|error| ClusterError::folder(data_dir, error))?;
        let data_dir = fs::canonicalize(data_dir)?;
        let lock = lock(&data_dir)?;
        let pgdata = pgdata(&data_dir, account)?;
        let sockets = temporary_name(account)?;
        Ok(Self {
            pgdata,
            sockets,
            log: data_dir.join("server.log"),
            disposable: None,
            _lock: lock,
        })
    }

    /// A new folder, which is deleted after the server has ended.
    pub(super) fn temporary(account: Account) -> Result<Self, ClusterError> {
        let folder = temporary_name(account)?;
        private(&folder, account)?;
        let lock = lock(&folder)?;
        Ok(Self {
            pgdata: folder.join("pgdata"),
            sockets: folder.clone(),
            log: folder.join("server.log"),
            disposable: Some(folder),
            _lock: lock,
        })
    }

    /// The folder of a server that another process runs. Nothing in it is ours to delete.
    pub(super) fn running(sockets: &Path) -> Result<Self, ClusterError> {
        let folder = File::open(sockets).map_err(|error| ClusterError::folder(sockets, error))?;
        Ok(Self {
            pgdata: sockets.join("pgdata"),
            sockets: sockets.to_owned(),
            log: sockets.join("server.log"),
            disposable: None,
            _lock: folder,
        })
    }

    /// The major version of the cluster in these folders, if there is one.
    pub(super) fn major(&self) -> Option<u32> {
        fs::read_to_string(self.pgdata.join("PG_VERSION")).ok()?.trim().parse().ok()
    }

    /// Opens a new, empty log. The previous log is renamed and kept.
    pub(super) fn open_log(&self) -> io::Result<File> {
        if self.log.exists() {
            fs::rename(&self.log, self.log.with_extension("log.1"))?;
        }
        self.append_log()
    }

    /// Opens the log to append to it, for another program than the server.
    pub(super) fn append_log(&self) -> io::Result<File> {
        OpenOptions::new().create(true).append(true).open(&self.log)
    }

    /// The last lines of the log, at most 4 KiB.
    pub(super) fn log_tail(&self) -> String {
        const BYTES_MAX: u64 = 4096;
        let read = || -> io::Result<Vec<u8>> {
            let mut file = File::open(&self.log)?;
            let length = file.metadata()?.len();
            file.seek(SeekFrom::Start(length.saturating_sub(BYTES_MAX)))?;
            let mut tail = Vec::new();
            file.take(BYTES_MAX).read_to_end(&mut tail)?;
            Ok(tail)
        };
        read().map_or_else(
            |error| format!("(no log: {error})"),
            |tail| String::from_utf8_lossy(&tail).trim().to_owned(),
        )
    }
}

/// Creates a folder with mode 0700 for the account. The folder must not exist: its parent may be a folder in which
/// anybody can write.
pub(super) fn private(folder: &Path, account: Account) -> Result<(), ClusterError> {
    DirBuilder::new()
        .mode(0o700)
        .create(folder)
        .map_err(|error| ClusterError::folder(folder, error))?;
    account.own(folder).map_err(|error| ClusterError::folder(folder, error))
}

fn lock(data_dir: &Path) -> Result<File, ClusterError> {
    let path = data_dir.join("lock");
    let open = OpenOptions::new().create(true).write(true).truncate(false).open(&path);
    let file = open.map_err(|error| ClusterError::folder(&path, error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(ClusterError::InUse(data_dir.to_owned())),
        Err(TryLockError::Error(error)) => Err(ClusterError::folder(&path, error)),
    }
}

/// `{data_dir}/pgdata`. If the account cannot reach it, another folder, which the file `location` names.
fn pgdata(data_dir: &Path, account: Account) -> Result<PathBuf, ClusterError> {
    let location = data_dir.join("location");
    if let Ok(recorded) = fs::read(&location) {
        return Ok(PathBuf::from(std::ffi::OsString::from_vec(recorded)));
    }
    let here = data_dir.join("pgdata");
    if here.join("PG_VERSION").exists() || matches!(account, Account::Own) {
        return Ok(here);
    }
    let probe = data_dir.join("pgdata.probe");
    if !probe.exists() {
        private(&probe, account)?;
    }
    let reachable = account.reaches(&probe);
    fs::remove_dir(&probe)?;
    if reachable {
        return Ok(here);
    }
    let elsewhere = elsewhere(account)?.join("pgdata");
    fs::write(&location, elsewhere.as_os_str().as_bytes())?;
    Ok(elsewhere)
}

/// A new folder of the account that survives a reboot. Its name is random, so that nobody can have created it
/// before.
fn elsewhere(account: Account) -> Result<PathBuf, ClusterError> {
    let name = format!("tollgate-{}", random());
    for parent in ["/var/lib", "/var/tmp"] {
        let folder = Path::new(parent).join(&name);
        if private(&folder, account).is_ok() {
            if account.reaches(&folder) {
                return Ok(folder);
            }
            fs::remove_dir(&folder)?;
        }
    }
    Err(ClusterError::NoAccount)
}

/// A name that does not exist yet, short enough for a socket inside it, in a folder that the account reaches.
fn temporary_name(account: Account) -> Result<PathBuf, ClusterError> {
    let wanted = std::env::temp_dir();
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"/._-".contains(byte);
    let bytes = wanted.as_os_str().as_bytes();
    let fits = bytes.len().saturating_add(SOCKET_NAME_BYTES) <= SOCKET_PATH_BYTES_MAX;
    if wanted.is_absolute() && fits && bytes.iter().all(plain) && account.reaches(&wanted) {
        return Ok(wanted.join(format!("tollgate-{}", random())));
    }
    let fallback = Path::new("/tmp");
    if account.reaches(fallback) {
        return Ok(fallback.join(format!("tollgate-{}", random())));
    }
    Err(ClusterError::folder(fallback, io::ErrorKind::PermissionDenied.into()))
}

fn random() -> String {
    Uuid::new_v4().simple().to_string().chars().take(12).collect()
}
