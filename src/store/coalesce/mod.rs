//! Holds and finishes of one organization, put together: while a statement of theirs is on its way the next
//! ones queue, and go as one when it is back.
//!
//! Alone, a hold goes at once. In a crowd, as many go in one statement as came meanwhile (at most
//! [`Options::batch_max`]), so that an organization's one balance row is locked once for all of them.
//!
//! A hold that only other calls' holds are in the way of waits its turn: it is asked for again whenever a finish of
//! its organization was written here, and every [`Options::ask_again`] because other processes write finishes
//! too, the longest waiting first. Those that fit pass those that do not. After [`Options::wait_max`], or
//! where [`Options::waiting_max`] wait already, the last verdict stands.
//!
//! Statements run in tasks of their own, so that a caller who leaves does not cancel what others wait for. A hold
//! that was granted and that nobody takes is given back.

mod finishes;
mod holds;
#[cfg(test)]
mod tests;
mod unclaimed;

use std::{
    collections::HashMap,
    fmt,
    hash::{BuildHasher, RandomState},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio_util::task::TaskTracker;

use self::{finishes::Finishes, holds::Holds};
use super::{StoreError, StoreFuture};
use crate::{
    context::Tenant,
    domain::{
        finish::{Finish, Finished},
        hold::{Heartbeat, HoldRequest, HoldVerdict},
        ids::{OrganizationId, RequestId},
    },
};

/// Writes about calls of one organization, several in one statement. An answer has one item a call, in
/// their order.
pub trait Batches: Send + Sync + 'static {
    /// Sets credits aside for these calls, in their order.
    fn hold_all<'a>(
        &'a self,
        organization: OrganizationId,
        calls: &'a [Asked],
    ) -> StoreFuture<'a, Vec<HoldVerdict>>;

    /// Writes the ends of these calls, durably, all or none. No call is among them twice.
    fn finish_all<'a>(
        &'a self,
        organization: OrganizationId,
        calls: &'a [Ended],
    ) -> StoreFuture<'a, Vec<Finished>>;

    /// As [`Ledger::renew`](super::Ledger::renew).
    fn renew_all<'a>(
        &'a self,
        organization: OrganizationId,
        heartbeats: &'a [Heartbeat],
        ttl: Duration,
    ) -> StoreFuture<'a, Vec<RequestId>>;

    /// Gives back the holds of calls that nobody waits for, where there are some.
    fn give_back_all<'a>(
        &'a self,
        organization: OrganizationId,
        calls: &'a [RequestId],
    ) -> StoreFuture<'a, ()>;
}

/// A hold that is asked for.
#[derive(Clone, Debug)]
pub struct Asked {
    /// By whom.
    pub tenant: Tenant,
    /// What.
    pub request: HoldRequest,
}

/// A call that has ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// Whose.
    pub tenant: Tenant,
    /// What is to be written.
    pub finish: Arc<Finish>,
}

/// How much is put together, and how long holds wait for others.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Options {
    /// Default 64. The most calls in one statement: their balance is locked for so long.
    pub batch_max: usize,
    /// Default 4 MiB. The most text of requests and answers in one statement, but for one call's.
    pub batch_bytes_max: usize,
    /// Default 2 s. How long a hold waits for what others hold to come back.
    pub wait_max: Duration,
    /// Default 1,024. How many holds of one organization wait at once; more are refused at once.
    pub waiting_max: usize,
    /// Default 100 ms. How often waiting holds are asked for again, besides after each finish here.
    pub ask_again: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            batch_max: 64,
            batch_bytes_max: 4 << 20,
            wait_max: Duration::from_secs(2),
            waiting_max: 1_024,
            ask_again: Duration::from_millis(100),
        }
    }
}

/// Puts writes of one organization together. Cheap to clone; clones share the queues. See the
/// [module docs](self).
pub struct Coalescer<B: Batches>(Arc<Shared<B>>);

struct Shared<B: Batches> {
    batches: B,
    options: Options,
    shards: Vec<Mutex<Shard<B>>>,
    hasher: RandomState,
    tasks: TaskTracker,
}

/// The queues of some organizations; an organization with nothing in its queues is not among them.
struct Shard<B: Batches> {
    holds: HashMap<OrganizationId, Holds<B>>,
    finishes: HashMap<OrganizationId, Finishes>,
}

const SHARDS: usize = 64;

impl<B: Batches> Default for Shard<B> {
    fn default() -> Self {
        Self { holds: HashMap::new(), finishes: HashMap::new() }
    }
}

impl<B: Batches> Coalescer<B> {
    /// Queues in front of these statements.
    pub fn new(batches: B, options: Options) -> Self {
        Self(Arc::new(Shared {
            batches,
            options,
            shards: std::iter::repeat_with(Mutex::default).take(SHARDS).collect(),
            hasher: RandomState::new(),
            tasks: TaskTracker::new(),
        }))
    }

    /// The statements.
    pub fn batches(&self) -> &B {
        &self.0.batches
    }

    /// Waits, at most this long, until nothing is on its way. Call it when no new calls come. What is not
    /// given back in time expires.
    pub async fn settle(&self, wait_max: Duration) {
        self.0.tasks.close();
        if tokio::time::timeout(wait_max, self.0.tasks.wait()).await.is_err() {
            tracing::warn!(
                open = self.0.tasks.len(),
                "holds are still on their way: they will expire"
            );
        }
        self.0.tasks.reopen();
    }
}

impl<B: Batches> Shared<B> {
    // Every change of a queue is one call that does not panic half way.
    fn shard(&self, organization: OrganizationId) -> MutexGuard<'_, Shard<B>> {
        let [.., last] = self.hasher.hash_one(organization).to_le_bytes();
        #[expect(clippy::indexing_slicing, reason = "a remainder by the number of shards")]
        let shard = &self.shards[usize::from(last) % SHARDS];
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The same fault for everybody in a batch.
fn shared(error: &StoreError) -> StoreError {
    match error {
        StoreError::UnknownOrganization => StoreError::UnknownOrganization,
        StoreError::Forbidden => StoreError::Forbidden,
        StoreError::Unavailable(source) => StoreError::Unavailable(source.to_string().into()),
        StoreError::Refused(source) => StoreError::Refused(source.to_string().into()),
    }
}

impl<B: Batches> Clone for Coalescer<B> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<B: Batches + fmt::Debug> fmt::Debug for Coalescer<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Coalescer")
            .field("batches", &self.0.batches)
            .field("options", &self.0.options)
            .finish_non_exhaustive()
    }
}
