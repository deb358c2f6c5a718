//! Who may call from a browser: pages of the origins that the configuration lists.

use std::time::Duration;

use http::{HeaderName, HeaderValue, Method, header};
use tower_http::cors::{AllowHeaders, CorsLayer};

/// How long a browser may cache the answer to a preflight.
const KEPT: Duration = Duration::from_mins(10);

/// The headers of an answer that a page may read.
const EXPOSED: [HeaderName; 4] = [
    HeaderName::from_static("x-request-id"),
    HeaderName::from_static("request-id"),
    HeaderName::from_static("x-should-retry"),
    header::RETRY_AFTER,
];

/// Answers preflights, and allows the page's origin if it is one of `origins`. `None` if `origins` is empty: then
/// browsers let no page of another origin read an answer.
///
/// Tokens travel in a header that the page sets itself. So credentials that a browser adds on its own, such as cookies,
/// are never allowed. An origin that is not listed is never allowed either.
pub(super) fn cors(mut origins: Vec<HeaderValue>) -> Option<CorsLayer> {
    origins.retain(|origin| origin != "*");
    (!origins.is_empty()).then(|| {
        CorsLayer::new()
            .allow_origin(origins)
            .allow_methods([Method::GET, Method::POST, Method::PUT, Method::DELETE])
            // The vendors' client libraries send many headers of their own, so a listed page may send any header.
            .allow_headers(AllowHeaders::mirror_request())
            .expose_headers(EXPOSED)
            .max_age(KEPT)
    })
}
