//! The configuration of an upstream, and the URL at the provider for a caller's path.

use std::time::Duration;

use http::{
    Uri,
    uri::{Authority, PathAndQuery, Scheme},
};

use super::{SecretRef, kind::Kind};
use crate::{
    client::is_loopback,
    domain::{dialect::Dialect, endpoint::Endpoint, policy::AllowList},
};

/// The query parameters that are passed on to the provider; all others are dropped.
const QUERY_PASSED: [&str; 5] = ["beta", "limit", "after", "after_id", "before_id"];

/// One provider account to send calls to. In the gateway's file: `[[upstream]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(
    feature = "server",
    derive(serde::Serialize, serde::Deserialize),
    serde(default = "UpstreamConfig::unset", deny_unknown_fields)
)]
#[non_exhaustive]
pub struct UpstreamConfig {
    /// The upstream's name in records, logs and metrics.
    pub name: String,
    /// The API dialect that the provider speaks. Default in the gateway's file: `openai`.
    pub dialect: Dialect,
    /// The base URL, in the form that the vendors' own clients take: `https://api.openai.com/v1`,
    /// `https://api.anthropic.com`. If the provider needs `/v1` and it is missing, it is added.
    pub base_url: String,
    /// Default `false`. Whether `base_url` may be plain http beyond this machine. Set it only if a mesh protects the
    /// network path.
    pub allow_http: bool,
    /// Default: no credential is sent.
    pub credential: Option<SecretRef>,
    /// Default: all models; no default in the gateway's file. The models that this upstream serves;
    /// [`Router`](crate::provider::Router) tries the next route for others.
    pub models: AllowList,
    /// Default 120 s. The longest wait from the request to the head of a streamed answer. If an answer is not streamed, the
    /// provider sends its head only when the whole answer is ready: it may take as long as an answer
    /// (`server.answer_timeout`; without a `CallLayer`, this time).
    #[cfg_attr(feature = "server", serde(with = "humantime_serde"))]
    pub head_timeout: Duration,
    /// Default 10 minutes, as long as the vendors' own clients wait: a model that thinks may say nothing. The longest wait
    /// between two pieces of an answer's body.
    #[cfg_attr(feature = "server", serde(with = "humantime_serde"))]
    pub idle_timeout: Duration,
    /// Default: none. Prefixes of further request headers that are passed on (`x-mock-` in development). Credentials,
    /// cookies and headers of the connection are never passed on.
    pub forward_header_prefixes: Vec<String>,
    /// Default: none. Fields of a body that pass to this provider although the gateway does not know them. What they cost
    /// beyond their text has no bound: it is in no hold, and may exceed an organization's credits.
    pub allow_fields: Vec<String>,
    /// Default: `max_completion_tokens` at `OpenAI` and Azure, `max_tokens` elsewhere. The field in which this provider
    /// reads the cap of a chat call. It gets the gateway's cap there, and a caller's cap that is in the other field.
    pub cap_field: Option<CapField>,
    /// Default `true`. Whether the provider takes `stream_options`, by which the gateway asks for usage in a stream. If
    /// not, and no usage is reported unasked, a stream is charged by what was counted here.
    pub takes_stream_options: bool,
    /// Default `false`. Whether the provider gets the organization's id, as `x-tollgate-organization-id`.
    pub send_organization: bool,
}

/// The field of a chat call's cap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    feature = "server",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "snake_case")
)]
pub enum CapField {
    /// `max_completion_tokens`, the vendor's present one.
    MaxCompletionTokens,
    /// `max_tokens`, the older one, which compatible servers know.
    MaxTokens,
}

impl UpstreamConfig {
    /// An upstream with the defaults and no credential.
    pub fn new(name: &str, dialect: Dialect, base_url: &str) -> Self {
        Self {
            name: name.to_owned(),
            dialect,
            base_url: base_url.to_owned(),
            allow_http: false,
            credential: None,
            models: AllowList::All,
            head_timeout: Duration::from_mins(2),
            idle_timeout: Duration::from_mins(10),
            forward_header_prefixes: Vec::new(),
            allow_fields: Vec::new(),
            cap_field: None,
            takes_stream_options: true,
            send_organization: false,
        }
    }

    /// What a file sets if it sets nothing. Name, base URL and models are missing then: the gateway refuses that.
    #[cfg(feature = "server")]
    pub(crate) fn unset() -> Self {
        Self { models: AllowList::Only(Vec::new()), ..Self::new("", Dialect::OpenAi, "") }
    }

    /// Refuses a configuration that cannot work, or would send calls in plain text by mistake.
    #[cfg(feature = "server")]
    pub(crate) fn check(&self) -> Result<(), UpstreamError> {
        self.base().map(drop)
    }

    pub(super) fn base(&self) -> Result<Base, UpstreamError> {
        if self.name.trim().is_empty() {
            return Err(UpstreamError::Name);
        }
        Base::new(self)
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
    /// The base URL is plain `http` beyond this machine, and that is not allowed by name.
    #[error(
        "the base URL of upstream `{0}` must be https:// beyond this machine, unless its `allow_http` is set"
    )]
    PlainHttp(String),
    /// The upstream has no name, which records, logs and metrics need.
    #[error("an upstream has no name")]
    Name,
    /// Two upstreams have the same name.
    #[error("two upstreams are named `{0}`")]
    SameName(String),
}

/// A parsed base URL.
#[derive(Clone, Debug)]
pub(super) struct Base {
    scheme: Scheme,
    authority: Authority,
    prefix: String,
}

impl Base {
    fn new(config: &UpstreamConfig) -> Result<Self, UpstreamError> {
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
        if scheme == Scheme::HTTP && !config.allow_http && !is_loopback(authority.host()) {
            return Err(UpstreamError::PlainHttp(config.name.clone()));
        }
        let mut prefix = path.path().trim_end_matches('/').to_owned();
        if !(Kind::of(config.dialect).has_version)(&prefix) {
            prefix.push_str("/v1");
        }
        Ok(Self { scheme, authority, prefix })
    }

    /// Whether this is `OpenAI` itself or Azure, which know every field of the vendor. A call without a service tier gets
    /// the one of our account's settings there, which may cost more. Compatible servers may refuse newer fields.
    pub(super) fn is_vendor(&self) -> bool {
        let host = self.authority.host();
        host == "api.openai.com"
            || host.ends_with(".api.openai.com")
            || host.ends_with(".openai.azure.com")
    }

    /// The provider's URL for a caller's request; `None` if it is not one that is passed on.
    pub(super) fn uri(&self, endpoint: Option<Endpoint>, caller: &Uri) -> Option<Uri> {
        let path = match endpoint {
            Some(endpoint) => endpoint.spec().path_below_version(),
            None => models(caller.path())?,
        };
        let mut target = format!("{}{path}", self.prefix);
        let passed = caller.query().unwrap_or_default().split('&').filter(|pair| {
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

/// The end of a path, from `/models`.
fn models(path: &str) -> Option<&str> {
    let (before, _) = path.split_once("/models")?;
    let rest = path.get(before.len()..)?;
    let name = match rest.strip_prefix("/models")? {
        "" | "/" => return Some("/models"),
        name => name.strip_prefix('/')?,
    };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:/".contains(&byte);
    // No `..`: the path must not leave the prefix.
    let safe =
        name.bytes().all(plain) && name.split('/').all(|part| !matches!(part, "" | "." | ".."));
    safe.then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_account_decides_on_the_tier_at_the_vendor_itself_and_at_azure() {
        for (url, tiers) in [
            ("https://api.openai.com/v1", true),
            ("https://eu.api.openai.com", true),
            ("https://acme.openai.azure.com/openai/v1", true),
            ("https://api.openai.com.example.com", false),
            ("http://127.0.0.1:8000", false),
        ] {
            let base = Base::new(&UpstreamConfig::new("a", Dialect::OpenAi, url)).unwrap();
            assert_eq!(base.is_vendor(), tiers, "{url}");
        }
    }
}
