//! The stores of the layers on one pool.

use std::{fmt, sync::Arc, time::Duration};

use super::{door::Door, journal, ledger, pool::Pool};
use crate::{
    context::Tenant,
    domain::{
        finish::{Finish, Finished},
        hold::{Heartbeat, HoldRequest, HoldVerdict},
        ids::{OrganizationId, RequestId},
    },
    store::{
        Journal, Ledger, StoreFuture,
        coalesce::{Asked, Batches, Coalescer, Ended, Options},
    },
};

/// Policies, prices, ledger and journal on Postgres. Cheap to clone; clones share the pool.
///
/// It serves the organizations in one schema; [`Places`](super::Places) knows which organizations those are.
///
/// Each method runs one statement for one organization, in one round trip. Concurrent holds and finishes of one
/// organization share a statement. The pool's login needs no more rights than `tollgate_login` has.
#[derive(Clone)]
pub struct PostgresStore(Arc<Inner>);

struct Inner {
    pool: Pool,
    door: Door,
    calls: Coalescer<Statements>,
}

/// The statements about calls, each sent at once without coalescing.
#[derive(Clone, Debug)]
pub(super) struct Statements(Pool);

impl PostgresStore {
    /// The stores on this pool.
    pub fn new(pool: Pool) -> Self {
        Self::with(pool, Options::default())
    }

    /// The stores on this pool, with other bounds for coalescing and for waiting calls.
    pub fn with(pool: Pool, options: Options) -> Self {
        let door = Door::new(pool.clone());
        let calls = Coalescer::new(Statements(pool.clone()), options);
        Self(Arc::new(Inner { pool, door, calls }))
    }

    /// The pool.
    pub fn pool(&self) -> &Pool {
        &self.0.pool
    }

    /// Waits, at most this long, until pending holds are granted or released. Call it when no new holds come. A hold
    /// that is not released in time expires.
    pub async fn finish_holds(&self, wait_max: Duration) {
        self.0.calls.settle(wait_max).await;
    }

    pub(super) fn door(&self) -> &Door {
        &self.0.door
    }

    /// The uncoalesced statements, for requests that are batches already.
    pub(super) fn statements(&self) -> &Statements {
        self.0.calls.batches()
    }

    /// Whether the other is a clone of this one.
    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Ledger for PostgresStore {
    fn hold<'a>(
        &'a self,
        tenant: &'a Tenant,
        request: HoldRequest,
    ) -> StoreFuture<'a, HoldVerdict> {
        self.0.calls.hold(tenant, request)
    }

    fn renew<'a>(
        &'a self,
        organization: OrganizationId,
        heartbeats: &'a [Heartbeat],
        ttl: Duration,
    ) -> StoreFuture<'a, Vec<RequestId>> {
        self.0.calls.renew(organization, heartbeats, ttl)
    }
}

impl Journal for PostgresStore {
    fn finish<'a>(
        &'a self,
        tenant: &'a Tenant,
        finish: &'a Arc<Finish>,
    ) -> StoreFuture<'a, Finished> {
        self.0.calls.finish(tenant, finish)
    }
}

impl Batches for Statements {
    fn hold_all<'a>(
        &'a self,
        organization: OrganizationId,
        calls: &'a [Asked],
    ) -> StoreFuture<'a, Vec<HoldVerdict>> {
        Box::pin(ledger::hold(&self.0, organization, calls))
    }

    fn finish_all<'a>(
        &'a self,
        organization: OrganizationId,
        calls: &'a [Ended],
    ) -> StoreFuture<'a, Vec<Finished>> {
        Box::pin(journal::finish(&self.0, organization, calls))
    }

    fn renew_all<'a>(
        &'a self,
        organization: OrganizationId,
        heartbeats: &'a [Heartbeat],
        ttl: Duration,
    ) -> StoreFuture<'a, Vec<RequestId>> {
        Box::pin(ledger::renew(&self.0, organization, heartbeats, ttl))
    }

    fn give_back_all<'a>(
        &'a self,
        organization: OrganizationId,
        calls: &'a [RequestId],
    ) -> StoreFuture<'a, ()> {
        Box::pin(ledger::give_back(&self.0, organization, calls))
    }
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PostgresStore").field(&self.0.pool).finish()
    }
}
