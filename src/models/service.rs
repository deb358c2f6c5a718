use std::task::{Context, Poll};

use http::{Request, Response};
use tower_service::Service;

use super::{ResponseFuture, decision, layer::Rule};
use crate::{
    admission::{self, Admission, CALL_LAYER, TENANT_LAYER},
    body::ResponseBody,
    context::{Call, Tenant},
    refusal::Refusal,
};

/// Lets calls for allowed models through. See the [module docs](super).
#[derive(Clone, Debug)]
pub struct Models<S> {
    inner: S,
    rule: Rule,
}

impl<S> Models<S> {
    pub(super) const fn new(inner: S, rule: Rule) -> Self {
        Self { inner, rule }
    }
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for Models<S>
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
        let Some(call) = Call::of(&request) else {
            return Admission::refuse(Refusal::Miswired(CALL_LAYER), request, ()).into();
        };
        let policies = match &self.rule {
            Rule::Everyone(list) => {
                let verdict = decision::by_list(list, &call.facts().model);
                return Admission::decided((verdict, ()), &mut self.inner, request).into();
            }
            Rule::EachOrganization(policies) => policies,
        };
        let Some(tenant) = Tenant::of(&request) else {
            return Admission::refuse(Refusal::Miswired(TENANT_LAYER), request, ()).into();
        };
        if let Some(standing) = policies.peek_for(tenant, Some(call)) {
            let verdict = decision::by_standing(&standing, &call.facts().model);
            return Admission::decided((verdict, ()), &mut self.inner, request).into();
        }
        let (policies, tenant, call) = (policies.clone(), tenant.clone(), call.clone());
        let asking = Box::pin(async move {
            let standing = admission::standing(&policies, &tenant, Some(&call)).await;
            (
                standing.and_then(|standing| decision::by_standing(&standing, &call.facts().model)),
                (),
            )
        });
        Admission::ask(asking, admission::take_ready(&mut self.inner), request).into()
    }
}
