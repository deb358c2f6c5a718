use std::{
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use tower_service::Service;

use super::{
    ResponseFuture,
    future::Kept,
    headers::Readings,
    layer::Settings,
    limiter::{Denial, Rates},
};
use crate::{
    admission::{self, Admission, TENANT_LAYER, Verdict},
    body::ResponseBody,
    context::{Call, Tenant},
    domain::{output, policy::Policy},
    refusal::{self, Refusal},
    store::Standing,
};

/// Holds organizations to their rates. See the [module docs](super).
#[derive(Clone, Debug)]
pub struct Limits<S> {
    inner: S,
    settings: Arc<Settings>,
}

impl<S> Limits<S> {
    pub(super) const fn new(inner: S, settings: Arc<Settings>) -> Self {
        Self { inner, settings }
    }
}

impl Settings {
    fn decide(&self, standing: &Standing, tenant: &Tenant, call: Option<&Call>) -> Verdict<Kept> {
        let policy = &*standing.policy;
        if standing.suspended.is_some() {
            return (Err(Refusal::Suspended), Kept::default());
        }
        let rates = Rates::share(&policy.rates, self.replicas);
        if rates.are_unlimited() {
            return (Ok(()), Kept::default());
        }
        let tokens = match call {
            Some(call) if rates.tokens.is_some() => self.tokens_bound(policy, call),
            _ => 0,
        };
        let (admitted, readings) = self.limiter.admit(tenant.organization_id(), &rates, tokens);
        let permit = match admitted {
            Ok(permit) => permit,
            Err(denial) => {
                return (Err(refusal_of(denial, tokens)), Kept { permit: None, readings });
            }
        };
        let permit = match call {
            Some(call) => {
                call.at_end(permit);
                None
            }
            None => Some(permit),
        };
        (Ok(()), Kept { permit, readings })
    }

    /// The tokens that a call could use. What fits no number fits no limit either.
    fn tokens_bound(&self, policy: &Policy, call: &Call) -> u64 {
        let facts = call.facts();
        let model_max = self
            .prices
            .as_ref()
            .and_then(|prices| prices.current().get(&facts.model)?.output_tokens_max);
        let bound = output::bound(
            facts,
            policy.output_tokens_default,
            model_max,
            self.output_tokens_default,
        );
        output::tokens(facts, bound).unwrap_or(u64::MAX)
    }
}

fn refusal_of(denial: Denial, tokens: u64) -> Refusal {
    match denial {
        Denial::Wait { what, wait } => Refusal::RateLimited { what, retry_after: wait },
        Denial::TooLarge { tokens_max } => Refusal::InvalidBody {
            field: None,
            message: format!(
                "This call could use {tokens} tokens, and the organization's limit is {tokens_max} tokens a minute: it can never pass. Send less, or set a lower output cap."
            )
            .into(),
        },
    }
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for Limits<S>
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
        let dialect = refusal::dialect_of(&request);
        let Some(tenant) = Tenant::of(&request) else {
            let refusal = Refusal::Miswired(TENANT_LAYER);
            return ResponseFuture::new(
                Admission::refuse(refusal, request, Kept::default()),
                dialect,
            );
        };
        let call = Call::of(&request);
        if let Some(standing) = self.settings.policies.peek_for(tenant, call) {
            let verdict = self.settings.decide(&standing, tenant, call);
            return ResponseFuture::new(
                Admission::decided(verdict, &mut self.inner, request),
                dialect,
            );
        }
        let (settings, tenant, call) = (Arc::clone(&self.settings), tenant.clone(), call.cloned());
        let asking = Box::pin(async move {
            match admission::standing(&settings.policies, &tenant, call.as_ref()).await {
                Ok(standing) => settings.decide(&standing, &tenant, call.as_ref()),
                Err(refusal) => {
                    (Err(refusal), Kept { permit: None, readings: Readings::default() })
                }
            }
        });
        ResponseFuture::new(
            Admission::ask(asking, admission::take_ready(&mut self.inner), request),
            dialect,
        )
    }
}
