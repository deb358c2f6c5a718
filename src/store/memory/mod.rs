//! All store traits in the memory of one process. Nothing survives the process.
//!
//! It decides as the Postgres store does, with two differences. Budget windows are days and months of
//! UTC, by the time in the request id. And only the latest finished calls of each organization are
//! remembered, so an older finish that is repeated counts as a new one.
//!
//! ```
//! # use tollgate::{Tenant, domain::{credits::Credits, hold::*, ids::*}, store::{Ledger, MemoryStore}};
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), tollgate::store::StoreError> {
//! let organization = OrganizationId::new(uuid::Uuid::now_v7());
//! let store = MemoryStore::default();
//! store.create_organization(organization);
//! store.grant_credits(organization, Credits::from_nanos(100))?;
//!
//! let hold = |amount| HoldRequest {
//!     request_id: RequestId::generate(),
//!     amount: Credits::from_nanos(amount),
//!     tokens: 1,
//!     ttl: std::time::Duration::from_secs(60),
//! };
//! let tenant = Tenant::new(organization, "ann");
//! assert_eq!(store.hold(&tenant, hold(60)).await?, HoldVerdict::Granted);
//! let refused = HoldVerdict::Insufficient { available: Credits::from_nanos(40), may_wait: true };
//! assert_eq!(store.hold(&tenant, hold(60)).await?, refused);
//! # Ok(())
//! # }
//! ```

mod account;
mod batches;
mod calendar;
mod organization;
#[cfg(test)]
mod tests;

use std::{collections::HashMap, fmt, sync::Arc, time::Duration};

pub use account::Balance;
use organization::Organization;
pub use organization::Written;

use super::{
    Journal, Ledger, PolicyStore, PriceStore, Prices, Standing, StoreError, StoreFuture,
    SwitchStore,
};
use crate::{
    context::Tenant,
    domain::{
        credits::Credits,
        finish::{Finish, Finished},
        hold::{Heartbeat, HoldRequest, HoldVerdict},
        ids::{OrganizationId, RequestId},
        policy::{Policy, RateLimit},
        price::{Agreement, PriceBook},
        role::Role,
        switch::{Switch, Switches},
    },
    sharded::Sharded,
};

/// The store traits in memory. Cheap to clone; clones share everything.
#[derive(Clone)]
pub struct MemoryStore(Arc<Shared>);

struct Shared {
    organizations: Sharded<HashMap<OrganizationId, Arc<Organization>>>,
    prices: Prices,
}

impl Default for MemoryStore {
    /// No organizations, no prices.
    fn default() -> Self {
        Self::new(PriceBook::default())
    }
}

impl MemoryStore {
    /// A store with these prices and no organizations.
    pub fn new(prices: PriceBook) -> Self {
        let organizations = Sharded::default();
        Self(Arc::new(Shared { organizations, prices: Prices::new(prices) }))
    }

    /// Replaces the price book.
    pub fn set_prices(&self, prices: PriceBook) {
        self.0.prices.replace(prices);
    }

    /// Adds an organization with an empty balance and the default policy. `false` if it exists already.
    pub fn create_organization(&self, id: OrganizationId) -> bool {
        let mut shard = self.0.organizations.of(id.as_uuid());
        let missing = !shard.contains_key(&id);
        if missing {
            shard.insert(id, Arc::default());
        }
        missing
    }

    /// Adds credits, which pay off a debt first. Refused without a change if the amount is negative or the sum
    /// overflows.
    pub fn grant_credits(
        &self,
        id: OrganizationId,
        amount: Credits,
    ) -> Result<Balance, StoreError> {
        Ok(self.find(id)?.account().grant(amount)?)
    }

    /// Replaces the policy.
    pub fn set_policy(&self, id: OrganizationId, policy: Policy) -> Result<(), StoreError> {
        self.find(id)?.set_policy(policy);
        Ok(())
    }

    /// Replaces the price agreement of an organization.
    pub fn set_agreement(
        &self,
        id: OrganizationId,
        agreement: Agreement,
    ) -> Result<(), StoreError> {
        self.find(id)?.set_agreement(agreement);
        Ok(())
    }

    /// Turns the operator's kill switch on or off. The policy's `suspended` is independent of it.
    pub fn set_suspended(&self, id: OrganizationId, suspended: bool) -> Result<(), StoreError> {
        self.find(id)?.set_suspended(suspended);
        Ok(())
    }

    /// Turns one of the organization's own kill switches on or off.
    pub fn set_switch(
        &self,
        id: OrganizationId,
        switch: Switch,
        on: bool,
    ) -> Result<(), StoreError> {
        self.find(id)?.set_switch(switch, on);
        Ok(())
    }

    /// Makes a person a member in this role.
    pub fn set_role(&self, id: OrganizationId, user: &str, role: Role) -> Result<(), StoreError> {
        self.find(id)?.set_role(user, role);
        Ok(())
    }

    /// Sets a rate limit in addition to the policy's. A limit without rates is removed.
    ///
    /// With the wildcard id [`Scope::EACH`](crate::domain::scope::Scope::EACH), the limit applies separately
    /// to every team, user or key without a limit of its own.
    pub fn set_rate_limit(&self, id: OrganizationId, limit: RateLimit) -> Result<(), StoreError> {
        self.find(id)?.set_rate_limit(limit);
        Ok(())
    }

    /// Expires overdue holds, and returns how many.
    pub fn expire(&self, id: OrganizationId) -> Result<usize, StoreError> {
        Ok(self.find(id)?.account().expire())
    }

    /// Makes a hold overdue from now on. For tests of expiry.
    pub fn end_time(&self, id: OrganizationId, request_id: RequestId) -> Result<(), StoreError> {
        self.find(id)?.account().end_time(request_id);
        Ok(())
    }

    /// The balance now.
    pub fn balance(&self, id: OrganizationId) -> Result<Balance, StoreError> {
        Ok(self.find(id)?.account().balance())
    }

    /// The latest finishes of an organization, the oldest first.
    pub fn written(&self, id: OrganizationId) -> Result<Vec<Written>, StoreError> {
        Ok(self.find(id)?.written())
    }

    /// The invariants that an organization's books violate. Empty, unless this store has a bug.
    pub fn reconcile(&self, id: OrganizationId) -> Result<Vec<String>, StoreError> {
        Ok(self.find(id)?.account().broken())
    }

    fn find(&self, id: OrganizationId) -> Result<Arc<Organization>, StoreError> {
        let shard = self.0.organizations.of(id.as_uuid());
        shard.get(&id).cloned().ok_or(StoreError::UnknownOrganization)
    }
}

impl PolicyStore for MemoryStore {
    fn standing<'a>(&'a self, tenant: &'a Tenant) -> StoreFuture<'a, Standing> {
        Box::pin(async move { Ok(self.find(tenant.organization_id())?.standing(tenant)) })
    }
}

impl SwitchStore for MemoryStore {
    fn switches(&self, organization: OrganizationId) -> StoreFuture<'_, Switches> {
        Box::pin(async move {
            Ok(self.find(organization).map(|found| found.switches()).unwrap_or_default())
        })
    }
}

impl PriceStore for MemoryStore {
    fn price_book(&self) -> StoreFuture<'_, PriceBook> {
        Box::pin(async move { Ok(PriceBook::clone(&self.0.prices.current())) })
    }

    fn agreement<'a>(&'a self, tenant: &'a Tenant) -> StoreFuture<'a, Agreement> {
        Box::pin(async move {
            let organization = self.find(tenant.organization_id());
            Ok(organization.map(|organization| organization.agreement()).unwrap_or_default())
        })
    }
}

impl Ledger for MemoryStore {
    // Resolves in its first poll, so the future cannot be dropped between the hold and its answer.
    fn hold<'a>(
        &'a self,
        tenant: &'a Tenant,
        request: HoldRequest,
    ) -> StoreFuture<'a, HoldVerdict> {
        Box::pin(async move { Ok(self.find(tenant.organization_id())?.hold(tenant, &request)) })
    }

    fn renew<'a>(
        &'a self,
        organization: OrganizationId,
        heartbeats: &'a [Heartbeat],
        ttl: Duration,
    ) -> StoreFuture<'a, Vec<RequestId>> {
        Box::pin(async move { Ok(self.find(organization)?.account().renew(heartbeats, ttl)) })
    }
}

impl Journal for MemoryStore {
    fn finish<'a>(
        &'a self,
        tenant: &'a Tenant,
        finish: &'a Arc<Finish>,
    ) -> StoreFuture<'a, Finished> {
        Box::pin(async move { Ok(self.find(tenant.organization_id())?.finish(tenant, finish)?) })
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").field("prices", &self.0.prices).finish_non_exhaustive()
    }
}
