//! The databases that a configuration names. References to secrets are read here.

use std::collections::BTreeMap;

use zeroize::Zeroizing;

use super::{
    Config, ConfigError, Database, Placement,
    settings::{at_least_one, longer_than_zero, required},
};
use crate::{
    gateway::addresses::Addresses,
    postgres::{Prepared, Seal},
    provider::upstream::SecretRef,
    store::coalesce::Options,
};

/// The databases of a server, judged, and with their secrets.
pub(crate) struct Databases {
    pub(crate) addresses: Addresses,
    /// Where the server listens for changes.
    pub(crate) listened: Vec<String>,
    pub(crate) seal: Option<Seal>,
    /// The bounds of the pools.
    pub(crate) section: Database,
    /// How holds wait for each other.
    pub(crate) holds: Options,
}

impl Databases {
    /// The databases of an installation with one database and the default bounds.
    pub(in crate::gateway) fn only(url: String, seal: Option<Seal>) -> Self {
        Self {
            addresses: Addresses::only(url.clone()),
            listened: vec![url],
            seal,
            section: Database::default(),
            holds: Options::default(),
        }
    }
}

impl Config {
    /// The databases of a server. Every reference to a secret is read now. The error says what to do.
    pub(crate) fn databases(&self) -> Result<Databases, ConfigError> {
        let addresses = self.addresses()?;
        let section = self.database.clone();
        at_least_one("database.pool_size", section.pool_size)?;
        for (key, value) in [
            ("database.wait_timeout", section.wait_timeout),
            ("database.create_timeout", section.create_timeout),
            ("database.move_timeout", section.move_timeout),
        ] {
            longer_than_zero(key, value)?;
        }
        let mut holds = Options::default();
        (holds.wait_max, holds.waiting_max) = (self.credit.wait_max, self.credit.waiting_max);
        let (listened, seal) = (self.listen_urls()?, self.seal()?);
        Ok(Databases { addresses, listened, seal, section, holds })
    }

    /// The addresses of all databases, with passwords.
    pub(crate) fn addresses(&self) -> Result<Addresses, ConfigError> {
        Ok(Addresses { main: self.database_url()?, placements: self.placement_urls()? })
    }

    /// The address of the database with its password. If `database.url` is a reference, the address is read now.
    pub fn database_url(&self) -> Result<String, ConfigError> {
        self.check_database()?;
        let url = self.database.url.clone().unwrap_or_default();
        resolved(url, "database.url")
    }

    /// The addresses, with passwords, at which the server listens for changes: of the main database and of the further
    /// ones.
    pub fn listen_urls(&self) -> Result<Vec<String>, ConfigError> {
        let mut urls = Vec::new();
        urls.extend(match &self.database.listen_url {
            Some(url) => {
                self.check_database()?;
                Some(resolved(url.clone(), "database.listen_url")?)
            }
            // `never` means that the address is a pooler's, which passes no notices on.
            None if self.database.prepared == Prepared::Never => None,
            None => Some(self.database_url()?),
        });
        let all = self.placement_urls()?;
        for (name, Placement { listen_url, .. }) in &self.database.placements {
            let key = format!("database.placements.{name}.listen_url");
            urls.extend(match listen_url {
                Some(url) => Some(resolved(url.clone(), &key)?),
                None if self.database.prepared == Prepared::Never => None,
                None => all.get(name).cloned(),
            });
        }
        Ok(urls)
    }

    /// The addresses of the further databases, by name.
    pub fn placement_urls(&self) -> Result<BTreeMap<String, String>, ConfigError> {
        let mut urls = BTreeMap::new();
        for (name, Placement { url, listen_url, pool_size }) in &self.database.placements {
            let key = |field: &str| format!("database.placements.{name}.{field}");
            // Environment variables can spell only such names, and the directory cannot store a name with a colon.
            let fits = name.starts_with(|first: char| first.is_ascii_lowercase())
                && name.chars().all(|letter| {
                    letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-'
                });
            if !fits {
                return Err(ConfigError::invalid(
                    format!("database.placements.{name}"),
                    "must be named with small letters, digits and hyphens",
                ));
            }
            let wanted = "the Postgres that it stands for, as `env:NAME`";
            let url = required(&key("url"), url.as_deref(), wanted)?;
            check_address(&key("url"), url)?;
            if let Some(listen_url) = listen_url {
                check_address(&key("listen_url"), listen_url)?;
            }
            if *pool_size == 0 {
                return Err(ConfigError::invalid(
                    key("pool_size"),
                    "must be at least 1: leave it out for the default",
                ));
            }
            urls.insert(name.clone(), resolved(url.to_owned(), &key("url"))?);
        }
        Ok(urls)
    }

    /// The seal for claims, if `database.seal_key` names a key. The key is read now.
    pub fn seal(&self) -> Result<Option<Seal>, ConfigError> {
        let named = self.database.seal_key.as_ref();
        named.map(|reference| seal_at(reference, "database.seal_key")).transpose()
    }

    fn check_database(&self) -> Result<(), ConfigError> {
        let Some(url) = &self.database.url else {
            return Err(ConfigError::invalid(
                "database.url",
                "not set. Set DATABASE_URL, or `url = \"env:NAME\"` in [database], to the Postgres that holds the `tollgate` schema",
            ));
        };
        check_address("database.url", url)?;
        match &self.database.listen_url {
            Some(url) => check_address("database.listen_url", url),
            None => Ok(()),
        }
    }
}

fn check_address(key: &str, url: &str) -> Result<(), ConfigError> {
    let known = url.starts_with("postgres://")
        || url.starts_with("postgresql://")
        || url.parse::<SecretRef>().is_ok();
    if known {
        return Ok(());
    }
    Err(ConfigError::invalid(
        key,
        "must begin with `postgres://`, or be a reference: `env:NAME`, `file:/path`",
    ))
}

/// The seal with the key at `reference`. `key` is the setting that refers to it.
pub(crate) fn seal_at(reference: &SecretRef, key: &str) -> Result<Seal, ConfigError> {
    let digits = Zeroizing::new(read(reference, key)?);
    Seal::from_hex(&digits).map_err(|error| ConfigError::Secret {
        key: key.to_owned(),
        reference: reference.to_string(),
        problem: error.to_string(),
    })
}

/// The address: `url` itself, or the text that it refers to.
fn resolved(url: String, key: &str) -> Result<String, ConfigError> {
    match url.parse::<SecretRef>() {
        Ok(reference) => read(&reference, key),
        Err(_) => Ok(url),
    }
}

/// Reads the secret now, without a trailing line break. `key` is the setting that refers to the secret.
fn read(reference: &SecretRef, key: &str) -> Result<String, ConfigError> {
    let read = match reference {
        SecretRef::Env(name) => std::env::var(name).map_err(|error| error.to_string()),
        SecretRef::File(path) => std::fs::read_to_string(path).map_err(|error| error.to_string()),
    };
    let secret = read.and_then(|text| {
        let text = text.trim_end_matches(['\r', '\n']);
        if text.is_empty() { Err("it is empty".to_owned()) } else { Ok(text.to_owned()) }
    });
    secret.map_err(|problem| ConfigError::Secret {
        key: key.to_owned(),
        reference: reference.to_string(),
        problem,
    })
}
