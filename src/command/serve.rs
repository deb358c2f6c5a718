//! `tollgate serve`.

use std::{path::PathBuf, process::ExitCode};

use clap::Args;

use super::Failure;
use crate::gateway::{Gateway, config::Config, database, server, signals::StopSignals, telemetry};

#[derive(Debug, Args)]
pub(super) struct ServeArgs {
    /// The configuration file; docs/tollgate.toml shows all settings
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

pub(super) async fn run(args: ServeArgs) -> Result<ExitCode, Failure> {
    let config = Config::load(args.config.as_deref(), Config::environment())?;
    let (databases, settings) = (config.databases()?, config.settings()?);
    telemetry::log_to_stderr(&config.log)?;
    let stop = StopSignals::install()?.watch();
    let start = async {
        let listener = server::listen(settings.listen).await?;
        // With port 0, the log is where to find the port.
        let listen = listener.local_addr()?;
        let operators = match settings.admin_listen {
            Some(address) => Some(server::listen(address).await?),
            None => None,
        };
        let stores = database::stores(&databases).await?;
        let mut gateway = Gateway::assemble(settings, stores).await?;
        for url in &databases.listened {
            gateway = gateway.listening_to(database::listened(url)?);
        }
        Ok::<_, Failure>((gateway, listener, listen, operators))
    };
    let (gateway, listener, listen, operators) = tokio::select! {
        started = start => started?,
        () = stop.cancelled() => return Ok(ExitCode::SUCCESS),
    };
    tracing::info!(%listen, "ready");
    gateway.run(listener, operators, stop).await;
    tracing::info!("stopped");
    Ok(ExitCode::SUCCESS)
}
