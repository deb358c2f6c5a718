//! References to secrets: where one is, never what it is.

use std::{fmt, path::PathBuf, str::FromStr};

use serde::{Deserialize, Serialize};

use super::ConfigError;

/// Where a secret is: `env:NAME` or `file:/path`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum SecretRef {
    /// An environment variable of this process.
    Env(String),
    /// A file, mounted by whoever runs this process. A trailing line break is not part of it.
    File(PathBuf),
}

/// The text is no reference. It may be the secret itself, so it is not repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a reference to a secret: write `env:NAME` or `file:/absolute/path`, never the secret itself"
)]
pub struct InvalidSecretRef;

impl FromStr for SecretRef {
    type Err = InvalidSecretRef;

    fn from_str(text: &str) -> Result<Self, InvalidSecretRef> {
        match text.split_once(':') {
            Some(("env", name)) if is_variable(name) => Ok(Self::Env(name.to_owned())),
            Some(("file", path)) if path.starts_with('/') => Ok(Self::File(PathBuf::from(path))),
            _ => Err(InvalidSecretRef),
        }
    }
}

impl SecretRef {
    /// The secret itself, now. `key` is the setting that refers to it, for the error.
    ///
    /// Fails where there is no such variable or file, or where it is empty.
    pub fn read(&self, key: &str) -> Result<String, ConfigError> {
        let read = match self {
            Self::Env(name) => std::env::var(name).map_err(|error| error.to_string()),
            Self::File(path) => std::fs::read_to_string(path).map_err(|error| error.to_string()),
        };
        let secret = read.and_then(|text| {
            let text = text.trim_end_matches(['\r', '\n']);
            if text.is_empty() { Err("it is empty".to_owned()) } else { Ok(text.to_owned()) }
        });
        secret.map_err(|problem| ConfigError::Secret {
            key: key.to_owned(),
            reference: self.to_string(),
            problem,
        })
    }
}

fn is_variable(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

impl TryFrom<String> for SecretRef {
    type Error = InvalidSecretRef;

    fn try_from(text: String) -> Result<Self, InvalidSecretRef> {
        text.parse()
    }
}

impl From<SecretRef> for String {
    fn from(reference: SecretRef) -> Self {
        reference.to_string()
    }
}

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "env:{name}"),
            Self::File(path) => write!(f, "file:{}", path.display()),
        }
    }
}
