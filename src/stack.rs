//! The whole stack, in its order.

use tower_layer::Layer;

use crate::{
    audit::{Audit, AuditLayer},
    call::{CallLayer, Calls, Finisher},
    credit::{Credit, CreditLayer},
    limits::{Limits, LimitsLayer},
    models::{Models, ModelsLayer},
    store::{Ledger, Policies, Prices},
    tenant::{TenantLayer, Tenants, Verifier},
};

/// All six layers in their order, as one layer. Made by [`stack`].
#[derive(Clone, Debug)]
pub struct Stack {
    tenant: TenantLayer,
    call: CallLayer,
    models: ModelsLayer,
    limits: LimitsLayer,
    credit: CreditLayer,
    audit: AuditLayer,
}

/// A service `S`, wrapped by [`Stack`].
pub type Stacked<S> = Tenants<Calls<Models<Limits<Credit<Audit<S>>>>>>;

/// The whole stack. `verifier` identifies callers. `policies` says what they may do, and `prices` what
/// a call costs. `ledger` sets credits aside, and `finisher` writes the end of each call.
///
/// The inner service takes `Request<RequestBody>` and is cloned for every call.
pub fn stack(
    verifier: Verifier,
    policies: Policies,
    prices: Prices,
    ledger: impl Ledger,
    finisher: Finisher,
) -> Stack {
    Stack {
        tenant: TenantLayer::new(verifier),
        call: CallLayer::new(finisher),
        models: ModelsLayer::new(policies.clone()),
        limits: LimitsLayer::new(policies.clone()).prices(prices.clone()),
        credit: CreditLayer::new(ledger, policies.clone(), prices),
        audit: AuditLayer::new(policies),
    }
}

impl Stack {
    /// Changes the settings of the call layer.
    #[must_use]
    pub fn call(mut self, change: impl FnOnce(CallLayer) -> CallLayer) -> Self {
        self.call = change(self.call);
        self
    }

    /// Changes the settings of the limits layer.
    #[must_use]
    pub fn limits(mut self, change: impl FnOnce(LimitsLayer) -> LimitsLayer) -> Self {
        self.limits = change(self.limits);
        self
    }

    /// Changes the settings of the credit layer.
    #[must_use]
    pub fn credit(mut self, change: impl FnOnce(CreditLayer) -> CreditLayer) -> Self {
        self.credit = change(self.credit);
        self
    }

    /// Changes the settings of the audit layer.
    #[must_use]
    pub fn audit(mut self, change: impl FnOnce(AuditLayer) -> AuditLayer) -> Self {
        self.audit = change(self.audit);
        self
    }
}

impl<S> Layer<S> for Stack {
    type Service = Stacked<S>;

    fn layer(&self, inner: S) -> Self::Service {
        let inner = self.credit.layer(self.audit.layer(inner));
        let inner = self.models.layer(self.limits.layer(inner));
        self.tenant.layer(self.call.layer(inner))
    }
}
