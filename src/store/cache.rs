//! A cache of a store's values by key. Entries have a time to live, and callers that ask at once share one read.

use std::{
    hash::Hash,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use quick_cache::{Equivalent, sync::Cache};
use tokio::time::Instant;

use super::StoreError;

/// Values of one kind.
pub(super) struct Cached<K, V> {
    /// The kind of value, named in the error when a read fails.
    what: &'static str,
    entries: Cache<K, Entry<V>>,
    /// When a caller's last read failed. Everyone who was waiting for that read gets its error instead of reading again.
    failures: Cache<K, Instant>,
    /// Counts calls of `forget`. A value whose read began before such a call may be outdated.
    forgotten: AtomicU64,
    ttl: Duration,
    /// Whether a value may be cached. If not, it answers only the callers that waited for the same read.
    lasts: fn(&V) -> bool,
}

#[derive(Clone)]
struct Entry<V> {
    value: V,
    fetched: Instant,
}

impl<K: Hash + Eq + Clone, V: Clone> Cached<K, V> {
    const ENTRIES_MAX: usize = 200_000;
    const FAILURES_MAX: usize = 1_000;

    pub(super) fn new(what: &'static str, ttl: Duration, lasts: fn(&V) -> bool) -> Self {
        let (entries, failures) = (Cache::new(Self::ENTRIES_MAX), Cache::new(Self::FAILURES_MAX));
        Self { what, entries, failures, forgotten: AtomicU64::new(0), ttl, lasts }
    }

    /// The cached value, if it has not expired.
    pub(super) fn peek<Q>(&self, key: &Q) -> Option<V>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        let entry = self.entries.get(key)?;
        self.believes(&entry).then_some(entry.value)
    }

    /// The cached value, or else that of `read`. Callers that ask at once share one read. `owned` makes the stored key.
    pub(super) async fn get<Q>(
        &self,
        key: &Q,
        owned: impl FnOnce() -> K,
        read: impl Future<Output = Result<V, StoreError>>,
    ) -> Result<V, StoreError>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        if let Some(entry) = self.entries.get(key) {
            if self.believes(&entry) {
                return Ok(entry.value);
            }
            drop(self.entries.remove_if(key, |entry| !self.believes(entry)));
        }
        let key = owned();
        // The value's age counts from before the read, since the value may be that old.
        let fetched = Instant::now();
        let guard = match self.entries.get_value_or_guard_async(&key).await {
            Ok(entry) => return Ok(entry.value),
            Err(guard) => guard,
        };
        // If each waiter read again in turn, an unresponsive store would keep the last of them waiting for minutes.
        if self.failures.get(&key).is_some_and(|failed| failed >= fetched) {
            let problem = format!("the {} could not be read just now", self.what);
            return Err(StoreError::Unavailable(problem.into()));
        }
        let before = self.forgotten.load(Ordering::SeqCst);
        match read.await {
            Ok(value) => {
                // Inserted even if it does not last: the other waiters take it from here.
                drop(guard.insert(Entry { value: value.clone(), fetched }));
                // `forget` removes only entries that are there. A value that was being read meanwhile is removed here.
                if self.forgotten.load(Ordering::SeqCst) != before {
                    drop(self.entries.remove_if(&key, |_| true));
                }
                Ok(value)
            }
            Err(error) => {
                if error.is_transient() {
                    self.failures.insert(key.clone(), Instant::now());
                }
                Err(error)
            }
        }
    }

    /// Removes the entries of all keys for which `is` holds, in one pass.
    pub(super) fn forget(&self, is: impl Fn(&K) -> bool) {
        // Count first. A value that arrives after the count is not kept; one that arrived before it is removed below.
        self.forgotten.fetch_add(1, Ordering::SeqCst);
        self.entries.retain(|key, _| !is(key));
    }

    fn believes(&self, entry: &Entry<V>) -> bool {
        (self.lasts)(&entry.value) && entry.fetched.elapsed() < self.ttl
    }
}
