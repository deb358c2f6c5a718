//! A provider over HTTP: `OpenAI`, Anthropic, and servers that are compatible with either (Azure's `/openai/v1`, vLLM,
//! Ollama, another gateway).
//!
//! Reads the request id from the [`Call`], and the organization's id from the [`Tenant`](crate::Tenant);
//! needs neither. Puts [`ServedBy`](crate::context::ServedBy) into the response. The provider's bytes pass without
//! delay, and unchanged but for a content encoding, which is removed. Only allow-listed headers cross: neither side sees credentials, cookies or accounts of the other.
//!
//! The service never fails; a failure of the provider becomes an answer in the caller's dialect:
//!
//! | provider | caller |
//! |---|---|
//! | cannot be reached, breaks off before the head, redirects | 502 `provider_failed` |
//! | no head in time | 504 `provider_timed_out` |
//! | 401, 402, 403, 407, or its account is out of money | 502: the credential is ours, not the caller's |
//! | other 4xx and 5xx | the same status and `retry-after`, and its reason in the caller's dialect, without words about our account |
//! | breaks off or falls silent after the head | the body ends with an error |
//!
//! Behind a [`CallLayer`](crate::call::CallLayer) with a finisher, a provider that takes too long is not hung up on: the
//! layer answers the client, and reads the provider's answer to its usage. There, `head_timeout` is for streams only.
//!
//! Does not follow redirects, does not retry, does not translate between dialects.
//!
//! ```
//! use tollgate::{
//!     client::HttpClient,
//!     domain::dialect::Dialect,
//!     provider::upstream::{Upstream, UpstreamConfig},
//! };
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut config = UpstreamConfig::new("anthropic", Dialect::Anthropic, "https://api.anthropic.com");
//! config.credential = Some("env:ANTHROPIC_API_KEY".parse()?);
//! let upstream = Upstream::new(config, HttpClient::default())?;
//! assert_eq!(upstream.name(), "anthropic");
//! # Ok(())
//! # }
//! ```

mod answer;
mod body;
mod config;
mod exchange;
mod failure;
mod headers;
mod kind;
mod plain;
mod secret;
#[cfg(test)]
mod tests;

use std::{
    convert::Infallible,
    num::NonZeroU32,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, request::Parts};
use http_body::Body;
use http_body_util::Full;
use hyper::body::Incoming;
use tower_service::Service;

pub use body::{UpstreamBody, UpstreamBroke};
pub use config::{CapField, UpstreamConfig, UpstreamError};
pub use secret::{NotASecretRef, SecretError, SecretRef};

use self::{
    answer::{Meaning, meaning},
    config::Base,
    exchange::Exchange,
    headers::{request_headers, request_id},
    kind::Kind,
    plain::Plain,
    secret::Credential,
};
use crate::{
    body::read,
    causes::causes,
    client::{ClientError, HttpClient},
    context::{self, Call, Overdue, Unanswered},
    domain::{dialect::Dialect, endpoint::Endpoint},
    refusal::Refusal,
};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The largest request body that is sent; `CallLayer` has its own, smaller limit.
const REQUEST_BYTES_MAX: usize = 256 << 20;

/// A provider over HTTP. Cheap to clone; clones share credential and connections. See the
/// [module docs](self).
#[derive(Clone, Debug)]
pub struct Upstream {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    name: Arc<str>,
    config: UpstreamConfig,
    base: Base,
    credential: Option<Credential>,
    client: HttpClient,
}

impl Upstream {
    /// A provider reached through `client`. Does not connect, and does not fetch the credential:
    /// see [`check_credential`](Self::check_credential).
    pub fn new(config: UpstreamConfig, client: HttpClient) -> Result<Self, UpstreamError> {
        let base = config.base()?;
        let credential = config
            .credential
            .clone()
            .map(|reference| Credential::new(reference, Kind::of(config.dialect)));
        let name = config.name.as_str().into();
        Ok(Self { inner: Arc::new(Inner { name, config, base, credential, client }) })
    }

    /// The upstream's name in records, logs and metrics.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// The API dialect that the provider speaks.
    pub fn dialect(&self) -> Dialect {
        self.inner.config.dialect
    }

    /// The upstream's configuration.
    pub fn config(&self) -> &UpstreamConfig {
        &self.inner.config
    }

    /// Fetches the credential, so that a missing credential is found at start and not by the first call.
    pub async fn check_credential(&self) -> Result<(), SecretError> {
        match &self.inner.credential {
            Some(credential) => credential.header().await.map(drop),
            None => Ok(()),
        }
    }
}

impl<B> Service<Request<B>> for Upstream
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<UpstreamBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<UpstreamBody>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let inner = Arc::clone(&self.inner);
        let (parts, body) = request.into_parts();
        Box::pin(async move {
            let exchange = inner.exchange(&parts);
            Ok(match inner.send(&exchange, &parts, body).await {
                Ok(answer) => answer,
                Err(Failure { refusal, reason, detail, left }) => {
                    let mut answer = exchange.fail(&refusal, reason, &detail);
                    if left {
                        answer.extensions_mut().insert(Unanswered);
                    }
                    answer
                }
            })
        })
    }
}

/// Why there is no answer from the provider.
struct Failure {
    refusal: Refusal,
    reason: &'static str,
    detail: String,
    /// The request had left for the provider, and no head came back.
    left: bool,
}

fn failed(reason: &'static str, detail: impl Into<String>) -> Failure {
    Failure { refusal: Refusal::ProviderFailed, reason, detail: detail.into(), left: false }
}

impl Inner {
    fn exchange(&self, caller: &Parts) -> Exchange {
        let endpoint = context::endpoint_of(&caller.extensions, &caller.uri);
        Exchange {
            provider: Arc::clone(&self.name),
            dialect: endpoint.map_or(self.config.dialect, Endpoint::dialect),
            endpoint,
            request_id: request_id(caller).to_string(),
            idle_timeout: self.config.idle_timeout,
            call: caller.extensions.get::<Call>().cloned(),
        }
    }

    async fn send<B>(
        &self,
        exchange: &Exchange,
        caller: &Parts,
        body: B,
    ) -> Result<Response<UpstreamBody>, Failure>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<BoxError>,
    {
        let request = self.request(exchange, caller, body).await?;
        let started = Instant::now();
        let upstream = self.head(exchange, request).await?;
        let provider = Arc::clone(&self.name);
        metrics::histogram!("tollgate_provider_head_seconds", "provider" => provider)
            .record(started.elapsed());
        let upstream =
            Plain::of(upstream).await.map_err(|error| failed("encoding", causes(&*error)))?;
        match meaning(Kind::of(self.config.dialect), upstream.status()) {
            Meaning::Answer => Ok(exchange.pass(upstream).await),
            Meaning::Refused => Ok(exchange.refuse(upstream).await),
            Meaning::OurCredential => {
                if let Some(credential) = &self.credential {
                    credential.forget();
                }
                Err(failed(
                    "credential",
                    format!("it refuses our credential: {}", upstream.status()),
                ))
            }
            Meaning::Unexpected => {
                Err(failed("unexpected", format!("status {}", upstream.status())))
            }
        }
    }

    /// Waits for the head of the answer.
    async fn head(
        &self,
        exchange: &Exchange,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, Failure> {
        let limit = self.config.head_timeout;
        let mut sending = pin!(self.client.send(request));
        let waiting = exchange.call.as_ref().filter(|call| call.waits_for_usage());
        let sent = match waiting {
            // The head of an answer in one piece comes when all of it is done: its time is the answer's.
            Some(call) if !call.facts().stream => sending.await,
            _ => {
                if let Ok(sent) = tokio::time::timeout(limit, &mut sending).await {
                    sent
                } else {
                    let detail = format!("no head within {limit:?}");
                    if !exchange.gives_up(Overdue::Head, "timed_out", &detail) {
                        let refusal = Refusal::ProviderTimedOut;
                        return Err(Failure { refusal, reason: "timed_out", detail, left: true });
                    }
                    sending.await
                }
            }
        };
        sent.map_err(|error| match error {
            ClientError::Connect(_) => failed("connect", causes(&error)),
            ClientError::Send(_) | ClientError::Body(_) | ClientError::TimedOut => {
                Failure { left: true, ..failed("reset", causes(&error)) }
            }
        })
    }

    /// Asks for the edits that this provider understands. The body is made when it is first read, with these edits.
    fn fit_edits(&self, caller: &Parts) {
        let Some(call) = caller.extensions.get::<Call>() else { return };
        let vendor = self.base.is_vendor();
        let standard = call.facts().endpoint.spec().output.and_then(|output| output.standard_tier);
        if let Some(tier) = standard.filter(|_| vendor) {
            call.ask_for_tier(tier);
        }
        let by_host = if vendor { CapField::MaxCompletionTokens } else { CapField::MaxTokens };
        if self.config.cap_field.unwrap_or(by_host) == CapField::MaxTokens {
            call.cap_as_compatible();
            // A provider that overlooks the caller's cap would write more than is held.
            let newer = call.facts().newer_cap.and_then(|cap| u32::try_from(cap).ok());
            if let Some(cap) = newer.and_then(NonZeroU32::new) {
                call.cap_output(cap);
            }
        }
        if !self.config.takes_stream_options {
            call.without_stream_options();
        }
    }

    async fn request<B>(
        &self,
        exchange: &Exchange,
        caller: &Parts,
        body: B,
    ) -> Result<Request<Full<Bytes>>, Failure>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<BoxError>,
    {
        let uri = self
            .base
            .uri(exchange.endpoint, &caller.uri)
            .filter(|_| exchange.dialect == self.config.dialect);
        let Some(uri) = uri else {
            let detail = "no such path at this provider".to_owned();
            return Err(Failure {
                refusal: Refusal::UnknownEndpoint,
                reason: "path",
                detail,
                left: false,
            });
        };
        // Cannot fail: a UUID is always a valid header value.
        let id = HeaderValue::try_from(&exchange.request_id)
            .map_err(|error| failed("internal", causes(&error)))?;
        let mut headers = request_headers(&self.config, caller, &id);
        if let Some(credential) = &self.credential {
            let (name, value) =
                credential.header().await.map_err(|error| failed("secret", causes(&error)))?;
            headers.insert(name, value);
        }
        self.fit_edits(caller);
        let read = read(body, REQUEST_BYTES_MAX, self.config.head_timeout).await;
        let body = read.map_err(|unread| {
            let detail = causes(&unread);
            Failure { refusal: unread.into(), reason: "request_body", detail, left: false }
        })?;
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = caller.method.clone();
        *request.uri_mut() = uri;
        *request.headers_mut() = headers;
        Ok(request)
    }
}
