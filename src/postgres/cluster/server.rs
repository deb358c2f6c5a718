//! The server's process, under a small shell script that stops it when our process has ended.

use std::{
    fs::{self, File},
    io::{self, Write},
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use super::{ClusterError, Options, account::Account, binaries::Binaries, place::Place};

const SUPERVISE: &str = include_str!("supervise.sh");
const POLL_EVERY: Duration = Duration::from_millis(10);

/// A running server. Dropping it starts a fast stop, and does not wait for it.
#[derive(Debug)]
pub(super) struct Server {
    // In an `Option` so that `Drop` can hand them over.
    shell: Option<Child>,
    pipe: Option<ChildStdin>,
}

impl Server {
    /// Starts the server and waits until it takes connections.
    pub(super) fn start(
        binaries: &Binaries,
        account: Account,
        place: &Place,
        options: &Options,
    ) -> Result<Self, ClusterError> {
        let started = Instant::now();
        loop {
            let mut server = Self::spawn(binaries, account, place, options)?;
            match server.wait_ready(place, started, options) {
                // Backends of a killed server may keep its shared memory for a moment.
                Err(ClusterError::Start { log, .. })
                    if log.contains("shared memory block")
                        && started.elapsed() < options.start_max =>
                {
                    thread::sleep(POLL_EVERY);
                }
                Err(error) => return Err(error),
                Ok(()) => return Ok(server),
            }
        }
    }

    fn spawn(
        binaries: &Binaries,
        account: Account,
        place: &Place,
        options: &Options,
    ) -> Result<Self, ClusterError> {
        let log = place.open_log().map_err(|error| ClusterError::folder(&place.log, error))?;
        let mut command = account.command("/bin/sh");
        command.args(["-c", SUPERVISE, "sh"]).arg(&place.sockets);
        command.arg(place.disposable.as_deref().unwrap_or_else(|| Path::new("")));
        command.arg(binaries.program("postgres")).arg("-D").arg(&place.pgdata);
        for (name, value) in options.settings() {
            command.arg("-c").arg(format!("{name}={value}"));
        }
        command.arg("-c").arg(format!("unix_socket_directories={}", place.sockets.display()));
        // A process group of its own, so that Ctrl-C reaches only us. The server stops when we have ended.
        command.process_group(0);
        command.stdin(Stdio::piped()).stdout(log.try_clone()?).stderr(log);
        let mut shell = command.spawn()?;
        let pipe = shell.stdin.take();
        Ok(Self { shell: Some(shell), pipe })
    }

    fn wait_ready(
        &mut self,
        place: &Place,
        since: Instant,
        options: &Options,
    ) -> Result<(), ClusterError> {
        let limit = options.start_max;
        let socket = place.sockets.join(format!(".s.PGSQL.{}", options.port));
        loop {
            if let Some(status) = self.exited()? {
                return Err(ClusterError::Start {
                    reason: status.to_string(),
                    log: place.log_tail(),
                });
            }
            // The file may still be that of an earlier server, which names another sockets folder.
            let state = fs::read_to_string(place.pgdata.join("postmaster.pid")).unwrap_or_default();
            let ours =
                state.lines().nth(4).is_some_and(|sockets| Path::new(sockets) == place.sockets);
            // A standby that takes connections says `standby`, not `ready`.
            let status = state.lines().nth(7).unwrap_or_default().trim();
            let ready = matches!(status, "ready" | "standby");
            if ours && ready && socket.exists() {
                return Ok(());
            }
            if since.elapsed() >= limit {
                let reason = format!("not ready after {limit:?}");
                return Err(ClusterError::Start { reason, log: place.log_tail() });
            }
            thread::sleep(POLL_EVERY);
        }
    }

    /// Sends the server a signal, by name.
    pub(super) fn signal(&mut self, name: &str) -> io::Result<()> {
        match &mut self.pipe {
            Some(pipe) => writeln!(pipe, "{name}"),
            None => Ok(()),
        }
    }

    /// Whether the server has ended.
    pub(super) fn exited(&mut self) -> io::Result<Option<ExitStatus>> {
        self.shell.as_mut().map_or(Ok(None), Child::try_wait)
    }

    /// Waits for the end of a server that has been signalled.
    pub(super) fn wait(&mut self, place: &Place, limit: Duration) -> Result<(), ClusterError> {
        let since = Instant::now();
        while self.exited()?.is_none() {
            if since.elapsed() >= limit {
                return Err(ClusterError::Stop { limit, log: place.log_tail() });
            }
            thread::sleep(POLL_EVERY);
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.pipe.take());
        if let Some(mut shell) = self.shell.take() {
            // Reaps the process, so that it does not stay a zombie. Without a thread, it does.
            let reap = move || drop(shell.wait());
            drop(thread::Builder::new().name("postgres-reaper".to_owned()).spawn(reap));
        }
    }
}

/// Runs a command to its end, and kills it after `limit`. Its output goes to the log.
pub(super) fn run(
    command: &mut Command,
    log: &File,
    limit: Duration,
) -> Result<ExitStatus, ClusterError> {
    command.stdout(log.try_clone()?).stderr(log.try_clone()?);
    let since = Instant::now();
    let mut child = command.spawn()?;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if since.elapsed() >= limit {
            child.kill()?;
            return Ok(child.wait()?);
        }
        thread::sleep(POLL_EVERY);
    }
}

/// Creates the cluster's files. A run that is interrupted leaves no partial cluster.
pub(super) fn initialise(
    binaries: &Binaries,
    account: Account,
    place: &Place,
    options: &Options,
) -> Result<(), ClusterError> {
    let log = place.open_log().map_err(|error| ClusterError::folder(&place.log, error))?;
    let unfinished = place.pgdata.with_extension("unfinished");
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished)
            .map_err(|error| ClusterError::folder(&unfinished, error))?;
    }
    super::place::private(&unfinished, account)?;
    let mut command = account.command(binaries.program("initdb"));
    command.arg("--pgdata").arg(&unfinished);
    // Only the owner (and root) can enter the socket's folder, which has mode 0700.
    command.args([
        "--auth=trust",
        "--username=postgres",
        "--encoding=UTF8",
        "--locale=C",
        "--no-instructions",
    ]);
    if options.volatile {
        command.arg("--no-sync");
    }
    let status = run(&mut command, &log, options.start_max)?;
    if !status.success() {
        return Err(ClusterError::Start {
            reason: format!("initdb: {status}"),
            log: place.log_tail(),
        });
    }
    fs::rename(&unfinished, &place.pgdata)
        .map_err(|error| ClusterError::folder(&place.pgdata, error))
}

/// Stops a server that still runs on these files although the process that started it has ended (we hold the lock).
pub(super) fn stop_orphan(
    binaries: &Binaries,
    account: Account,
    place: &Place,
    limit: Duration,
) -> Result<(), ClusterError> {
    let pid_file = place.pgdata.join("postmaster.pid");
    let Ok(state) = fs::read_to_string(&pid_file) else { return Ok(()) };
    let Some(pid) = state.lines().next().and_then(|line| line.trim().parse::<u32>().ok()) else {
        return Ok(());
    };
    if !is_server(pid, &place.pgdata) {
        // Another process may have the number by now, and Postgres would mistake it for a server.
        return match fs::remove_file(&pid_file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
            Ok(()) | Err(_) => Ok(()),
        };
    }
    let log = place.open_log().map_err(|error| ClusterError::folder(&place.log, error))?;
    for mode in ["fast", "immediate"] {
        let mut command = account.command(binaries.program("pg_ctl"));
        command.arg("stop").arg("-D").arg(&place.pgdata).args(["-w", "-m", mode]);
        command.arg("-t").arg(limit.as_secs().max(1).to_string());
        if run(&mut command, &log, limit.saturating_add(Duration::from_secs(5)))?.success()
            || !is_server(pid, &place.pgdata)
        {
            return Ok(());
        }
    }
    Err(ClusterError::Stop { limit, log: place.log_tail() })
}

/// Whether this process is a Postgres server on these files.
fn is_server(pid: u32, pgdata: &Path) -> bool {
    let folder = pgdata.display().to_string();
    let command_line = fs::read(format!("/proc/{pid}/cmdline")).ok().or_else(|| {
        // No /proc: macOS, BSD.
        let output =
            Command::new("ps").args(["-ww", "-o", "args=", "-p"]).arg(pid.to_string()).output();
        output.ok().map(|output| output.stdout)
    });
    command_line.is_some_and(|line| {
        let line = String::from_utf8_lossy(&line).into_owned();
        line.contains("postgres") && line.contains(&folder)
    })
}
