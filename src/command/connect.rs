//! Which databases an operator's command is about.

use std::path::Path;

use super::{
    Failure,
    args::{DEV_DATA_DIR, Operator},
};
use crate::gateway::{addresses::Addresses, config::Config, dev::running_database};

const PLACEMENTS: &str = "TOLLGATE_DATABASE__PLACEMENTS__";

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
