use std::{
    mem,
    task::{Context, Poll},
};

use http::{Request, Response};
use tower_service::Service;

use super::{
    admit::{Outcome, admit},
    future::ResponseFuture,
    verifier::Verifier,
};
use crate::body::ResponseBody;

/// Lets a request through only with a [`Tenant`](crate::Tenant). See the [module docs](super).
#[derive(Clone, Debug)]
pub struct Tenants<S> {
    inner: S,
    verifier: Verifier,
}

impl<S> Tenants<S> {
    /// Wraps `inner`.
    pub const fn new(inner: S, verifier: Verifier) -> Self {
        Self { inner, verifier }
    }
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for Tenants<S>
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
            Outcome::Admitted => ResponseFuture::forward(self.inner.call(request)),
            Outcome::Refused(refusal) => ResponseFuture::refuse(&refusal, &request),
            Outcome::Wait(waiting) => {
                // `poll_ready` made this instance ready; the clone left behind has to be made ready again.
                let clone = self.inner.clone();
                let ready = mem::replace(&mut self.inner, clone);
                ResponseFuture::wait(waiting, self.verifier.clone(), ready, request)
            }
        }
    }
}
