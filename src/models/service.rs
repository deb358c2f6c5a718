use std::task::{Context, Poll};

use http::{Request, Response};
use tower_service::Service;

use super::{ResponseFuture, decision, layer::Rule};
use crate::{
    admission::{self, CALL_LAYER, decide::Decide},
    body::ResponseBody,
    context::{Call, Tenant},
    refusal::Refusal,
    store::Policies,
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

/// Decides by the policy of the caller's organization.
impl Decide for Policies {
    fn known(&self, tenant: &Tenant, call: &Call) -> Option<Result<(), Refusal>> {
        let standing = self.peek_for(tenant, Some(call))?;
        Some(decision::by_standing(&standing, &call.facts().model))
    }

    async fn ask(self, tenant: Tenant, call: Call) -> Result<(), Refusal> {
        let standing = admission::standing(&self, &tenant, Some(&call)).await?;
        decision::by_standing(&standing, &call.facts().model)
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
        let decision = match (&self.rule, Call::of(&request)) {
            (Rule::EachOrganization(policies), Some(_)) => {
                return ResponseFuture::by(policies, &mut self.inner, request);
            }
            (Rule::Everyone(list), Some(call)) => decision::by_list(list, &call.facts().model),
            (_, None) => Err(Refusal::Miswired(CALL_LAYER)),
        };
        ResponseFuture::decided(decision, &mut self.inner, request)
    }
}
