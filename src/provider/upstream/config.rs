//! What an upstream is set up with, and what its base URL makes of a path.

use std::time::Duration;

use http::{
    Uri,
    uri::{Authority, PathAndQuery, Scheme},
};

use super::{SecretRef, kind::Kind};
use crate::domain::{dialect::Dialect, endpoint::Endpoint, policy::AllowList};

/// Query parameters that are passed on. Nothing else of a caller's query reaches the provider.
const QUERY_PASSED: [&str; 5] = ["beta", "limit", "after", "after_id", "before_id"];

/// One provider account to send calls to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "server", derive(serde::Deserialize), serde(deny_unknown_fields))]
#[non_exhaustive]
pub struct UpstreamConfig {
    /// The word for it in records, logs and metrics.
    pub name: String,
    /// Whose shapes it speaks.
    pub dialect: Dialect,
    /// Where it is, as the vendors' own clients are told: `https://api.openai.com/v1`,
    /// `https://api.anthropic.com`. `/v1` is added where the provider needs it and it is missing.
    pub base_url: String,
    /// Default: none is sent.
    #[cfg_attr(feature = "server", serde(default))]
    pub credential: Option<SecretRef>,
    /// Default: all of its dialect. Which models it serves: [`Router`](crate::provider::Router)
    /// sends others elsewhere.
    #[cfg_attr(feature = "server", serde(default))]
    pub models: AllowList,
    /// Default 120 s: from the request to the answer's head. A provider sends the head of an answer
    /// that is not streamed when all of it is done.
    #[cfg_attr(feature = "server", serde(default = "head_timeout", with = "humantime_serde"))]
    pub head_timeout: Duration,
    /// Default 60 s: between two pieces of an answer's body.
    #[cfg_attr(feature = "server", serde(default = "idle_timeout", with = "humantime_serde"))]
    pub idle_timeout: Duration,
    /// Default: none. Beginnings of further request headers that are passed on (`x-mock-` in
    /// development). Credentials, cookies and what belongs to the connection never are.
    #[cfg_attr(feature = "server", serde(default))]
    pub forward_header_prefixes: Vec<String>,
    /// Default `false`: whether the provider is told the organization, as
    /// `x-tollgate-organization-id`.
    #[cfg_attr(feature = "server", serde(default))]
    pub send_organization: bool,
}

const fn head_timeout() -> Duration {
    Duration::from_mins(2)
}

const fn idle_timeout() -> Duration {
    Duration::from_mins(1)
}

impl UpstreamConfig {
    /// An upstream with the defaults and no credential.
    pub fn new(name: &str, dialect: Dialect, base_url: &str) -> Self {
        Self {
            name: name.to_owned(),
            dialect,
            base_url: base_url.to_owned(),
            credential: None,
            models: AllowList::All,
            head_timeout: head_timeout(),
            idle_timeout: idle_timeout(),
            forward_header_prefixes: Vec::new(),
            send_organization: false,
        }
    }
}

/// The configuration cannot work.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UpstreamError {
    /// The base URL is not `http` or `https` with a host, or has user, query or fragment.
    #[error(
        "the base URL of upstream `{0}` must be http:// or https://, a host and at most a path"
    )]
    BaseUrl(String),
    /// No name: nothing could be recorded about it.
    #[error("an upstream has no name")]
    Name,
    /// Two of them have the same name.
    #[error("two upstreams are named `{0}`")]
    SameName(String),
}

/// A base URL, taken apart.
#[derive(Clone, Debug)]
pub(super) struct Base {
    scheme: Scheme,
    authority: Authority,
    prefix: String,
}

impl Base {
    pub(super) fn new(config: &UpstreamConfig) -> Result<Self, UpstreamError> {
        let wrong = || UpstreamError::BaseUrl(config.name.clone());
        if config.base_url.contains('#') {
            return Err(wrong());
        }
        let parts = config.base_url.parse::<Uri>().map_err(|_| wrong())?.into_parts();
        let scheme =
            parts.scheme.filter(|scheme| *scheme == Scheme::HTTP || *scheme == Scheme::HTTPS);
        let authority = parts.authority.filter(|authority| !authority.as_str().contains('@'));
        let (Some(scheme), Some(authority)) = (scheme, authority) else { return Err(wrong()) };
        let path = parts.path_and_query.unwrap_or_else(|| PathAndQuery::from_static("/"));
        if path.query().is_some() {
            return Err(wrong());
        }
        let mut prefix = path.path().trim_end_matches('/').to_owned();
        if !(Kind::of(config.dialect).has_version)(&prefix) {
            prefix.push_str("/v1");
        }
        Ok(Self { scheme, authority, prefix })
    }

    /// Where a caller's path is upstream; `None` for one that has no business there.
    pub(super) fn uri(&self, path: &str, query: Option<&str>) -> Option<Uri> {
        let mut target = format!("{}{}", self.prefix, known(path)?);
        let passed = query.unwrap_or_default().split('&').filter(|pair| {
            let name = pair.split_once('=').map_or(*pair, |(name, _)| name);
            QUERY_PASSED.contains(&name)
        });
        for (index, pair) in passed.enumerate() {
            target.push(if index == 0 { '?' } else { '&' });
            target.push_str(pair);
        }
        Uri::builder()
            .scheme(self.scheme.clone())
            .authority(self.authority.clone())
            .path_and_query(target)
            .build()
            .ok()
    }
}

/// The end of a path that the provider knows.
fn known(path: &str) -> Option<&str> {
    if let Some(endpoint) = Endpoint::of_path(path) {
        return Some(endpoint.spec().path_below_version());
    }
    let (before, _) = path.split_once("/models")?;
    let rest = path.get(before.len()..)?;
    let name = match rest.strip_prefix("/models")? {
        "" | "/" => return Some("/models"),
        name => name.strip_prefix('/')?,
    };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:/".contains(&byte);
    // No way up and out of the prefix.
    let safe =
        name.bytes().all(plain) && name.split('/').all(|part| !matches!(part, "" | "." | ".."));
    safe.then_some(rest)
}
