//! `tollgate dev`.

use std::{net::SocketAddr, path::PathBuf, process::ExitCode};

use clap::Args;

use super::{Failure, output::Output};
use crate::gateway::{
    config::{Config, Log, LogFormat},
    dev::{Dev, DevOptions},
    signals::StopSignals,
    telemetry,
};

/// Where `tollgate dev` listens by default.
pub(super) const DEV_LISTEN: &str = "127.0.0.1:8080";
/// Where `tollgate dev` keeps its data by default.
pub(super) const DEV_DATA_DIR: &str = ".tollgate";

#[derive(Debug, Args)]
pub(super) struct DevArgs {
    /// Where the gateway listens; port 0 picks a free port
    #[arg(long, default_value = DEV_LISTEN, value_name = "ADDRESS")]
    pub(super) listen: SocketAddr,
    /// The folder for all data
    #[arg(long, default_value = DEV_DATA_DIR, value_name = "DIR")]
    pub(super) data_dir: PathBuf,
    /// A provider instead of the mock, for example `http://127.0.0.1:11434`
    #[arg(long, value_name = "URL")]
    pub(super) upstream: Option<String>,
    /// A database instead of a private one, as its administrator
    ///
    /// `DATABASE_URL` is not read: it may name a database that others use. Dev makes organizations in it, and gives out
    /// tokens for those that it finds
    #[arg(long, value_name = "URL")]
    database_url: Option<String>,
    /// Listens beyond this machine if --listen says so. Then there is no /dev/token
    #[arg(long)]
    expose: bool,
    /// Without Postgres: everything in memory and lost at the end. No database and no data folder is used
    #[arg(long)]
    in_memory: bool,
    /// One JSON line on standard output when ready, and JSON logs on standard error
    #[arg(long)]
    pub(super) json: bool,
}

pub(super) async fn run(args: DevArgs) -> Result<ExitCode, Failure> {
    let Config { log, .. } = Config::load(None, Config::environment())?;
    let format = if args.json { LogFormat::Json } else { log.format };
    telemetry::log_to_stderr(&Log { format, ..log })?;
    let stop = StopSignals::install()?.watch();
    let options = DevOptions {
        listen: args.listen,
        data_dir: args.data_dir,
        upstream: args.upstream,
        database_url: args.database_url,
        in_memory: args.in_memory,
        expose: args.expose,
    };
    let dev = tokio::select! {
        started = Dev::start(&options) => started?,
        // Dropping `Dev::start` stops everything that it has started.
        () = stop.cancelled() => return Ok(ExitCode::SUCCESS),
    };
    let summary = dev.summary().clone();
    let output = Output::new(args.json);
    // The line is written once the gateway serves, so a reader of the line may call at once.
    let (stopped, said) = tokio::join!(dev.run(stop.clone()), async {
        let said = output.result(&summary, &summary);
        if said.is_err() {
            stop.cancel();
        }
        said
    });
    stopped?;
    said?;
    Ok(ExitCode::SUCCESS)
}
