//! The account that the server runs under: Postgres refuses to run as root.

use std::{
    ffi::OsStr,
    io,
    os::unix::process::CommandExt,
    path::Path,
    process::{Command, Stdio},
};

use super::ClusterError;

/// Who the server's processes and files belong to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Account {
    /// Us: we are not root.
    Own,
    /// An account without rights of its own, because we are root.
    Other { uid: u32, gid: u32 },
}

impl Account {
    /// Ours; where we are root, `postgres` if there is such an account, else `nobody`.
    pub(super) fn find() -> Result<Self, ClusterError> {
        if id(["-u"])? != 0 {
            return Ok(Self::Own);
        }
        for name in ["postgres", "nobody"] {
            if let (Ok(uid), Ok(gid)) = (id(["-u", name]), id(["-g", name])) {
                return Ok(Self::Other { uid, gid });
            }
        }
        Err(ClusterError::NoAccount)
    }

    /// A command that will run under this account, free of `PG…` variables meant for others.
    pub(super) fn command(self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        for (name, _) in std::env::vars_os() {
            if name.as_encoded_bytes().starts_with(b"PG") {
                command.env_remove(name);
            }
        }
        // The folder we stand in may be closed to the account.
        command.current_dir("/").env("LC_ALL", "C").stdin(Stdio::null());
        if let Self::Other { uid, gid } = self {
            command.uid(uid).gid(gid);
        }
        command
    }

    /// Gives a folder to this account.
    pub(super) fn own(self, path: &Path) -> io::Result<()> {
        match self {
            Self::Own => Ok(()),
            Self::Other { uid, gid } => std::os::unix::fs::chown(path, Some(uid), Some(gid)),
        }
    }

    /// Whether this account can write in the folder, all folders above it included.
    pub(super) fn reaches(self, folder: &Path) -> bool {
        let mut probe = self.command("/bin/sh");
        probe.args(["-c", r#"cd "$1" 2>/dev/null && test -w ."#, "sh"]).arg(folder);
        probe.status().is_ok_and(|status| status.success())
    }
}

fn id<const N: usize>(arguments: [&str; N]) -> Result<u32, ClusterError> {
    let output =
        Command::new("id").args(arguments).stderr(Stdio::null()).output().map_err(|error| {
            let message =
                format!("the program `id`, which tells who we are, cannot be run: {error}");
            io::Error::new(error.kind(), message)
        })?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim().parse().map_err(|_| ClusterError::NoAccount)
}
