//! Takes a hold for a call by its facts, or refuses the call.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    estimate::{self, Estimate},
    layer::Settings,
    overruns::Overruns,
};
use crate::{
    admission,
    context::{AtEnd, Call, Hold, Report, Tenant},
    domain::{
        credits::Credits,
        hold::{Exceeded, HoldRequest, HoldVerdict},
        ids::{OrganizationId, RequestId},
        overrun,
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
        let asked = Instant::now();
        let factor = self.overruns.factor(tenant.organization_id(), asked);
        let request = HoldRequest {
            request_id: call.request_id(),
            amount: Credits::from_nanos(overrun::raised(estimate.amount.nanos(), factor)),
            tokens: overrun::raised(estimate.tokens, factor),
            ttl: self.hold_ttl,
        };
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
                granted(call, estimate, price.clone(), policy.disconnect);
                call.at_end(self.watch(tenant, call, estimate.amount, price));
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

impl Settings {
    fn watch(&self, tenant: &Tenant, call: &Call, bound: Credits, price: Quote) -> Open {
        metrics::gauge!("tollgate_holds_open").increment(1.0);
        Open {
            overruns: Arc::clone(&self.overruns),
            alert_at: self.overruns_alert,
            organization: tenant.organization_id(),
            request: call.request_id(),
            bound,
            price,
        }
    }
}

/// Puts the hold into the call: its upper bound, also where more was set aside. So no charge depends on how much more.
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
}

/// Counts an open hold in the gauge until it is dropped, and looks at what the call has cost in the end.
struct Open {
    overruns: Arc<Overruns>,
    alert_at: usize,
    organization: OrganizationId,
    request: RequestId,
    bound: Credits,
    price: Quote,
}

impl Drop for Open {
    fn drop(&mut self) {
        metrics::gauge!("tollgate_holds_open").decrement(1.0);
    }
}

impl AtEnd for Open {
    fn ended(self: Box<Self>, report: &Report) {
        match self.price.cost(&report.usage) {
            Ok(cost) if cost > self.bound => self.overrun(cost),
            // A cost out of range is not charged: the settlement then is the hold.
            Ok(_) | Err(_) => {}
        }
    }
}

impl Open {
    #[cold]
    fn overrun(&self, cost: Credits) {
        let factor = overrun::factor(cost, self.bound);
        let (next, alert) =
            self.overruns.note(self.organization, factor, self.alert_at, Instant::now());
        tracing::warn!(
            organization_id = %self.organization,
            request_id = %self.request,
            model = self.price.price().model,
            upper_bound = %self.bound,
            cost = %cost,
            next_holds_basis_points = next,
            "a call cost more than its upper bound: this organization's next holds are larger"
        );
        if let Some(calls) = alert {
            tracing::error!(
                calls,
                "that many calls cost more than their upper bounds within an hour: find the model and the upstream in the warnings before, and see docs/operating.md"
            );
        }
    }
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
