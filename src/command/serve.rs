//! `tollgate serve`.

use std::{path::PathBuf, process::ExitCode};

use clap::Args;

use super::Failure;
use crate::gateway::{
    Gateway, addresses::Addresses, config::Config, database, server, signals::StopSignals,
    telemetry,
};

#[derive(Debug, Args)]
pub(super) struct ServeArgs {
    /// The configuration file; docs/tollgate.toml shows all settings
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

pub(super) async fn run(args: ServeArgs) -> Result<ExitCode, Failure> {
    let config = Config::load(args.config.as_deref(), Config::environment())?;
    config.check()?;
    telemetry::log_to_stderr(&config.log)?;
    let stop = StopSignals::install()?.watch();
    let start = async {
        let listener = server::listen(config.server.listen).await?;
        // With port 0, the log is where to find the port.
        let listen = listener.local_addr()?;
        let operators = match config.server.admin_listen {
            Some(address) => Some(server::listen(address).await?),
            None => None,
        };
        let (addresses, seal) = (Addresses::of(&config)?, config.seal()?);
        let stores = database::stores(&addresses, &config.database, &config.credit, seal).await?;
        let mut gateway = Gateway::assemble(&config, stores).await?;
        for url in config.listen_urls()? {
            gateway = gateway.listening_to(database::listened(&url)?);
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
