//! The open calls that something else in this process acts on: the kill switch, the heartbeats.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use parking_lot::MutexGuard;
use uuid::Uuid;

use crate::sharded::Sharded;

/// Open calls. Clones share the calls.
pub(super) struct Registry<T>(Arc<Shared<T>>);

struct Shared<T> {
    calls: Sharded<HashMap<u64, T>>,
    next: AtomicU64,
}

impl<T> Registry<T> {
    /// Enters a call among those of `shard`. It is removed when the entry is dropped.
    pub(super) fn enter(&self, shard: Uuid, call: T) -> Entry<T> {
        let number = self.0.next.fetch_add(1, Ordering::Relaxed);
        self.0.calls.of(shard).insert(number, call);
        Entry { registry: self.clone(), shard, number }
    }

    /// The number of the next call. Every call that was entered before has a lower one.
    pub(super) fn next(&self) -> u64 {
        self.0.next.load(Ordering::Relaxed)
    }

    /// The calls of `shard` and of others that share its lock, by their numbers. A call must not be ended under the
    /// lock: it then removes itself.
    pub(super) fn of(&self, shard: Uuid) -> MutexGuard<'_, HashMap<u64, T>> {
        self.0.calls.of(shard)
    }

    /// All calls, some under each lock.
    pub(super) fn each(&self) -> impl Iterator<Item = MutexGuard<'_, HashMap<u64, T>>> {
        self.0.calls.each()
    }

    /// How many calls are open.
    pub(super) fn len(&self) -> usize {
        self.each().map(|calls| calls.len()).fold(0, usize::saturating_add)
    }
}

impl<T> Default for Registry<T> {
    fn default() -> Self {
        Self(Arc::new(Shared { calls: Sharded::default(), next: AtomicU64::new(0) }))
    }
}

impl<T> Clone for Registry<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// One open call, until this is dropped.
pub(super) struct Entry<T> {
    registry: Registry<T>,
    shard: Uuid,
    number: u64,
}

impl<T> Drop for Entry<T> {
    fn drop(&mut self) {
        let call = self.registry.of(self.shard).remove(&self.number);
        // The lock is free here: dropping the call must not happen under it.
        drop(call);
    }
}
