use std::{
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use tower_service::Service;

use super::{ResponseFuture, layer::Settings};
use crate::{
    admission::decide::Decide,
    body::ResponseBody,
    context::{Call, Tenant},
    refusal::Refusal,
};

/// Holds credits for calls. See the [module docs](super).
#[derive(Clone, Debug)]
pub struct Credit<S> {
    inner: S,
    settings: Arc<Settings>,
}

impl<S> Credit<S> {
    pub(super) const fn new(inner: S, settings: Arc<Settings>) -> Self {
        Self { inner, settings }
    }
}

impl Decide for Arc<Settings> {
    /// Always `None`: only the ledger can say whether credits can be held.
    fn known(&self, _: &Tenant, _: &Call) -> Option<Result<(), Refusal>> {
        None
    }

    async fn ask(self, tenant: Tenant, call: Call) -> Result<(), Refusal> {
        self.reserve(&tenant, &call).await
    }
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for Credit<S>
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
