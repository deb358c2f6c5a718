//! `tollgate dev`.

use std::process::ExitCode;

use super::{Failure, args::DevArgs, output::Output};
use crate::gateway::{
    config::{Config, Log, LogFormat},
    dev::{Dev, DevOptions},
    signals::StopSignals,
    telemetry,
};

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
    };
    let dev = tokio::select! {
        started = Dev::start(&options) => started?,
        // Dropped half started, it takes with it what it had started.
        () = stop.cancelled() => return Ok(ExitCode::SUCCESS),
    };
    let summary = dev.summary().clone();
    let output = Output::new(args.json);
    // Written once it serves: who reads the line may call at once.
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
