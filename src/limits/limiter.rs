//! The counts of all limits, and the decision whether a call may pass.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use parking_lot::{Mutex, MutexGuard};
use tokio::time::Instant;

use super::{
    counts::{Counts, Denial, Rates},
    headers::Readings,
    key::{Key, Keys},
    shard::Shard,
};
use crate::{
    context::{AtEnd, Report},
    domain::{
        policy::RateLimit,
        rate::{Nanos, Taken},
    },
};

/// A limit that applies to a call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Met<'a> {
    pub(super) key: Key,
    pub(super) rates: Rates,
    /// `None` for the rates in the policy.
    pub(super) limit: Option<&'a RateLimit>,
}

/// The joint answer of all limits that apply to a call.
#[derive(Debug)]
pub(super) struct Answer<'a> {
    pub(super) admitted: Result<Permit, Refused<'a>>,
    /// For each kind of rate, the smallest remainder among the limits that apply.
    pub(super) readings: Readings,
}

/// The limit that refused the call. If several did, the one whose denial lasts longest.
#[derive(Clone, Copy, Debug)]
pub(super) struct Refused<'a> {
    pub(super) denial: Denial,
    pub(super) limit: Option<&'a RateLimit>,
}

/// The counts of all limits.
///
/// They are split into shards. Each shard has a lock, which is held for a few additions and never across an await. A
/// call with several limits locks all their shards, in the order of the shards. So all limits count the call or none
/// does, and calls cannot deadlock.
pub(super) struct Limiter {
    keys: Keys,
    shards: Box<[Mutex<Shard>]>,
    epoch: Instant,
    /// When the next shard is due to be tidied. `tidy_next` says which one it is.
    tidy_at: AtomicU64,
    tidy_next: AtomicUsize,
    tidy_every: Nanos,
}

/// A call in flight. The call leaves its limits when the permit is dropped or learns of the call's end.
/// The report at the end also corrects the call's tokens.
#[derive(Debug)]
pub(super) struct Permit {
    limiter: Arc<Limiter>,
    parts: Parts,
    has_left: bool,
}

/// What was taken from each limit. Most calls have one limit.
#[derive(Debug)]
enum Parts {
    One(Part),
    Many(Box<[Part]>),
}

/// What was taken from one limit. Its key is not forgotten while the call is in flight.
#[derive(Clone, Copy, Debug)]
struct Part {
    key: Key,
    tokens: Option<Taken>,
}

impl Limiter {
    /// The average number of keys in a shard. It is far enough below [`Shard::KEYS_MAX`] that hardly any shard is full
    /// before all are.
    const KEYS_PER_SHARD: usize = 800;
    /// How often each shard is tidied. A caller that has stopped calling is idle after a minute.
    const TIDY_EVERY: Nanos = 60_000_000_000;

    /// Keeps counts for about `keys_max` keys, and never for an eighth more.
    pub(super) fn new(keys_max: usize) -> Self {
        let shards = keys_max.div_ceil(Self::KEYS_PER_SHARD).max(1);
        let each_max = if shards == 1 { keys_max } else { Shard::KEYS_MAX };
        let tidy_every =
            u64::try_from(shards).ok().and_then(|shards| Self::TIDY_EVERY.checked_div(shards));
        Self {
            keys: Keys::default(),
            shards: std::iter::repeat_with(|| Mutex::new(Shard::new(each_max)))
                .take(shards)
                .collect(),
            epoch: Instant::now(),
            tidy_at: AtomicU64::new(0),
            tidy_next: AtomicUsize::new(0),
            tidy_every: tidy_every.unwrap_or(Self::TIDY_EVERY),
        }
    }

    pub(super) const fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Admits a call with one limit that could use up to `tokens`, or takes nothing.
    pub(super) fn admit<'a>(self: &Arc<Self>, met: &Met<'a>, tokens: u64) -> Answer<'a> {
        let Met { key, ref rates, limit } = *met;
        let now = self.now();
        let mut shard = self.shard(key).lock();
        let before = shard.get(key);
        match before.admit(rates, tokens, now) {
            Ok((after, tokens)) => {
                shard.put(key, after, now);
                drop(shard);
                let permit = self.permit(Parts::One(Part { key, tokens }));
                Answer { admitted: Ok(permit), readings: after.readings(rates, now) }
            }
            Err(denial) => {
                drop(shard);
                let admitted = Err(Refused { denial, limit });
                Answer { admitted, readings: before.readings(rates, now) }
            }
        }
    }

    /// Admits a call with these limits, all different, that could use up to `tokens`; or takes nothing from any limit.
    pub(super) fn admit_by_all<'a>(self: &Arc<Self>, met: &[Met<'a>], tokens: u64) -> Answer<'a> {
        let now = self.now();
        let mut locked = Locked::by_all(self, met);
        let mut admitted = Vec::with_capacity(met.len());
        for Met { key, rates, .. } in met {
            match locked.get(*key).admit(rates, tokens, now) {
                Ok(after) => admitted.push(after),
                Err(_) => return locked.refuse(met, tokens, now),
            }
        }
        for (Met { key, .. }, (after, _)) in met.iter().zip(&admitted) {
            locked.put(*key, *after, now);
        }
        drop(locked);
        let mut readings = Readings::default();
        let parts = met.iter().zip(admitted).map(|(Met { key, rates, .. }, (after, tokens))| {
            readings = readings.tightest(after.readings(rates, now));
            Part { key: *key, tokens }
        });
        let parts = Parts::Many(parts.collect());
        Answer { admitted: Ok(self.permit(parts)), readings }
    }

    /// How many keys have counts.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().len()).sum()
    }

    fn permit(self: &Arc<Self>, parts: Parts) -> Permit {
        Permit { limiter: Arc::clone(self), parts, has_left: false }
    }

    /// The current time. Now and then, this call also tidies a shard.
    fn now(&self) -> Nanos {
        let now = Nanos::try_from(self.epoch.elapsed().as_nanos()).unwrap_or(Nanos::MAX);
        if now >= self.tidy_at.load(Ordering::Relaxed) {
            self.tidy(now);
        }
        now
    }

    #[cold]
    fn tidy(&self, now: Nanos) {
        let due = self.tidy_at.swap(now.saturating_add(self.tidy_every), Ordering::Relaxed);
        let next = self.tidy_next.fetch_add(1, Ordering::Relaxed);
        let index = next.checked_rem(self.shards.len()).unwrap_or_default();
        // Skipped if another thread was faster or has the lock: tidying is not urgent.
        if due <= now
            && let Some(Some(mut shard)) = self.shards.get(index).map(Mutex::try_lock)
        {
            shard.tidy(now);
        }
    }

    fn shard(&self, key: Key) -> &Mutex<Shard> {
        self.at(key.shard(self.shards.len()))
    }

    #[expect(clippy::indexing_slicing, reason = "a remainder by the number of shards is below it")]
    fn at(&self, index: usize) -> &Mutex<Shard> {
        &self.shards[index]
    }
}

/// The locked shards of all limits that apply to a call.
struct Locked<'a> {
    limiter: &'a Limiter,
    guards: Vec<(usize, MutexGuard<'a, Shard>)>,
}

impl<'a> Locked<'a> {
    fn by_all(limiter: &'a Limiter, met: &[Met<'_>]) -> Self {
        let shards = limiter.shards.len();
        let mut indices: Vec<usize> = met.iter().map(|met| met.key.shard(shards)).collect();
        indices.sort_unstable();
        indices.dedup();
        let guards = indices.into_iter().map(|index| (index, limiter.at(index).lock())).collect();
        Self { limiter, guards }
    }

    fn of(&mut self, key: Key) -> Option<&mut Shard> {
        let index = key.shard(self.limiter.shards.len());
        let guard = self.guards.iter_mut().find(|(locked, _)| *locked == index);
        guard.map(|(_, shard)| &mut **shard)
    }

    fn get(&mut self, key: Key) -> Counts {
        self.of(key).map(|shard| shard.get(key)).unwrap_or_default()
    }

    fn put(&mut self, key: Key, counts: Counts, now: Nanos) {
        if let Some(shard) = self.of(key) {
            shard.put(key, counts, now);
        }
    }

    /// Finds the denial that lasts longest. At least one limit refuses.
    #[cold]
    fn refuse<'m>(&mut self, met: &[Met<'m>], tokens: u64, now: Nanos) -> Answer<'m> {
        let mut longest = None::<Refused<'m>>;
        let mut readings = Readings::default();
        for Met { key, rates, limit } in met {
            let counts = self.get(*key);
            readings = readings.tightest(counts.readings(rates, now));
            if let Err(denial) = counts.admit(rates, tokens, now)
                && longest.is_none_or(|before| denial.lasts_longer_than(before.denial))
            {
                longest = Some(Refused { denial, limit: *limit });
            }
        }
        let nobody = Refused { denial: Denial::UNKNOWN, limit: None };
        Answer { admitted: Err(longest.unwrap_or(nobody)), readings }
    }
}

impl Permit {
    /// Ends the call in all its limits, once. With `used`, its tokens are corrected; else the taken tokens stay taken.
    fn leave(&mut self, used: Option<u64>) {
        if std::mem::replace(&mut self.has_left, true) {
            return;
        }
        let now = self.limiter.now();
        let parts = match &self.parts {
            Parts::One(part) => std::slice::from_ref(part),
            Parts::Many(parts) => parts,
        };
        for Part { key, tokens } in parts {
            if let Some(counts) = self.limiter.shard(*key).lock().known(*key) {
                counts.leave(*tokens, used, now);
            }
        }
    }
}

impl AtEnd for Permit {
    fn ended(mut self: Box<Self>, report: &Report) {
        self.leave(Some(report.usage.total()));
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.leave(None);
    }
}

impl fmt::Debug for Limiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limiter").field("shards", &self.shards.len()).finish_non_exhaustive()
    }
}
