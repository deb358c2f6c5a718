//! The traits through which layers reach what lasts, and the in-memory implementation of them.
//!
//! The memory store is a product: it serves single-process installations without money at stake,
//! tests and benches. `postgres` implements the same traits; one behaviour suite runs over both.

pub mod admin;
mod agreements;
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

/// An answer of a store: boxed, because it is I/O.
pub type StoreFuture<'a, T, E = StoreError> =
    Pin<Box<dyn Future<Output = Result<T, E>> + Send + 'a>>;

/// The store could not answer. The client gets 503 without the detail; the layer logs it once.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The store is away, full, or not ready: worth trying again after a while.
    #[error("the store is unavailable: {0}")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The organization is not in this store. Not worth repeating.
    #[error("no such organization")]
    UnknownOrganization,
    /// Whoever asks may not do this. Not worth repeating.
    #[error("the caller's role does not include this")]
    Forbidden,
    /// The store refused the statement for a reason that repeating will not change.
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

    /// What is agreed with the tenant's organization and in force now. For an organization that is not
    /// there nothing is agreed.
    fn agreement<'a>(&'a self, tenant: &'a Tenant) -> StoreFuture<'a, Agreement>;
}

/// The credits of organizations, set aside before a call.
pub trait Ledger: Send + Sync + 'static {
    /// Sets credits and budget tokens aside, or says why not. Idempotent by organization and
    /// request. A hold whose future is dropped before it resolves is given back by the ledger.
    fn hold<'a>(&'a self, tenant: &'a Tenant, request: HoldRequest)
    -> StoreFuture<'a, HoldVerdict>;

    /// Lets the holds of calls that go on stand for `ttl` from now, and notes what was seen of them. The calls
    /// whose holds are open still; the others' ends come late. Idempotent.
    ///
    /// By default all of them are, for ledgers whose holds do not run out.
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
    /// Writes a finish in one transaction. When this resolves to `Ok`, it is durable. Idempotent by
    /// organization and request.
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
