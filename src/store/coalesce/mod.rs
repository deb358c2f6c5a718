//! Batches the holds and the finishes of one organization. While one statement runs, new calls queue; when it
//! returns, the queued calls share the next statement.
//!
//! If nothing runs, a hold is sent at once. Under load, one statement takes all calls that have queued (at most
//! [`Options::batch_max`]), so that the organization's balance row is locked once for all of them.
//!
//! A hold that would fit once other calls release theirs waits. It is asked for again after each finish of its
//! organization in this process. It is also asked for every [`Options::ask_again`], because other processes write
//! finishes too. The longest waiting is asked for first; a smaller hold that fits may overtake a larger one that
//! does not. After [`Options::wait_max`], or if [`Options::waiting_max`] holds wait already, the last verdict stands.
//!
//! Statements run in tasks of their own, so that a caller that leaves does not cancel a statement that others wait
//! for. If its caller has left, a granted hold is given back.

mod finishes;
mod holds;
#[cfg(test)]
mod tests;
mod unclaimed;

use std::{collections::HashMap, fmt, sync::Arc, time::Duration};

use parking_lot::MutexGuard;
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
    sharded::Sharded,
};

/// Statements about several calls of one organization. The answers of `hold_all` and `finish_all` have
/// one item per call, in the order of the calls.
pub trait Batches: Send + Sync + 'static {
    /// Sets credits aside for these calls, in their order.
    fn hold_all<'a>(
        &'a self,
        organization: OrganizationId,
        calls: &'a [Asked],
    ) -> StoreFuture<'a, Vec<HoldVerdict>>;

    /// Writes the finishes of these calls durably: all or none. No call is given twice.
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

    /// Gives back the holds of these calls, which no caller has taken. A call without a hold is skipped.
    fn give_back_all<'a>(
        &'a self,
        organization: OrganizationId,
        calls: &'a [RequestId],
    ) -> StoreFuture<'a, ()>;
}

/// A request for a hold.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The caller.
    pub tenant: Tenant,
    /// The credits and tokens to set aside.
    pub request: HoldRequest,
}

/// A call that has ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// The caller.
    pub tenant: Tenant,
    /// The finish to write.
    pub finish: Arc<Finish>,
}

/// The size of a batch, and how long holds wait for other holds to be released.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Options {
    /// Default 64. The most calls in one statement, which locks their organization's balance row while it runs.
    pub batch_max: usize,
    /// Default 4 MiB. The most text of requests and answers in one statement. A call with more goes alone.
    pub batch_bytes_max: usize,
    /// Default 2 s. How long a hold waits for other calls to release theirs.
    pub wait_max: Duration,
    /// Default 1,024. How many holds of one organization may wait. Further ones are refused without waiting.
    pub waiting_max: usize,
    /// Default 100 ms. How often waiting holds are asked for again, in addition to after each finish in this process.
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

/// Batches the writes of each organization. Cheap to clone; clones share the queues. See the
/// [module docs](self).
pub struct Coalescer<B: Batches>(Arc<Shared<B>>);

struct Shared<B: Batches> {
    batches: B,
    options: Options,
    shards: Sharded<Shard<B>>,
    tasks: TaskTracker,
}

/// The queues of some organizations. An organization without queued work has no entry.
struct Shard<B: Batches> {
    holds: HashMap<OrganizationId, Holds<B>>,
    finishes: HashMap<OrganizationId, Finishes>,
}

impl<B: Batches> Default for Shard<B> {
    fn default() -> Self {
        Self { holds: HashMap::new(), finishes: HashMap::new() }
    }
}

impl<B: Batches> Coalescer<B> {
    /// A coalescer in front of these statements.
    pub fn new(batches: B, options: Options) -> Self {
        Self(Arc::new(Shared {
            batches,
            options,
            shards: Sharded::default(),
            tasks: TaskTracker::new(),
        }))
    }

    /// The statements behind the queues.
    pub fn batches(&self) -> &B {
        &self.0.batches
    }

    /// Waits until no statement is running, at most `wait_max`. Call it when no new calls arrive. A hold
    /// that is not given back in time expires.
    pub async fn wait_idle(&self, wait_max: Duration) {
        self.0.tasks.close();
        if tokio::time::timeout(wait_max, self.0.tasks.wait()).await.is_err() {
            tracing::warn!(
                open = self.0.tasks.len(),
                "statements are still running: holds that they do not give back will expire"
            );
        }
        self.0.tasks.reopen();
    }
}

impl<B: Batches> Shared<B> {
    fn shard(&self, organization: OrganizationId) -> MutexGuard<'_, Shard<B>> {
        self.shards.of(organization.as_uuid())
    }
}

/// A copy of the error for each call of a batch.
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
