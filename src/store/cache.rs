//! A cache of what a store says about many keys: each value is believed for a time, and is read once for all who ask.

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
    /// What the values are, for the error where one cannot be read.
    what: &'static str,
    entries: Cache<K, Entry<V>>,
    /// When a caller's last read failed. Everyone who was waiting for that read gets its error instead of reading again.
    failures: Cache<K, Instant>,
    /// How often something was forgotten. A value that was being read meanwhile may be older than that.
    forgotten: AtomicU64,
    ttl: Duration,
    /// Whether a value may be believed at all, or only by those who asked for it at the same time.
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

    /// The value, where it is known and still believed.
    pub(super) fn peek<Q>(&self, key: &Q) -> Option<V>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        let entry = self.entries.get(key)?;
        self.believes(&entry).then_some(entry.value)
    }

    /// The value, by `read` if need be. Callers that ask at once share one read. `owned` is `key` as it is stored.
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
        // The value's age counts from here: it is of no later moment.
        let fetched = Instant::now();
        let guard = match self.entries.get_value_or_guard_async(&key).await {
            Ok(entry) => return Ok(entry.value),
            Err(guard) => guard,
        };
        // If each waiter read again in turn, a store that says nothing would keep the last of them for minutes.
        if self.failures.get(&key).is_some_and(|failed| failed >= fetched) {
            let problem = format!("the {} could not be read just now", self.what);
            return Err(StoreError::Unavailable(problem.into()));
        }
        let before = self.forgotten.load(Ordering::SeqCst);
        match read.await {
            Ok(value) => {
                // Also for those who wait for it.
                drop(guard.insert(Entry { value: value.clone(), fetched }));
                // `forget` finds only what is there. A value that was on its way is taken out here.
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

    /// Forgets the values of all such keys, in one go.
    pub(super) fn forget(&self, is: impl Fn(&K) -> bool) {
        // Counted first: a value that arrives after the count is not kept, one that arrived before is there to be taken
        // out.
        self.forgotten.fetch_add(1, Ordering::SeqCst);
        self.entries.retain(|key, _| !is(key));
    }

    fn believes(&self, entry: &Entry<V>) -> bool {
        (self.lasts)(&entry.value) && entry.fetched.elapsed() < self.ttl
    }
}
