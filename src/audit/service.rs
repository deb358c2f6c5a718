use std::task::{Context, Poll};

use http::{Request, Response};
use tower_service::Service;

use super::{ResponseFuture, layer::Settings};
use crate::{
    admission::{self, decide::Decide},
    body::ResponseBody,
    context::{Call, Keeping, Tenant},
    refusal::Refusal,
    store::Standing,
};

/// Marks calls for the audit log. See the [module docs](super).
#[derive(Clone, Debug)]
pub struct Audit<S> {
    inner: S,
    settings: Settings,
}

impl<S> Audit<S> {
    pub(super) const fn new(inner: S, settings: Settings) -> Self {
        Self { inner, settings }
    }
}

impl Settings {
    fn mark(&self, call: &Call, standing: &Standing) {
        let Self { capture_bytes_max, .. } = *self;
        call.keep(Keeping { keep: standing.policy.keep, capture_bytes_max });
    }
}

impl Decide for Settings {
    fn known(&self, tenant: &Tenant, call: &Call) -> Option<Result<(), Refusal>> {
        self.mark(call, &self.policies.peek_for(tenant, Some(call))?);
        Some(Ok(()))
    }

    async fn ask(self, tenant: Tenant, call: Call) -> Result<(), Refusal> {
        let standing = admission::standing(&self.policies, &tenant, Some(&call)).await?;
        self.mark(&call, &standing);
        Ok(())
    }
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for Audit<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
{
    type Response = Response<ResponseBody<ResBody>>;
    type Error = S::Error;
    type Future = ResponseFuture<S, S::Future, ReqBody>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        ResponseFuture::by(&self.settings, &mut self.inner, request)
    }
}
