use std::{
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use tower_service::Service;

use super::{ResponseFuture, layer::Settings};
use crate::{
    admission::{self, Admission, CALL_LAYER, TENANT_LAYER},
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
        let Some(tenant) = Tenant::of(&request) else {
            return Admission::refuse(Refusal::Miswired(TENANT_LAYER), request, ()).into();
        };
        let Some(call) = Call::of(&request) else {
            return Admission::refuse(Refusal::Miswired(CALL_LAYER), request, ()).into();
        };
        let (settings, tenant, call) = (Arc::clone(&self.settings), tenant.clone(), call.clone());
        let asking = Box::pin(async move { (settings.reserve(&tenant, &call).await, ()) });
        Admission::ask(asking, admission::take_ready(&mut self.inner), request).into()
    }
}
