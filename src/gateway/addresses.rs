//! The addresses of an installation's databases.

use std::collections::BTreeMap;

use super::config::{Config, ConfigError};

/// Where the databases are. With passwords: not for logs.
#[derive(Clone)]
pub(crate) struct Addresses {
    /// The database with the directory.
    pub(crate) main: String,
    /// Further ones, by name.
    pub(crate) placements: BTreeMap<String, String>,
}

impl Addresses {
    /// One database.
    pub(crate) const fn only(main: String) -> Self {
        Self { main, placements: BTreeMap::new() }
    }

    /// Those of a configuration.
    pub(crate) fn of(config: &Config) -> Result<Self, ConfigError> {
        Ok(Self { main: config.database_url()?, placements: config.placement_urls()? })
    }
}
