use std::{
    mem,
    task::{Context, Poll},
};

use http::{Request, Response};
use tower_service::Service;

use super::{
    denial::Denial,
    future::ResponseFuture,
    headers,
    verifier::{Rejection, Verdict, Verifier, Waiting},
};
use crate::{body::ResponseBody, context::Tenant, refusal::Refusal};

/// Lets a request through only with a [`Tenant`]. See the [module docs](super).
#[derive(Clone, Debug)]
pub struct TenantService<S> {
    inner: S,
    verifier: Verifier,
}

impl<S> TenantService<S> {
    /// Wraps `inner`.
    pub const fn new(inner: S, verifier: Verifier) -> Self {
        Self { inner, verifier }
    }
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for TenantService<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
{
    type Response = Response<ResponseBody<ResBody>>;
    type Error = S::Error;
    type Future = ResponseFuture<S, ReqBody, ResBody>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<ReqBody>) -> Self::Future {
        match admit(&self.verifier, &mut request, 0) {
            Admission::Admitted => ResponseFuture::forward(self.inner.call(request)),
            Admission::Refused(refusal) => ResponseFuture::refuse(&refusal, &request),
            Admission::Wait(waiting) => {
                // `poll_ready` readied this very instance; the clone left behind starts over.
                let clone = self.inner.clone();
                let ready = mem::replace(&mut self.inner, clone);
                ResponseFuture::wait(waiting, self.verifier.clone(), ready, request)
            }
        }
    }
}

/// What becomes of a request.
pub(super) enum Admission {
    /// The tenant is in its extensions, and its headers are clean.
    Admitted,
    Refused(Refusal),
    Wait(Waiting),
}

/// Decides on a request that has waited this many times.
pub(super) fn admit<B>(verifier: &Verifier, request: &mut Request<B>, waits: u8) -> Admission {
    let verdict = match headers::token(request.headers()) {
        Ok(token) => verifier.check(token, waits),
        Err(denial) => Verdict::Settled(Err(Rejection::Denied(denial))),
    };
    match verdict {
        Verdict::Settled(Ok(tenant)) => {
            headers::strip(request.headers_mut());
            // Where a span further out has a field for it; else this is nothing.
            tracing::Span::current()
                .record("organization_id", tracing::field::display(tenant.organization_id()));
            request.extensions_mut().insert::<Tenant>(tenant);
            Admission::Admitted
        }
        Verdict::Settled(Err(Rejection::Denied(denial))) => {
            log(denial);
            Admission::Refused(Refusal::Unauthenticated)
        }
        Verdict::Settled(Err(Rejection::Unavailable)) => {
            tracing::warn!("a request is refused: the issuer's keys are not available");
            Admission::Refused(Refusal::Unavailable)
        }
        Verdict::Wait(waiting) => Admission::Wait(waiting),
    }
}

/// A denied request is logged as that and as nothing else: who it claims to be is hearsay.
#[cold]
fn log(denial: Denial) {
    let reason = denial.as_str();
    metrics::counter!("tollgate_denied_total", "reason" => reason).increment(1);
    tracing::info!(reason, "a request is denied");
}
