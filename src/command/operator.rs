//! The databases of an operator's command.

use std::path::{Path, PathBuf};

use clap::Args;

use super::{Failure, dev::DEV_DATA_DIR, output::Output};
use crate::{
    gateway::{addresses::Addresses, config::Config, dev::running_database, installation},
    postgres,
};

const PLACEMENTS: &str = "TOLLGATE_DATABASE__PLACEMENTS__";

/// The database of an operator's command, and the format of the answer.
#[derive(Debug, Args)]
pub(super) struct Operator {
    /// The database. Default: the one in --config, else the one of a `tollgate dev` that runs in this folder
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_name = "URL")]
    pub(super) database_url: Option<String>,
    /// The server's configuration file
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// One JSON line for machines
    #[arg(long)]
    pub(super) json: bool,
}

/// The main database, and the further ones from the configuration file or, without a file, from the environment. Also
/// returns the configuration, if a file was named.
pub(super) fn databases(operator: &Operator) -> Result<(Addresses, Option<Config>), Failure> {
    let environment = Config::environment();
    let Some(file) = &operator.config else {
        // Without a file, only the placements count: the other variables are settings of a server.
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
