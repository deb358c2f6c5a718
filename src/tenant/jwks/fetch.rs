//! Fetching the published set: one bounded GET.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
#[cfg(feature = "http")]
use http::{Request, Uri};
#[cfg(feature = "http")]
use http_body_util::Full;

#[cfg(feature = "http")]
use crate::client::{ClientError, HttpClient};
use crate::tenant::keys::KeySetError;

#[cfg(feature = "http")]
const BODY_BYTES_MAX: usize = 64 * 1024;

/// The source of key sets: HTTP, or a scripted issuer in tests of the timing.
pub(super) trait Fetch: Send + Sync + 'static {
    fn fetch(&self) -> impl Future<Output = Result<Fetched, FetchError>> + Send;
}

/// A document, and how long it may be used by its headers.
#[derive(Clone, Debug)]
pub(super) struct Fetched {
    pub(super) document: Bytes,
    pub(super) max_age: Option<Duration>,
}

/// Why a fetch brought no key set. The previous one stays in use.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    #[cfg(feature = "http")]
    #[error(transparent)]
    Client(#[from] ClientError),
    /// Any status but 200. Redirects are not followed: the address of the keys comes only from configuration.
    #[error("the issuer answered {0}")]
    Status(StatusCode),
    #[error(transparent)]
    KeySet(#[from] KeySetError),
}

#[cfg(feature = "http")]
pub(super) struct HttpFetch {
    uri: Uri,
    client: HttpClient,
    timeout: Duration,
}

#[cfg(feature = "http")]
impl HttpFetch {
    pub(super) const fn new(uri: Uri, client: HttpClient, timeout: Duration) -> Self {
        Self { uri, client, timeout }
    }
}

#[cfg(feature = "http")]
impl Fetch for HttpFetch {
    async fn fetch(&self) -> Result<Fetched, FetchError> {
        let mut request = Request::new(Full::<Bytes>::default());
        *request.uri_mut() = self.uri.clone();
        let headers = request.headers_mut();
        headers.insert(
            header::ACCEPT,
            header::HeaderValue::from_static("application/jwk-set+json, application/json"),
        );
        headers.insert(
            header::USER_AGENT,
            header::HeaderValue::from_static(concat!("tollgate/", env!("CARGO_PKG_VERSION"))),
        );
        let (head, document) =
            self.client.fetch(request, BODY_BYTES_MAX, self.timeout).await?.into_parts();
        if head.status != StatusCode::OK {
            return Err(FetchError::Status(head.status));
        }
        Ok(Fetched { document, max_age: max_age(&head.headers) })
    }
}

/// How long the answer may be used from now on: `max-age` less `Age`, and zero for `no-store` and `no-cache`.
pub(super) fn max_age(headers: &HeaderMap) -> Option<Duration> {
    let directives = || {
        headers
            .get_all(header::CACHE_CONTROL)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .map(str::trim)
    };
    if directives()
        .any(|one| one.eq_ignore_ascii_case("no-store") || one.eq_ignore_ascii_case("no-cache"))
    {
        return Some(Duration::ZERO);
    }
    let seconds = directives().find_map(|one| {
        let (name, value) = one.split_once('=')?;
        let seconds: u64 = value.trim().trim_matches('"').parse().ok()?;
        name.trim().eq_ignore_ascii_case("max-age").then_some(seconds)
    })?;
    let age = headers.get(header::AGE).and_then(|age| age.to_str().ok()?.trim().parse().ok());
    Some(Duration::from_secs(seconds.saturating_sub(age.unwrap_or(0))))
}
