//! The `tollgate` command: its command line, and the work of each command.
//!
//! Results go to standard output, as text for people or with `--json` as one line for machines. Logs and errors go to
//! standard error. The exit status is 0 on success, 1 on failure or if a check fails, and 2 if the command line is
//! invalid.

mod args;
mod budgets;
mod credits;
mod dev;
mod limits;
mod migrate;
mod operator;
mod org;
mod output;
mod places;
mod policy;
mod prices;
mod prove;
mod reconcile;
mod refused;
mod scoped;
mod serve;
mod statement;
#[cfg(test)]
mod tests;
mod token;

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::FromArgMatches;

use self::args::{Cli, Command};
pub use self::output::Failure;

/// Runs the command from the process's arguments.
pub fn run() -> ExitCode {
    let cli = Cli::from_arg_matches(&Cli::known().get_matches());
    let cli = cli.unwrap_or_else(|error| error.exit());
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&Failure::new(format!("cannot start the runtime: {error}"))),
    };
    let outcome = runtime.block_on(dispatch(cli.command));
    // Tasks that still run were given time to end. They must not delay the end of the process.
    runtime.shutdown_background();
    match outcome {
        Ok(code) => code,
        Err(failure) => failed(&failure),
    }
}

async fn dispatch(command: Command) -> Result<ExitCode, Failure> {
    match command {
        Command::Dev(args) => Box::pin(dev::run(args)).await,
        Command::Serve(args) => serve::run(args).await,
        Command::Token(args) => token::run(args).await,
        Command::Migrate(args) => migrate::run(args).await,
        Command::Prove(args) => prove::run(args).await,
        Command::Reconcile(args) => reconcile::run(args).await,
        Command::Org(args) => org::run(args.command).await,
        Command::Credits(args) => credits::run(args.command).await,
        Command::Policy(args) => policy::run(args.command).await,
        Command::Budgets(args) => budgets::run(args.command).await,
        Command::Limits(args) => limits::run(args.command).await,
        Command::Prices(args) => prices::run(args.command).await,
        Command::Statement(args) => statement::run(args).await,
    }
}

fn failed(failure: &Failure) -> ExitCode {
    // If standard error is closed, the exit status still reports the failure.
    drop(writeln!(io::stderr().lock(), "error: {failure}"));
    ExitCode::FAILURE
}
