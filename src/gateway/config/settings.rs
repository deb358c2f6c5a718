//! Judges the values of a configuration, and turns them into what the gateway's parts take. Each error says what to do.

use std::{
    net::SocketAddr,
    num::{NonZeroU32, NonZeroUsize},
    time::Duration,
};

use http::{HeaderValue, Uri, uri::Scheme};

use super::{Audit, Config, ConfigError, Credit, Identity, Limits, Server, load::PREFIX};
use crate::{
    client::is_loopback,
    domain::{policy::AllowList, request::AllowedFields},
    gateway::server::Bounds,
    provider::upstream::{UpstreamConfig, UpstreamError},
    tenant::{JwksOptions, VerifierConfig},
};

/// What hyper requires.
const HEAD_BYTES_MIN: usize = 8192;
const HOLD_TTL_MIN: Duration = Duration::from_secs(1);

/// Judged settings: what a [`Gateway`](crate::gateway::Gateway) is assembled from. Only [`Config::settings`] makes
/// them, so that no gateway runs with values that nobody has judged.
#[derive(Clone, Debug)]
pub struct Settings {
    pub(crate) listen: SocketAddr,
    pub(crate) admin_listen: Option<SocketAddr>,
    pub(crate) bounds: Bounds,
    pub(crate) cors_origins: Vec<HeaderValue>,
    pub(crate) body_bytes_max: usize,
    pub(crate) body_read_timeout: Duration,
    pub(crate) answer_timeout: Duration,
    pub(crate) drain_max: Duration,
    pub(crate) finish_grace: Duration,
    pub(crate) calls_in_flight_max: usize,
    pub(crate) verifier: VerifierConfig,
    pub(crate) keys: JwksOptions,
    pub(crate) upstreams: Vec<UpstreamConfig>,
    pub(crate) limits: Limits,
    pub(crate) credit: Credit,
    pub(crate) audit: Audit,
}

impl Config {
    /// The settings that a gateway is assembled from. Fails if a required value is missing or a value cannot be meant;
    /// the error says what to do.
    ///
    /// ```
    /// use tollgate::gateway::config::Config;
    ///
    /// let error = Config::default().settings().unwrap_err();
    /// assert!(error.to_string().contains("TOLLGATE_IDENTITY__ISSUER"));
    /// ```
    pub fn settings(&self) -> Result<Settings, ConfigError> {
        let (verifier, keys) = self.identity.settings()?;
        let Server {
            listen,
            admin_listen,
            ref cors_origins,
            body_bytes_max,
            calls_in_flight_max,
            connections_max,
            connection_streams_max,
            connection_age_max,
            head_bytes_max,
            header_read_timeout,
            body_read_timeout,
            write_stall_timeout,
            answer_timeout,
            drain_max,
            shutdown_grace,
            finish_grace,
        } = self.server;
        for (key, value) in [
            ("server.connection_age_max", connection_age_max),
            ("server.header_read_timeout", header_read_timeout),
            ("server.body_read_timeout", body_read_timeout),
            ("server.write_stall_timeout", write_stall_timeout),
            ("server.answer_timeout", answer_timeout),
        ] {
            longer_than_zero(key, value)?;
        }
        if connection_streams_max == 0 {
            at_least_one("server.connection_streams_max", 0)?;
        }
        if head_bytes_max < HEAD_BYTES_MIN {
            return Err(ConfigError::invalid(
                "server.head_bytes_max",
                "must be at least 8192: a token may be that long",
            ));
        }
        let bounds = Bounds {
            connections_max: at_least_one("server.connections_max", connections_max)?,
            connection_streams_max,
            connection_age_max,
            head_bytes_max,
            header_read_timeout,
            write_stall_timeout,
            shutdown_grace,
        };
        if self.credit.hold_ttl < HOLD_TTL_MIN {
            return Err(ConfigError::invalid(
                "credit.hold_ttl",
                "must be at least 1s: several heartbeats must fit into it",
            ));
        }
        Ok(Settings {
            listen,
            admin_listen,
            bounds,
            cors_origins: origins(cors_origins)?,
            body_bytes_max: at_least_one("server.body_bytes_max", body_bytes_max)?.get(),
            body_read_timeout,
            answer_timeout,
            drain_max: drain_max.unwrap_or(answer_timeout),
            finish_grace,
            calls_in_flight_max: at_least_one("server.calls_in_flight_max", calls_in_flight_max)?
                .get(),
            verifier,
            keys,
            upstreams: upstreams(&self.upstream)?,
            limits: self.limits.numbered()?,
            credit: self.credit,
            audit: self.audit,
        })
    }
}

impl Identity {
    fn settings(&self) -> Result<(VerifierConfig, JwksOptions), ConfigError> {
        let Self {
            issuer,
            audience,
            jwks_url,
            jwks_allow_http,
            organization_claim,
            role_claim,
            team_claim,
            key_claim,
            algorithms,
            leeway,
        } = self;
        let (issuer, audience) = (
            required("identity.issuer", issuer.as_deref(), "the `iss` of callers' tokens")?,
            required("identity.audience", audience.as_deref(), "the `aud` of callers' tokens")?,
        );
        let verifier = VerifierConfig {
            organization_claim: organization_claim.clone(),
            role_claim: role_claim.clone(),
            team_claim: team_claim.clone(),
            key_claim: key_claim.clone(),
            algorithms: algorithms.clone(),
            leeway: *leeway,
            ..VerifierConfig::new(issuer, audience)
        };
        verifier.check().map_err(|unfit| {
            ConfigError::invalid(format!("identity.{}", unfit.field), unfit.problem)
        })?;
        let url = required(
            "identity.jwks_url",
            jwks_url.as_deref(),
            "the address where the issuer publishes its keys",
        )?;
        let uri = url_of(url).ok_or_else(|| {
            ConfigError::invalid(
                "identity.jwks_url",
                "must be an address such as `https://login.example.com/jwks`",
            )
        })?;
        if leaves_plain(&uri) && !jwks_allow_http {
            return Err(plain("identity", "jwks_url", "jwks_allow_http"));
        }
        // What stays on this machine needs no TLS.
        let keys = JwksOptions { allow_http: true, ..JwksOptions::new(url) };
        Ok((verifier, keys))
    }
}

impl Limits {
    fn numbered(self) -> Result<Self, ConfigError> {
        let Self { replicas, replica_index } = self;
        if replica_index.is_some_and(|index| index >= replicas.get()) {
            return Err(ConfigError::invalid(
                "limits.replica_index",
                format!("must be below limits.replicas, which is {replicas}: the first one is 0"),
            ));
        }
        Ok(self)
    }

    /// Whether shares are rounded down because this replica does not know its number.
    pub(in crate::gateway) fn rounds_down(self) -> bool {
        self.replicas > NonZeroU32::MIN && self.replica_index.is_none()
    }
}

fn upstreams(configs: &[UpstreamConfig]) -> Result<Vec<UpstreamConfig>, ConfigError> {
    if configs.is_empty() {
        return Err(ConfigError::invalid(
            "upstream",
            "there is none: add an [[upstream]] with name, base_url and models",
        ));
    }
    for (index, config) in configs.iter().enumerate() {
        let section = format!("upstream[{index}]");
        let key = |field: &str| format!("{section}.{field}");
        required(&key("name"), Some(&config.name), "a name for logs, metrics and records")?;
        required(
            &key("base_url"),
            Some(&config.base_url),
            "the provider's address, without `/v1/…`",
        )?;
        if config.models == AllowList::Only(Vec::new()) {
            return Err(ConfigError::invalid(
                key("models"),
                "names no model: list those that it serves, or `[\"*\"]` for all that have a price",
            ));
        }
        for field in &config.allow_fields {
            if let Some(problem) = AllowedFields::problem(config.dialect, field) {
                let problem = format!("`{field}` cannot be allowed: {problem}");
                return Err(ConfigError::invalid(key("allow_fields"), problem));
            }
        }
        let namesakes = configs.iter().filter(|other| other.name == config.name).count();
        if namesakes > 1 {
            return Err(ConfigError::invalid(
                key("name"),
                format!("`{}` is used {namesakes} times: names tell upstreams apart", config.name),
            ));
        }
        config.check().map_err(|error| match error {
            UpstreamError::PlainHttp(_) => plain(&section, "base_url", "allow_http"),
            // A base URL may hold a key in its user part, so the error does not repeat it.
            UpstreamError::BaseUrl(_) => ConfigError::invalid(
                key("base_url"),
                "must be an address such as `https://api.example.com`, without user, query or fragment",
            ),
            UpstreamError::Name | UpstreamError::SameName(_) => {
                ConfigError::invalid(key("name"), error.to_string())
            }
        })?;
    }
    Ok(configs.to_vec())
}

/// Origins in the spelling that browsers send, since they are compared byte by byte.
fn origins(listed: &[String]) -> Result<Vec<HeaderValue>, ConfigError> {
    let parsed = listed.iter().enumerate().map(|(index, origin)| {
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
        sent.then(|| origin.parse().ok()).flatten().ok_or_else(|| {
            ConfigError::invalid(
                format!("server.cors_origins[{index}]"),
                "must be an origin as browsers send it: `https://app.example.com`, with its port if it has one, \
                 in small letters, without a path, and not `*`",
            )
        })
    });
    parsed.collect()
}

pub(super) fn at_least_one(key: &str, value: usize) -> Result<NonZeroUsize, ConfigError> {
    NonZeroUsize::new(value).ok_or_else(|| {
        ConfigError::invalid(key, "must be at least 1: leave it out for the default")
    })
}

pub(super) fn longer_than_zero(key: &str, value: Duration) -> Result<(), ConfigError> {
    if value.is_zero() {
        return Err(ConfigError::invalid(
            key,
            "must be longer than 0s: leave it out for the default",
        ));
    }
    Ok(())
}

pub(super) fn required<'a>(
    key: &str,
    value: Option<&'a str>,
    what: &str,
) -> Result<&'a str, ConfigError> {
    let variable = variable_of(key);
    value.filter(|value| !value.trim().is_empty()).ok_or_else(|| {
        ConfigError::invalid(
            key,
            format!("not set. Set it in the configuration file, or {variable}, to {what}"),
        )
    })
}

/// An absolute `http` or `https` URL with a host.
fn url_of(url: &str) -> Option<Uri> {
    let uri = url.parse::<Uri>().ok()?;
    let fits = matches!(uri.scheme_str(), Some("http" | "https"))
        && uri.host().is_some_and(|host| !host.is_empty());
    fits.then_some(uri)
}

/// Whether requests to this URL leave the machine in plain text.
fn leaves_plain(uri: &Uri) -> bool {
    uri.scheme() == Some(&Scheme::HTTP) && !uri.host().is_some_and(is_loopback)
}

fn plain(section: &str, key: &str, allowing: &str) -> ConfigError {
    let problem = format!(
        "must be https:// beyond this machine: otherwise anyone on the network path can read and replace the traffic. \
         Set {section}.{allowing} if something else protects the path"
    );
    ConfigError::invalid(format!("{section}.{key}"), problem)
}

/// The environment variable that overrides `key`.
fn variable_of(key: &str) -> String {
    format!("{PREFIX}{}", key.replace('[', "__").replace(']', "").replace('.', "__").to_uppercase())
}
