//! The account that the server runs under: Postgres refuses to run as root.

use std::{
    ffi::OsStr,
    io,
    os::unix::process::CommandExt,
    path::Path,
    process::{Command, Stdio},
};

use super::ClusterError;

/// The account that the server's processes and files belong to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Account {
    /// Our own account: we are not root.
    Own,
    /// Another account without special rights, because we are root.
    Other { uid: u32, gid: u32 },
}

impl Account {
    /// Our own account. If we are root: `postgres` if that account exists, else `nobody`.
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

    /// A command that will run under this account, without our `PG…` variables, which are meant for other servers.
    pub(super) fn command(self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        for (name, _) in std::env::vars_os() {
            if name.as_encoded_bytes().starts_with(b"PG") {
                command.env_remove(name);
            }
        }
        // The account may not be allowed to enter our current folder.
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
                format!("the program `id`, which tells our account, cannot be run: {error}");
            io::Error::new(error.kind(), message)
        })?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim().parse().map_err(|_| ClusterError::NoAccount)
}
