//! Decides whether a request is let through: finds its token, verifies it, and cleans the headers.

use http::Request;

use super::{
    denial::Denial,
    headers,
    verifier::{Rejection, Verdict, Verifier, Waiting},
};
use crate::{context::Tenant, refusal::Refusal};

/// The decision about a request.
pub(super) enum Outcome {
    /// The tenant is in its extensions, and its headers are clean.
    Admitted,
    Refused(Refusal),
    Wait(Waiting),
}

/// Decides on a request that has waited for a fetch of the keys this many times.
pub(super) fn admit<B>(verifier: &Verifier, request: &mut Request<B>, waits: u8) -> Outcome {
    let verdict = match headers::token(request.headers(), |token| verifier.issued(token)) {
        Ok(token) => verifier.check(token, waits),
        Err(denial) => Verdict::Settled(Err(Rejection::Denied(denial))),
    };
    match verdict {
        Verdict::Settled(Ok(tenant)) => {
            headers::strip(request.headers_mut());
            // Recorded only if a span further out has declared the field.
            tracing::Span::current()
                .record("organization_id", tracing::field::display(tenant.organization_id()));
            request.extensions_mut().insert::<Tenant>(tenant);
            Outcome::Admitted
        }
        Verdict::Settled(Err(Rejection::Denied(denial))) => {
            log(denial);
            Outcome::Refused(if denial == Denial::Ambiguous {
                Refusal::TwoTokens
            } else {
                Refusal::Unauthenticated
            })
        }
        Verdict::Settled(Err(Rejection::Unavailable)) => {
            tracing::warn!("a request is refused: the issuer's keys are not available");
            Outcome::Refused(Refusal::Unavailable)
        }
        Verdict::Wait(waiting) => Outcome::Wait(waiting),
    }
}

/// Logs a denied request with its reason only: the identity that it claims is unverified.
#[cold]
fn log(denial: Denial) {
    let reason = denial.as_str();
    metrics::counter!("tollgate_denied_total", "reason" => reason).increment(1);
    tracing::info!(reason, "a request is denied");
}
