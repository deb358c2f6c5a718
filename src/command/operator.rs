//! Which databases an operator's command is about.

use std::path::{Path, PathBuf};

use clap::Args;

use super::{Failure, dev::DEV_DATA_DIR, output::Output};
use crate::{
    gateway::{addresses::Addresses, config::Config, dev::running_database, installation},
    postgres,
};

const PLACEMENTS: &str = "TOLLGATE_DATABASE__PLACEMENTS__";

/// Which database an operator's command is about, and how it answers.
#[derive(Debug, Args)]
pub(super) struct Operator {
    /// The database; else that of --config; else, that of the `tollgate dev` that runs in this folder
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_name = "URL")]
    pub(super) database_url: Option<String>,
    /// The server's configuration file
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// One JSON line for machines
    #[arg(long)]
    pub(super) json: bool,
}

/// The main database that was named, and the further ones of the configuration, or of the environment. And the
/// configuration, if a file of it was named.
pub(super) fn databases(operator: &Operator) -> Result<(Addresses, Option<Config>), Failure> {
    let environment = Config::environment();
    let Some(file) = &operator.config else {
        // Of what is meant for a server, only these are for a command that reads no file.
        let placements = environment.into_iter().filter(|(name, _)| name.starts_with(PLACEMENTS));
        let placements = Config::load(None, placements)?.placement_urls()?;
        return Ok((Addresses { main: main(operator, None)?, placements }, None));
    };
    let config = Config::load(Some(file), environment)?;
    let placements = config.placement_urls()?;
    Ok((Addresses { main: main(operator, Some(&config))?, placements }, Some(config)))
}

/// The database that was named: on the command line or by `DATABASE_URL`, in the configuration, or
/// by the `tollgate dev` that runs in this folder.
fn main(operator: &Operator, config: Option<&Config>) -> Result<String, Failure> {
    match (&operator.database_url, config) {
        (Some(url), _) => Ok(url.clone()),
        (None, Some(config)) => Ok(config.database_url()?),
        (None, None) => running_database(Path::new(DEV_DATA_DIR)).ok_or_else(|| {
            Failure::new(
                "no database is named: set DATABASE_URL, pass --database-url or --config, or run this where `tollgate dev` runs",
            )
        }),
    }
}

/// The store of an operator, and where results go.
pub(super) async fn begin(operator: &Operator) -> Result<(postgres::Operator, Output), Failure> {
    let (addresses, config) = databases(operator)?;
    let store = installation::operator(&addresses, config.as_ref()).await?;
    Ok((store, Output::new(operator.json)))
}
