//! Takes a hold for a call by its facts, or refuses the call.

use std::time::{Duration, Instant};

use super::{
    estimate::{self, Estimate},
    layer::Settings,
};
use crate::{
    admission,
    context::{AtEnd, Call, Hold, Report, Tenant},
    domain::{
        hold::{Exceeded, HoldRequest, HoldVerdict},
        policy::Disconnect,
        price::Quote,
    },
    refusal::Refusal,
    store::StoreError,
};

/// `retry-after` for a call that would fit once other calls release their holds.
const SOON: Duration = Duration::from_secs(1);

impl Settings {
    /// Sets credits aside for `call`. When this is `Ok`, the call has its hold. The caller must let it
    /// through in the same poll, so that nothing comes between a hold and the call that settles it.
    pub(super) async fn reserve(&self, tenant: &Tenant, call: &Call) -> Result<(), Refusal> {
        let price = self.price_of(tenant, call).await?;
        let policy = match self.policies.peek_for(tenant, Some(call)) {
            Some(standing) => standing.policy,
            None => admission::standing(&self.policies, tenant, Some(call)).await?.policy,
        };
        let estimate = estimate::of(call.facts(), &policy, &price, self.output_tokens_default)?;
        let request = HoldRequest {
            request_id: call.request_id(),
            amount: estimate.amount,
            tokens: estimate.tokens,
            ttl: self.hold_ttl,
        };
        let asked = Instant::now();
        let answer = self.ledger.hold(tenant, request).await;
        metrics::histogram!("tollgate_hold_seconds").record(asked.elapsed());
        // The common case apart: a metric with literal labels is built at compile time.
        match word(&answer) {
            "granted" => metrics::counter!("tollgate_holds_total", "verdict" => "granted"),
            verdict => metrics::counter!("tollgate_holds_total", "verdict" => verdict),
        }
        .increment(1);
        match answer {
            Ok(HoldVerdict::Granted) => {
                granted(call, estimate, price, policy.disconnect);
                Ok(())
            }
            Ok(verdict) => Err(refusal_of(&verdict, tenant, call)),
            Err(error) => Err(admission::fault(&error, tenant, Some(call))),
        }
    }

    /// The organization's price of the model that the caller names, whichever model answers in the end.
    /// The caller was promised that price, and the hold is computed from it.
    async fn price_of(&self, tenant: &Tenant, call: &Call) -> Result<Quote, Refusal> {
        let model = call.facts().model.as_str();
        let agreement = match self.prices.peek(tenant) {
            Some(agreement) => agreement,
            None => match self.prices.agreement(tenant).await {
                Ok(agreement) => agreement,
                Err(error) => return Err(admission::fault(&error, tenant, Some(call))),
            },
        };
        let Some(quote) = agreement.quote(&self.prices.current(), model) else {
            return Err(Refusal::ModelNotAllowed(model.into()));
        };
        if !estimate::is_sound(quote.price()) {
            tracing::error!(model, price_id = %quote.price_id(), "invalid price (no tier from 0, or a negative amount): calls to this model are refused");
            return Err(Refusal::ModelNotAllowed(model.into()));
        }
        Ok(quote)
    }
}

fn granted(call: &Call, estimate: Estimate, price: Quote, disconnect: Disconnect) {
    call.set_hold(Hold { amount: estimate.amount, tokens: estimate.tokens, price, disconnect });
    if let Some(cap) = estimate.send_cap {
        call.cap_output(cap);
    }
    let facts = call.facts();
    let on_request = facts.endpoint.spec().output.is_some_and(|output| output.usage_on_request);
    if facts.stream && !facts.wants_usage && on_request {
        call.include_usage();
    }
    call.at_end(Open::new());
}

/// Counts an open hold in the gauge until it is dropped.
struct Open;

impl Open {
    fn new() -> Self {
        metrics::gauge!("tollgate_holds_open").increment(1.0);
        Self
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        metrics::gauge!("tollgate_holds_open").decrement(1.0);
    }
}

impl AtEnd for Open {
    fn ended(self: Box<Self>, _: &Report) {}
}

#[cold]
fn refusal_of(verdict: &HoldVerdict, tenant: &Tenant, call: &Call) -> Refusal {
    match verdict {
        HoldVerdict::Insufficient { may_wait, .. } => {
            Refusal::InsufficientCredits { retry_after: may_wait.then_some(SOON) }
        }
        HoldVerdict::BudgetExceeded(exceeded) => {
            let Exceeded { retry_after, may_wait, .. } = *exceeded;
            // Other calls may release their holds long before the window ends.
            let retry_after = if may_wait { retry_after.min(SOON) } else { retry_after };
            Refusal::BudgetExceeded(Exceeded { retry_after, ..*exceeded })
        }
        HoldVerdict::Suspended(scope) => Refusal::Suspended(*scope),
        // Every call has a new id, so a conflict should not happen. All we know is that this call holds nothing.
        HoldVerdict::Conflict | HoldVerdict::Granted => {
            tracing::error!(
                organization_id = %tenant.organization_id(),
                request_id = %call.request_id(),
                "the ledger knows this request id already: the call is refused"
            );
            Refusal::Unavailable
        }
    }
}

const fn word(answer: &Result<HoldVerdict, StoreError>) -> &'static str {
    match answer {
        Ok(HoldVerdict::Granted) => "granted",
        Ok(HoldVerdict::Insufficient { .. }) => "insufficient",
        Ok(HoldVerdict::BudgetExceeded(_)) => "budget_exceeded",
        Ok(HoldVerdict::Suspended(_)) => "suspended",
        Ok(HoldVerdict::Conflict) => "conflict",
        Err(StoreError::UnknownOrganization) => "unknown_organization",
        Err(_) => "error",
    }
}
