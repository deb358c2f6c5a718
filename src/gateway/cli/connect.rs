//! Which database an operator's command is about.

use std::path::Path;

use super::{
    Failure,
    args::{DEV_DATA_DIR, Operator},
};
use crate::gateway::{config::Config, dev::running_database};

/// The database that was named: on the command line or by `DATABASE_URL`, in the configuration, or
/// by the `tollgate dev` that runs in this folder.
pub(super) fn database_url(operator: &Operator) -> Result<String, Failure> {
    if let Some(url) = &operator.database_url {
        return Ok(url.clone());
    }
    if let Some(file) = &operator.config {
        return Ok(Config::load(Some(file), Config::environment())?.database_url()?);
    }
    running_database(Path::new(DEV_DATA_DIR)).ok_or_else(|| {
        Failure::new(
            "no database is named: set DATABASE_URL, pass --database-url or --config, or run this where `tollgate dev` runs",
        )
    })
}
