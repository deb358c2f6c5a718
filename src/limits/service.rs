use std::{
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use tower_service::Service;

use super::{
    ResponseFuture,
    counts::{Denial, Rates},
    future::Kept,
    headers::Readings,
    layer::Settings,
    limiter::{Answer, Met, Refused},
};
use crate::{
    admission::{self, Admission, TENANT_LAYER, Verdict},
    body::ResponseBody,
    context::{Call, Tenant},
    domain::{
        ids::OrganizationId,
        output,
        policy::{Policy, RateLimit},
        scope::Scope,
    },
    refusal::{self, Refusal},
    store::Standing,
};

/// Enforces the rates of organizations. See the [module docs](super).
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
        if let Some(scope) = standing.suspended {
            return (Err(Refusal::Suspended(scope)), Kept::default());
        }
        let policy = &*standing.policy;
        let own = self.met_in(policy, tenant.organization_id());
        // Without a call the model is unknown, so only limits for all models apply.
        let model = call.map_or("", |call| &*call.facts().model);
        let mut further = standing.rates.iter().filter(|limit| limit.is_for(model)).peekable();
        if further.peek().is_none() {
            let Some(own) = own else { return (Ok(()), Kept::default()) };
            let tokens = self.tokens_bound(std::slice::from_ref(&own), policy, call);
            return verdict(self.limiter.admit(&own, tokens), tokens, tenant, call);
        }
        let mut met: Vec<Met<'_>> = own.into_iter().collect();
        for limit in further {
            let one = self.met(limit, tenant.organization_id());
            // A store may name a limit twice. It is still one limit, which counts the call once.
            if met.iter().all(|other| other.key != one.key) {
                met.push(one);
            }
        }
        let tokens = self.tokens_bound(&met, policy, call);
        verdict(self.limiter.admit_by_all(&met, tokens), tokens, tenant, call)
    }

    /// The policy's own rates, if it has any.
    fn met_in(&self, policy: &Policy, organization: OrganizationId) -> Option<Met<'static>> {
        let rates = Rates::share(&policy.rates, self.replica);
        let key = || self.limiter.keys().of_policy(organization);
        (!rates.are_unlimited()).then(|| Met { key: key(), rates, limit: None })
    }

    fn met<'a>(&self, limit: &'a RateLimit, organization: OrganizationId) -> Met<'a> {
        let key = self.limiter.keys().of_limit(organization, limit);
        Met { key, rates: Rates::share(&limit.rates, self.replica), limit: Some(limit) }
    }

    /// The most tokens that a call could use, if a limit counts tokens. On overflow `u64::MAX`, which no limit allows.
    fn tokens_bound(&self, met: &[Met<'_>], policy: &Policy, call: Option<&Call>) -> u64 {
        let Some(call) = call.filter(|_| met.iter().any(|met| met.rates.tokens.is_some())) else {
            return 0;
        };
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

/// The verdict for an answer. The permit lives as long as the call, or without a call until the response's head.
fn verdict(answer: Answer<'_>, tokens: u64, tenant: &Tenant, call: Option<&Call>) -> Verdict<Kept> {
    let Answer { admitted, readings } = answer;
    let permit = match (admitted, call) {
        (Ok(permit), Some(call)) => {
            call.at_end(permit);
            None
        }
        (Ok(permit), None) => Some(permit),
        (Err(refused), _) => {
            let refusal = refusal_of(&refused, tokens, tenant, call);
            return (Err(refusal), Kept { permit: None, readings });
        }
    };
    (Ok(()), Kept { permit, readings })
}

#[cold]
fn refusal_of(refused: &Refused<'_>, tokens: u64, tenant: &Tenant, call: Option<&Call>) -> Refusal {
    let scope = refused.limit.map_or(Scope::Organization, |limit| limit.scope);
    let pattern = refused.limit.map_or(RateLimit::EVERY_MODEL, |limit| &*limit.model_pattern);
    let models = (pattern != RateLimit::EVERY_MODEL).then(|| pattern.to_owned());
    tracing::debug!(
        organization_id = %tenant.organization_id(),
        request_id = call.map(|call| tracing::field::display(call.request_id())),
        scope = scope.as_str(),
        models = pattern,
        denial = ?refused.denial,
        "a rate limit refuses the call"
    );
    match refused.denial {
        Denial::Wait { what, wait } => {
            Refusal::RateLimited { what, scope, models, retry_after: wait }
        }
        Denial::TooLarge { tokens_max } => Refusal::InvalidBody {
            field: None,
            message: format!(
                "{} a minute covers {tokens_max} at the most, and this call could use {tokens}: it can never pass. Send less, or set a lower output cap.",
                refusal::limit_of("tokens", scope, models.as_deref())
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
