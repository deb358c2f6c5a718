//! The addresses of an installation's databases.

use std::collections::BTreeMap;

/// The URLs of the databases. They contain passwords, so they must not be logged.
#[derive(Clone)]
pub(crate) struct Addresses {
    /// The database with the directory.
    pub(crate) main: String,
    /// Further databases, by name.
    pub(crate) placements: BTreeMap<String, String>,
}

impl Addresses {
    /// The addresses of an installation with one database.
    pub(crate) const fn only(main: String) -> Self {
        Self { main, placements: BTreeMap::new() }
    }
}
