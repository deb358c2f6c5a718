//! Checks the values. Each error says what to do.

use std::{collections::BTreeMap, time::Duration};

use http::{Uri, uri::Scheme};
use zeroize::Zeroizing;

use super::{Config, ConfigError, Identity, Limits, Placement, Prepared, Upstream, load::PREFIX};
use crate::{
    postgres::Seal,
    provider::upstream::SecretRef,
    tenant::{Algorithm, LEEWAY_MAX},
};

const HOLD_TTL_MIN: Duration = Duration::from_secs(1);

impl Config {
    /// Checks the meaning of the values, and that every required value is set. The error says what to do.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.check_database()?;
        self.placement_urls()?;
        self.check_identity()?;
        self.check_origins()?;
        self.check_bounds()?;
        self.check_replica()?;
        self.check_upstreams()?;
        self.check_encrypted()
    }

    /// Refuses plain http beyond this machine, unless the configuration allows it. This concerns the keys that verify
    /// tokens, and calls that carry a provider's credential.
    pub(in crate::gateway) fn check_encrypted(&self) -> Result<(), ConfigError> {
        let keys = self.identity.jwks_url.as_deref().unwrap_or_default();
        encrypted("identity", "jwks_url", keys, "jwks_allow_http", self.identity.jwks_allow_http)?;
        for (index, Upstream { base_url, allow_http, .. }) in self.upstream.iter().enumerate() {
            encrypted(
                &format!("upstream[{index}]"),
                "base_url",
                base_url,
                "allow_http",
                *allow_http,
            )?;
        }
        Ok(())
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

    fn check_identity(&self) -> Result<(), ConfigError> {
        let Identity {
            issuer,
            audience,
            jwks_url,
            organization_claim,
            role_claim,
            team_claim,
            key_claim,
            algorithms,
            leeway,
            ..
        } = &self.identity;
        required(
            "identity.issuer",
            issuer.as_deref(),
            "the `iss` of the tokens that callers bring",
        )?;
        required(
            "identity.audience",
            audience.as_deref(),
            "the `aud` of the tokens that callers bring",
        )?;
        let jwks_url = required(
            "identity.jwks_url",
            jwks_url.as_deref(),
            "the address where the issuer publishes its keys",
        )?;
        http_url("identity.jwks_url", jwks_url)?;
        for (key, pointer) in [
            ("identity.organization_claim", Some(organization_claim)),
            ("identity.role_claim", role_claim.as_ref()),
            ("identity.team_claim", team_claim.as_ref()),
            ("identity.key_claim", key_claim.as_ref()),
        ] {
            if pointer.is_some_and(|pointer| !pointer.starts_with('/')) {
                return Err(ConfigError::invalid(
                    key,
                    "must be a JSON pointer such as `/organization_id`",
                ));
            }
        }
        if let Some(unknown) = algorithms.iter().find(|name| name.parse::<Algorithm>().is_err()) {
            let problem = format!(
                "`{unknown}` is none: RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384 or EdDSA"
            );
            return Err(ConfigError::invalid("identity.algorithms", problem));
        }
        if algorithms.is_empty() {
            return Err(ConfigError::invalid(
                "identity.algorithms",
                "names no algorithm: leave it out for [\"RS256\"]",
            ));
        }
        if *leeway > LEEWAY_MAX {
            return Err(ConfigError::invalid(
                "identity.leeway",
                "must be 30s at the most: set the clocks right instead",
            ));
        }
        Ok(())
    }

    /// Checks the spelling of origins: an origin is compared byte by byte with the one that a browser sends.
    pub(in crate::gateway) fn check_origins(&self) -> Result<(), ConfigError> {
        for (index, origin) in self.server.cors_origins.iter().enumerate() {
            let sent = origin.parse::<Uri>().is_ok_and(|uri| {
                let (scheme, authority) = (uri.scheme_str(), uri.authority());
                authority.is_some_and(|authority| {
                    let authority = authority.as_str();
                    matches!(scheme, Some("http" | "https"))
                        && !authority.contains(['@', '*'])
                        && *origin == format!("{}://{authority}", scheme.unwrap_or_default())
                        && *origin == origin.to_lowercase()
                })
            });
            if !sent {
                return Err(ConfigError::invalid(
                    format!("server.cors_origins[{index}]"),
                    "must be an origin as browsers send it: `https://app.example.com`, with its port if it has one, \
                     in small letters, without a path, and not `*`",
                ));
            }
        }
        Ok(())
    }

    fn check_bounds(&self) -> Result<(), ConfigError> {
        let server = &self.server;
        for (key, value) in [
            ("server.body_bytes_max", server.body_bytes_max),
            ("server.calls_in_flight_max", server.calls_in_flight_max),
            ("server.connections_max", server.connections_max),
            ("database.pool_size", self.database.pool_size),
        ] {
            if value == 0 {
                return Err(ConfigError::invalid(
                    key,
                    "must be at least 1: leave it out for the default",
                ));
            }
        }
        for (key, value) in [
            ("server.header_read_timeout", server.header_read_timeout),
            ("server.body_read_timeout", server.body_read_timeout),
            ("server.write_stall_timeout", server.write_stall_timeout),
            ("server.answer_timeout", server.answer_timeout),
            ("database.wait_timeout", self.database.wait_timeout),
            ("database.create_timeout", self.database.create_timeout),
            ("database.move_timeout", self.database.move_timeout),
        ] {
            if value.is_zero() {
                return Err(ConfigError::invalid(
                    key,
                    "must be longer than 0s: leave it out for the default",
                ));
            }
        }
        if self.credit.hold_ttl < HOLD_TTL_MIN {
            return Err(ConfigError::invalid(
                "credit.hold_ttl",
                "must be at least 1s: several heartbeats must fit into it",
            ));
        }
        Ok(())
    }

    fn check_replica(&self) -> Result<(), ConfigError> {
        let Limits { replicas, replica_index } = self.limits;
        if replica_index.is_some_and(|index| index >= replicas.get()) {
            return Err(ConfigError::invalid(
                "limits.replica_index",
                format!("must be below limits.replicas, which is {replicas}: the first one is 0"),
            ));
        }
        Ok(())
    }

    fn check_upstreams(&self) -> Result<(), ConfigError> {
        if self.upstream.is_empty() {
            return Err(ConfigError::invalid(
                "upstream",
                "there is none: add an [[upstream]] with name, base_url and models",
            ));
        }
        for (index, Upstream { name, base_url, models, .. }) in self.upstream.iter().enumerate() {
            let key = |field: &str| format!("upstream[{index}].{field}");
            required(&key("name"), Some(name), "a name for logs, metrics and records")?;
            let base_url = required(
                &key("base_url"),
                Some(base_url),
                "the provider's address, without `/v1/…`",
            )?;
            http_url(&key("base_url"), base_url)?;
            if models.is_empty() {
                return Err(ConfigError::invalid(
                    key("models"),
                    "names no model: list those that it serves, or `[\"*\"]` for all that have a price",
                ));
            }
            let namesakes = self.upstream.iter().filter(|other| other.name == *name).count();
            if namesakes > 1 {
                return Err(ConfigError::invalid(
                    key("name"),
                    format!("`{name}` is used {namesakes} times: names tell upstreams apart"),
                ));
            }
        }
        Ok(())
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

fn required<'a>(key: &str, value: Option<&'a str>, what: &str) -> Result<&'a str, ConfigError> {
    let variable = variable_of(key);
    value.filter(|value| !value.trim().is_empty()).ok_or_else(|| {
        ConfigError::invalid(
            key,
            format!("not set. Set it in the configuration file, or {variable}, to {what}"),
        )
    })
}

fn http_url(key: &str, url: &str) -> Result<(), ConfigError> {
    let fits = url.parse::<Uri>().is_ok_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https"))
            && uri.host().is_some_and(|host| !host.is_empty())
    });
    // An address may hold a key in its user part, so the error does not repeat the address.
    if fits {
        Ok(())
    } else {
        Err(ConfigError::invalid(key, "must be an address such as `https://api.example.com`"))
    }
}

fn encrypted(
    section: &str,
    key: &str,
    url: &str,
    allowing: &str,
    allowed: bool,
) -> Result<(), ConfigError> {
    let plain = url.parse::<Uri>().is_ok_and(|uri| uri.scheme() == Some(&Scheme::HTTP));
    if !plain || allowed || is_loopback(url) {
        return Ok(());
    }
    let problem = format!(
        "must be https:// beyond this machine: otherwise anyone on the network path can read and replace the traffic. \
         Set {section}.{allowing} if something else protects the path"
    );
    Err(ConfigError::invalid(format!("{section}.{key}"), problem))
}

/// Whether `url` stays on this machine and so needs no TLS.
pub(in crate::gateway) fn is_loopback(url: &str) -> bool {
    let host =
        url.parse::<Uri>().ok().and_then(|uri| uri.host().map(str::to_owned)).unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// The environment variable that overrides `key`.
pub(super) fn variable_of(key: &str) -> String {
    format!("{PREFIX}{}", key.replace('[', "__").replace(']', "").replace('.', "__").to_uppercase())
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
