//! Which database an operator's command is about.

use std::path::Path;

use super::{
    Failure,
    args::{DEV_DATA_DIR, Operator},
};
use crate::gateway::{config::Config, dev::running_database};

/// The database that was named: on the command line or by `DATABASE_URL`, in the configuration, or
/// by the `tollgate dev` that runs in this folder. And the configuration, if a file of it was named.
pub(super) fn database(operator: &Operator) -> Result<(String, Option<Config>), Failure> {
    let config = match &operator.config {
        Some(file) => Some(Config::load(Some(file), Config::environment())?),
        None => None,
    };
    let url = match (&operator.database_url, &config) {
        (Some(url), _) => url.clone(),
        (None, Some(config)) => config.database_url()?,
        (None, None) => running_database(Path::new(DEV_DATA_DIR)).ok_or_else(|| {
            Failure::new(
                "no database is named: set DATABASE_URL, pass --database-url or --config, or run this where `tollgate dev` runs",
            )
        })?,
    };
    Ok((url, config))
}
