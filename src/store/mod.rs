//! The traits through which layers reach lasting state, and their in-memory implementation.
//!
//! The memory store is part of the product. It serves tests, benches, and single-process installations
//! without money at stake. `postgres` implements the same traits; one behaviour suite runs over both.

pub mod admin;
mod agreements;
mod cache;
pub mod coalesce;
mod memory;
mod policies;
mod prices;
mod switches;
#[cfg(test)]
mod tests;

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

pub use memory::{Balance, MemoryStore, Written};
pub use policies::Policies;
pub use prices::Prices;
pub use switches::{Flipped, SwitchStore, Switchboard, SwitchesOn};

pub use crate::context::Standing;
use crate::{
    context::Tenant,
    domain::{
        finish::{Finish, Finished},
        hold::{Heartbeat, HoldRequest, HoldVerdict},
        ids::{OrganizationId, RequestId},
        price::{Agreement, PriceBook},
    },
};

/// A store's answer. Boxed, which costs little beside the I/O behind it.
pub type StoreFuture<'a, T, E = StoreError> =
    Pin<Box<dyn Future<Output = Result<T, E>> + Send + 'a>>;

/// The store could not answer. The client gets 503 without the detail; the layer logs it once.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The store is unreachable, full, or not ready. Worth a retry after a while.
    #[error("the store is unavailable: {0}")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The organization is not in this store. Not worth a retry.
    #[error("no such organization")]
    UnknownOrganization,
    /// The caller's role does not permit this. Not worth a retry.
    #[error("the caller's role does not permit this")]
    Forbidden,
    /// The store refused the statement for a reason that a retry does not change.
    #[error("the store refused: {0}")]
    Refused(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl StoreError {
    /// Whether the same request may succeed later.
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }
}

/// Where policies and memberships are kept. Layers ask through [`Policies`], which caches.
pub trait PolicyStore: Send + Sync + 'static {
    /// The policy of the tenant's organization, and the person's role by the membership table.
    fn standing<'a>(&'a self, tenant: &'a Tenant) -> StoreFuture<'a, Standing>;
}

/// Where prices are kept. Layers ask through [`Prices`], which caches.
pub trait PriceStore: Send + Sync + 'static {
    /// All list prices in force now.
    fn price_book(&self) -> StoreFuture<'_, PriceBook>;

    /// The price agreement of the tenant's organization that is in force now. For an organization that
    /// is not in this store, the default: the list prices.
    fn agreement<'a>(&'a self, tenant: &'a Tenant) -> StoreFuture<'a, Agreement>;
}

/// The credits of organizations, set aside before a call.
pub trait Ledger: Send + Sync + 'static {
    /// Sets credits and budget tokens aside, or says why not. Idempotent by organization and
    /// request. If the future is dropped before it resolves, the ledger gives the hold back.
    fn hold<'a>(&'a self, tenant: &'a Tenant, request: HoldRequest)
    -> StoreFuture<'a, HoldVerdict>;

    /// Renews the holds of open calls for `ttl` from now, and records the usage that each heartbeat reports.
    /// Returns the calls whose holds are still open. A missing call has ended, or its hold has expired; then its
    /// finish charges the rest. Idempotent.
    ///
    /// The default returns all calls, for ledgers whose holds do not expire.
    fn renew<'a>(
        &'a self,
        organization: OrganizationId,
        heartbeats: &'a [Heartbeat],
        ttl: Duration,
    ) -> StoreFuture<'a, Vec<RequestId>> {
        let _ = (organization, ttl);
        let all = heartbeats.iter().map(|heartbeat| heartbeat.request_id).collect();
        Box::pin(std::future::ready(Ok(all)))
    }
}

/// The end of calls: settlement, usage and record.
pub trait Journal: Send + Sync + 'static {
    /// Writes a finish in one transaction. Once this resolves to `Ok`, the finish is durable.
    /// Idempotent by organization and request.
    fn finish<'a>(
        &'a self,
        tenant: &'a Tenant,
        finish: &'a Arc<Finish>,
    ) -> StoreFuture<'a, Finished>;
}

impl<T: Ledger + ?Sized> Ledger for Arc<T> {
    fn hold<'a>(
        &'a self,
        tenant: &'a Tenant,
        request: HoldRequest,
    ) -> StoreFuture<'a, HoldVerdict> {
        (**self).hold(tenant, request)
    }

    fn renew<'a>(
        &'a self,
        organization: OrganizationId,
        heartbeats: &'a [Heartbeat],
        ttl: Duration,
    ) -> StoreFuture<'a, Vec<RequestId>> {
        (**self).renew(organization, heartbeats, ttl)
    }
}

impl<T: Journal + ?Sized> Journal for Arc<T> {
    fn finish<'a>(
        &'a self,
        tenant: &'a Tenant,
        finish: &'a Arc<Finish>,
    ) -> StoreFuture<'a, Finished> {
        (**self).finish(tenant, finish)
    }
}
