use std::task::{Context, Poll};

use http::{Request, Response};
use tower_service::Service;

use super::ResponseFuture;
use crate::{
    admission::{self, Admission, CALL_LAYER, TENANT_LAYER},
    body::ResponseBody,
    context::{Call, Keeping, Tenant},
    refusal::Refusal,
    store::Policies,
};

/// Marks calls for the audit log. See the [module docs](super).
#[derive(Clone, Debug)]
pub struct Audit<S> {
    inner: S,
    policies: Policies,
    capture_bytes_max: usize,
}

impl<S> Audit<S> {
    pub(super) const fn new(inner: S, policies: Policies, capture_bytes_max: usize) -> Self {
        Self { inner, policies, capture_bytes_max }
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
        let Some(tenant) = Tenant::of(&request) else {
            return Admission::refuse(Refusal::Miswired(TENANT_LAYER), request, ()).into();
        };
        let Some(call) = Call::of(&request) else {
            return Admission::refuse(Refusal::Miswired(CALL_LAYER), request, ()).into();
        };
        let capture_bytes_max = self.capture_bytes_max;
        if let Some(standing) = self.policies.peek_for(tenant, Some(call)) {
            call.keep(Keeping { keep: standing.policy.keep, capture_bytes_max });
            return Admission::decided((Ok(()), ()), &mut self.inner, request).into();
        }
        let (policies, tenant, call) = (self.policies.clone(), tenant.clone(), call.clone());
        let asking = Box::pin(async move {
            let standing = admission::standing(&policies, &tenant, Some(&call)).await;
            let marked = standing.map(|standing| {
                call.keep(Keeping { keep: standing.policy.keep, capture_bytes_max });
            });
            (marked, ())
        });
        Admission::ask(asking, admission::take_ready(&mut self.inner), request).into()
    }
}
