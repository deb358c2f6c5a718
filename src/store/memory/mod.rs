//! Everything the layers need from a store, in one process and gone with it.
//!
//! It decides as the Postgres store does, with two differences: budget windows are days and months of
//! UTC, counted from the millisecond in the request id, and of finished calls only the latest of each
//! organization are remembered, so only those are told from new ones.
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

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

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
};

/// The store traits in memory. Cheap to clone; clones share everything.
#[derive(Clone)]
pub struct MemoryStore(Arc<Shared>);

struct Shared {
    shards: [RwLock<HashMap<OrganizationId, Arc<Organization>>>; SHARDS],
    prices: Prices,
}

// Enough that threads which look up different organizations seldom meet.
const SHARDS: usize = 64;

impl Default for MemoryStore {
    /// No organizations, no prices.
    fn default() -> Self {
        Self::new(PriceBook::default())
    }
}

impl MemoryStore {
    /// A store with these prices and no organizations.
    pub fn new(prices: PriceBook) -> Self {
        let shards = std::array::from_fn(|_| RwLock::default());
        Self(Arc::new(Shared { shards, prices: Prices::new(prices) }))
    }

    /// Puts other prices in force.
    pub fn set_prices(&self, prices: PriceBook) {
        self.0.prices.replace(prices);
    }

    /// Adds an organization with an empty balance and the default policy. `false` if it is there.
    pub fn create_organization(&self, id: OrganizationId) -> bool {
        let mut shard = self.shard(id).write().unwrap_or_else(PoisonError::into_inner);
        let missing = !shard.contains_key(&id);
        if missing {
            shard.insert(id, Arc::default());
        }
        missing
    }

    /// Adds credits, of which a debt is paid first. Refused, and nothing added, where they are below nothing or come
    /// to more than any amount.
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

    /// Agrees on prices with an organization, in place of what was agreed before.
    pub fn set_agreement(
        &self,
        id: OrganizationId,
        agreement: Agreement,
    ) -> Result<(), StoreError> {
        self.find(id)?.set_agreement(agreement);
        Ok(())
    }

    /// Turns the operator's own kill switch on or off, beside the one in the policy.
    pub fn set_suspended(&self, id: OrganizationId, suspended: bool) -> Result<(), StoreError> {
        self.find(id)?.set_suspended(suspended);
        Ok(())
    }

    /// Turns a kill switch of the organization's own on or off.
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

    /// Sets a rate limit beside the policy's. [`Scope::EACH`](crate::domain::scope::Scope::EACH) for an id gives
    /// each of the scope its own that has none; a limit without rates removes the one that is there.
    pub fn set_rate_limit(&self, id: OrganizationId, limit: RateLimit) -> Result<(), StoreError> {
        self.find(id)?.set_rate_limit(limit);
        Ok(())
    }

    /// Expires overdue holds, and returns how many.
    pub fn expire(&self, id: OrganizationId) -> Result<usize, StoreError> {
        Ok(self.find(id)?.account().expire())
    }

    /// Ends the time of a hold: it is overdue from now on. For tests of what comes after.
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

    /// What is broken in an organization's books: nothing, unless there is a fault in this store.
    pub fn reconcile(&self, id: OrganizationId) -> Result<Vec<String>, StoreError> {
        Ok(self.find(id)?.account().broken())
    }

    fn find(&self, id: OrganizationId) -> Result<Arc<Organization>, StoreError> {
        let shard = self.shard(id).read().unwrap_or_else(PoisonError::into_inner);
        shard.get(&id).cloned().ok_or(StoreError::UnknownOrganization)
    }

    fn shard(&self, id: OrganizationId) -> &RwLock<HashMap<OrganizationId, Arc<Organization>>> {
        // The last byte of a version 4 or 7 UUID is random.
        let [.., last] = id.as_uuid().into_bytes();
        let index = usize::from(last) % SHARDS;
        let [first, ..] = &self.0.shards;
        self.0.shards.get(index).unwrap_or(first)
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
    // Decided in one poll, so there is no moment in which the future could be dropped with a hold.
    fn hold<'a>(
        &'a self,
        tenant: &'a Tenant,
        request: HoldRequest,
    ) -> StoreFuture<'a, HoldVerdict> {
        Box::pin(async move {
            match self.find(tenant.organization_id()) {
                Ok(organization) => Ok(organization.hold(tenant, &request)),
                Err(_) => Ok(HoldVerdict::UnknownOrganization),
            }
        })
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
