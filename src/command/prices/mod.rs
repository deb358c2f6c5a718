//! `tollgate prices`: the list, agreements with organizations, and recomputed bills.

mod agree;
pub(super) mod args;
mod import;
mod rebill;
mod show;

use std::{fs, path::Path, process::ExitCode};

use self::args::PricesCommand;
use super::Failure;

/// The largest price file, in bytes; well above any real one.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

pub(super) async fn run(command: PricesCommand) -> Result<ExitCode, Failure> {
    match command {
        PricesCommand::Import(args) => import::run(args).await,
        PricesCommand::Show(args) => show::run(args).await,
        PricesCommand::SetOverride(args) => agree::set(args).await,
        PricesCommand::EndOverride(args) => agree::end(args).await,
        PricesCommand::Markup(args) => agree::markup(args).await,
        PricesCommand::Rebill(args) => rebill::run(args).await,
    }
}

fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    let cannot = |error| Failure::new(format!("cannot read {}: {error}", file.display()));
    let length = fs::metadata(file).map_err(cannot)?.len();
    if length > FILE_BYTES_MAX {
        return Err(Failure::new(format!("{} is too large for a price file", file.display())));
    }
    fs::read(file).map_err(cannot)
}
