//! Errors in a configuration. Each message says what to do.

use std::path::PathBuf;

/// The configuration cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration file {}: {source}", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not TOML, or a value is of the wrong type.
    #[error("the configuration cannot be read: {0}")]
    Malformed(String),
    /// A key that the configuration does not have.
    #[error("unknown key `{key}` in {origin}; {expected}")]
    UnknownKey {
        /// The key, with its section.
        key: String,
        /// The file or the environment variable that contains the key.
        origin: String,
        /// The keys that could have been meant.
        expected: String,
    },
    /// A value is missing or invalid.
    #[error("{key}: {problem}")]
    Invalid {
        /// The key, with its section.
        key: String,
        /// What is wrong and what to do.
        problem: String,
    },
    /// A secret cannot be read from its reference.
    #[error("{key}: cannot read the secret at `{reference}`: {problem}")]
    Secret {
        /// The key that refers to the secret.
        key: String,
        /// The reference.
        reference: String,
        /// What is wrong, without the secret.
        problem: String,
    },
}

impl ConfigError {
    pub(super) fn invalid(key: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Invalid { key: key.into(), problem: problem.into() }
    }
}
