//! A standby: a second server that replicates from a primary and can be promoted.

use super::{
    Account, Binaries, ClusterError, Options,
    place::{Place, private},
    server::run,
};

/// Copies the files of the server that listens in `primary` to `place`, for a standby of that server.
pub(super) fn copy(
    binaries: &Binaries,
    account: Account,
    place: &Place,
    options: &Options,
    primary: &Place,
) -> Result<(), ClusterError> {
    private(&place.pgdata, account)?;
    let mut command = account.command(binaries.program("pg_basebackup"));
    command.arg("--pgdata").arg(&place.pgdata).arg("--host").arg(&primary.sockets);
    command.arg(format!("--port={}", options.port));
    command.args(["--username=postgres", "--no-password"]);
    // The copy includes what is written meanwhile, and has the settings of a standby of `primary`.
    command.args(["--wal-method=stream", "--checkpoint=fast", "--write-recovery-conf"]);
    if options.volatile {
        command.arg("--no-sync");
    }
    succeed("pg_basebackup", command, place, options)
}

/// Promotes a running standby, and waits until it accepts writes.
pub(super) fn promote(
    binaries: &Binaries,
    account: Account,
    place: &Place,
    options: &Options,
) -> Result<(), ClusterError> {
    let mut command = account.command(binaries.program("pg_ctl"));
    command.arg("promote").arg("--pgdata").arg(&place.pgdata).arg("--wait");
    command.arg("--timeout").arg(options.start_max.as_secs().max(1).to_string());
    succeed("pg_ctl promote", command, place, options)
}

fn succeed(
    what: &str,
    mut command: std::process::Command,
    place: &Place,
    options: &Options,
) -> Result<(), ClusterError> {
    let log = place.append_log().map_err(|error| ClusterError::folder(&place.log, error))?;
    let status = run(&mut command, &log, options.start_max)?;
    if status.success() {
        return Ok(());
    }
    Err(ClusterError::Start { reason: format!("{what}: {status}"), log: place.log_tail() })
}
