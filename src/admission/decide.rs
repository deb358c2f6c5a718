//! The common form of a layer that lets a call through or refuses it, and leaves the response alone.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{Request, Response};
use pin_project::pin_project;
use tower_service::Service;

use super::{Admission, CALL_LAYER, TENANT_LAYER, take_ready};
use crate::{
    body::ResponseBody,
    context::{Call, Tenant},
    refusal::Refusal,
};

/// A layer's decision about a call.
pub(crate) trait Decide: Clone + Send + 'static {
    /// The decision, if everything that it needs is cached. `None`: use [`ask`](Self::ask).
    fn known(&self, tenant: &Tenant, call: &Call) -> Option<Result<(), Refusal>>;

    /// Decides after asking the store.
    fn ask(
        self,
        tenant: Tenant,
        call: Call,
    ) -> impl Future<Output = Result<(), Refusal>> + Send + 'static;
}

/// The response future of layers that only decide.
#[pin_project]
#[derive(Debug)]
pub struct ResponseFuture<S, F, B> {
    #[pin]
    admission: Admission<S, F, B, ()>,
}

impl<S, B> ResponseFuture<S, S::Future, B>
where
    S: Service<Request<B>>,
{
    /// Applies a decision: lets the request through or refuses it.
    pub(crate) fn decided(
        decision: Result<(), Refusal>,
        inner: &mut S,
        request: Request<B>,
    ) -> Self {
        Self { admission: Admission::decided((decision, ()), inner, request) }
    }

    /// Decides about the call of this request. `inner` must be the instance that `poll_ready` made ready.
    pub(crate) fn by(decide: &impl Decide, inner: &mut S, request: Request<B>) -> Self
    where
        S: Clone,
    {
        let Some(tenant) = Tenant::of(&request) else {
            return Self::decided(Err(Refusal::Miswired(TENANT_LAYER)), inner, request);
        };
        let Some(call) = Call::of(&request) else {
            return Self::decided(Err(Refusal::Miswired(CALL_LAYER)), inner, request);
        };
        if let Some(decision) = decide.known(tenant, call) {
            return Self::decided(decision, inner, request);
        }
        let decision = decide.clone().ask(tenant.clone(), call.clone());
        let asking = Box::pin(async move { (decision.await, ()) });
        Self { admission: Admission::ask(asking, take_ready(inner), request) }
    }
}

impl<S, F, B, R> Future for ResponseFuture<S, F, B>
where
    S: Service<Request<B>, Response = Response<R>, Future = F>,
    F: Future<Output = Result<Response<R>, S::Error>>,
{
    type Output = Result<Response<ResponseBody<R>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let (response, _) = ready!(self.project().admission.poll(cx))?;
        Poll::Ready(Ok(response))
    }
}
