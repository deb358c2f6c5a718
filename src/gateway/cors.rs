//! Who may call from a browser: pages of the origins that the configuration lists.

use std::time::Duration;

use http::{HeaderName, HeaderValue, Method, header};
use tower_http::cors::{AllowHeaders, CorsLayer};

/// How long a browser may keep what a preflight was answered.
const KEPT: Duration = Duration::from_mins(10);

/// What a page may read of an answer, beside its body.
const EXPOSED: [HeaderName; 4] = [
    HeaderName::from_static("x-request-id"),
    HeaderName::from_static("request-id"),
    HeaderName::from_static("x-should-retry"),
    header::RETRY_AFTER,
];

/// Answers preflights, and names the page's origin in answers where it is one of these. `None` where there are none:
/// then browsers let no page of another origin read anything.
///
/// Tokens travel in a header that the page sets itself. So credentials, which a browser would add by itself, are never
/// allowed; neither is any origin that is not listed.
pub(super) fn cors(origins: &[String]) -> Option<CorsLayer> {
    let origins: Vec<HeaderValue> = origins
        .iter()
        .filter_map(|origin| origin.parse().ok())
        .filter(|origin| origin != "*")
        .collect();
    (!origins.is_empty()).then(|| {
        CorsLayer::new()
            .allow_origin(origins)
            .allow_methods([Method::GET, Method::POST, Method::PUT, Method::DELETE])
            // The vendors' clients send many headers of their own. A listed page may send what it wants.
            .allow_headers(AllowHeaders::mirror_request())
            .expose_headers(EXPOSED)
            .max_age(KEPT)
    })
}
