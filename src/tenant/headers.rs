//! The headers of a request: those that carry the token, and those that must not reach the inner service.

use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::denial::Denial;

const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// The one token of a request: `authorization: Bearer`, or `x-api-key` as Anthropic's clients send it.
///
/// Clients add a vendor's key that they have stored. So of two different values, the one that is a token of ours
/// decides, by `is_own`. Two tokens of ours may name two callers, and are refused.
pub(super) fn token(headers: &HeaderMap, is_own: impl Fn(&str) -> bool) -> Result<&str, Denial> {
    let bearers = headers.get_all(header::AUTHORIZATION).into_iter().map(bearer);
    let keys = headers.get_all(API_KEY).into_iter().map(text);
    let mut tokens = bearers.chain(keys);
    let mut first = tokens.next().ok_or(Denial::Missing)??;
    for other in tokens {
        let other = match other {
            Ok(other) => other,
            // No text, so no token of ours.
            Err(Denial::Malformed) => continue,
            Err(denial) => return Err(denial),
        };
        if other == first || !is_own(other) {
            continue;
        }
        if is_own(first) {
            return Err(Denial::Ambiguous);
        }
        first = other;
    }
    Ok(first)
}

fn bearer(value: &HeaderValue) -> Result<&str, Denial> {
    let (scheme, rest) = text(value)?.split_once(' ').ok_or(Denial::Scheme)?;
    let token = rest.trim_start_matches(' ');
    if scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() {
        Ok(token)
    } else {
        Err(Denial::Scheme)
    }
}

fn text(value: &HeaderValue) -> Result<&str, Denial> {
    value.to_str().map_err(|_| Denial::Malformed)
}

/// Removes credentials, and headers that claim facts which only a layer may state.
pub(super) fn strip(headers: &mut HeaderMap) {
    let doomed: Vec<HeaderName> =
        headers.keys().filter(|name| is_credential(name) || pretends(name)).cloned().collect();
    for name in doomed {
        headers.remove(name);
    }
}

fn is_credential(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "authorization"
            | "proxy-authorization"
            | "x-api-key"
            | "api-key"
            | "x-goog-api-key"
            | "cookie"
    )
}

/// Whether a header claims an identity. An inner service that reads such a header would trust the
/// caller instead of the token. `openai-organization` and `openai-project` would select an account at
/// the provider.
fn pretends(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "x-organization-id"
            | "x-organization"
            | "x-org-id"
            | "x-tenant-id"
            | "x-tenant"
            | "x-team-id"
            | "x-user-id"
            | "x-user-role"
            | "x-role"
            | "openai-organization"
            | "openai-project"
    ) || name.as_str().starts_with("x-tollgate-")
}
