//! Which headers cross the gateway. Both directions have an allow-list: a header that is not listed here is dropped.

use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderMap, HeaderName, HeaderValue, header, request::Parts};

use super::{UpstreamConfig, kind::Kind};
use crate::{
    call::is_event_stream,
    context::{Arrival, Call, Tenant},
    domain::ids::RequestId,
    refusal::REQUEST_ID,
};

/// Passed from caller to provider.
const REQUEST_PASSED: [&str; 6] =
    ["accept", "anthropic-beta", "anthropic-version", "content-type", "openai-beta", "user-agent"];

/// Passed from provider to caller. The provider's request id, rate limits, organization and cookies are not: they
/// describe our account at the provider, which all tenants share.
const RESPONSE_PASSED: [&str; 6] = [
    "content-type",
    "openai-processing-ms",
    "openai-version",
    "retry-after",
    "retry-after-ms",
    "x-should-retry",
];

/// Never passed to the provider, whatever prefix the configuration names.
const REQUEST_NEVER: [&str; 19] = [
    "accept-encoding",
    "api-key",
    "authorization",
    "connection",
    "content-length",
    "cookie",
    "expect",
    "forwarded",
    "host",
    "keep-alive",
    "openai-organization",
    "openai-project",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-api-key",
    "x-goog-api-key",
    "x-request-id",
];
const REQUEST_NEVER_PREFIXES: [&str; 3] = ["proxy-", "x-forwarded-", "x-tollgate-"];

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The headers of the request to the provider, without its credential.
pub(super) fn request_headers(
    config: &UpstreamConfig,
    caller: &Parts,
    request_id: &HeaderValue,
) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(16);
    for name in REQUEST_PASSED {
        if let Some(value) = caller.headers.get(name) {
            headers.insert(HeaderName::from_static(name), value.clone());
        }
    }
    if !config.forward_header_prefixes.is_empty() {
        for (name, value) in &caller.headers {
            if is_configured(config, name.as_str()) {
                headers.append(name, value.clone());
            }
        }
    }
    let tenant = caller.extensions.get::<Tenant>();
    if let Some(key) = caller.headers.get(IDEMPOTENCY_KEY) {
        headers.insert(IDEMPOTENCY_KEY, own_key(tenant, key));
    }
    for (name, value) in Kind::of(config.dialect).needs {
        headers.entry(*name).or_insert(HeaderValue::from_static(value));
    }
    if config.send_organization
        && let Some(tenant) = tenant
        && let Ok(value) = HeaderValue::try_from(tenant.organization_id().to_string())
    {
        headers.insert("x-tollgate-organization-id", value);
    }
    // The gateway must read the usage in the answer, and a compressor would delay streams.
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    headers.insert(REQUEST_ID, request_id.clone());
    headers
}

/// The headers of the provider's answer that the caller gets.
pub(super) fn response_headers(upstream: &HeaderMap) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(8);
    for name in RESPONSE_PASSED {
        if let Some(value) = upstream.get(name) {
            headers.insert(HeaderName::from_static(name), value.clone());
        }
    }
    if is_event_stream(&headers) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    }
    headers
}

/// The call's id, else the request's id from a layer further out, else a new one.
pub(super) fn request_id(caller: &Parts) -> RequestId {
    let call = caller.extensions.get::<Call>().map(Call::request_id);
    let arrival = || caller.extensions.get::<Arrival>().map(|arrival| arrival.request_id);
    call.or_else(arrival).unwrap_or_else(RequestId::generate)
}

fn is_configured(config: &UpstreamConfig, name: &str) -> bool {
    config.forward_header_prefixes.iter().any(|prefix| {
        // Header names are lower case; the configuration may not be.
        name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
    }) && !REQUEST_NEVER.contains(&name)
        && !REQUEST_NEVER_PREFIXES.iter().any(|never| name.starts_with(never))
}

/// An idempotency key that no other organization can repeat. All organizations share one account at the provider; with
/// equal keys, one organization would get another's answer.
fn own_key(tenant: Option<&Tenant>, key: &HeaderValue) -> HeaderValue {
    let Some(tenant) = tenant else { return key.clone() };
    let mut whole = tenant.organization_id().as_uuid().as_bytes().to_vec();
    whole.extend_from_slice(key.as_bytes());
    let own = URL_SAFE_NO_PAD.encode(digest(&SHA256, &whole));
    HeaderValue::try_from(own).unwrap_or_else(|_| key.clone())
}
