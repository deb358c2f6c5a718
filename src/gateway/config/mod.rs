//! The server's configuration: one TOML file, every value overridable by the environment.
//!
//! `TOLLGATE_<SECTION>__<KEY>` overrides `key` in `[section]`; lists are separated by commas, and
//! `TOLLGATE_UPSTREAM__0__BASE_URL` is the first `[[upstream]]`'s `base_url`. `DATABASE_URL` overrides `database.url`.
//! An unknown key is an error that names the key and its file, because a misspelled limit would not be enforced.
//! Secrets are references (`env:NAME`, `file:/path`), never values.

mod databases;
mod error;
mod load;
mod sections;
mod settings;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

pub(crate) use databases::{Databases, seal_at};
pub use error::ConfigError;
pub use sections::{Audit, Credit, Database, Identity, Limits, Log, LogFormat, Placement, Server};
pub use settings::Settings;

use crate::provider::upstream::UpstreamConfig;

/// The file and the environment as they were read. [`settings`](Self::settings) gives what a gateway can be assembled
/// from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where and how the server listens.
    pub server: Server,
    /// The database of record.
    pub database: Database,
    /// Whose tokens are accepted.
    pub identity: Identity,
    /// The providers, in order of preference.
    pub upstream: Vec<UpstreamConfig>,
    /// Rates across replicas.
    pub limits: Limits,
    /// How calls wait for credits that other calls hold.
    pub credit: Credit,
    /// What the audit log may keep.
    pub audit: Audit,
    /// What is logged for operators.
    pub log: Log,
}
