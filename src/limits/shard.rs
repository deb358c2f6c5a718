//! A shard: a part of all counts, under one lock.

use std::{cmp::Reverse, collections::HashMap, time::Duration};

use super::{
    counts::Counts,
    key::{BuildAsItIs, Key},
};
use crate::domain::rate::Nanos;

/// The counts of at most [`KEYS_MAX`](Self::KEYS_MAX) keys, or more if more have a call in flight.
///
/// An idle key is forgotten: it has full buckets and no call in flight, as a new key has. If too many keys are not
/// idle, those that would be idle soonest are forgotten. They regain the units that they had used, the fewest of all.
/// To be forgotten after heavy use, a caller would have to make others use even more.
#[derive(Debug)]
pub(super) struct Shard {
    counts: HashMap<Key, Counts, BuildAsItIs>,
    sweep_at: usize,
    keys_max: usize,
}

impl Shard {
    /// The most keys: a hash table with 1,024 places takes this many before it doubles.
    pub(super) const KEYS_MAX: usize = 896;
    /// Below this number of keys, no sweep takes place.
    const SWEEP_MIN: usize = 28;

    pub(super) fn new(keys_max: usize) -> Self {
        let keys_max = keys_max.clamp(1, Self::KEYS_MAX);
        let sweep_at = Self::SWEEP_MIN.min(keys_max);
        Self { counts: HashMap::default(), sweep_at, keys_max }
    }

    /// The counts of this key. Those of a new key, if it has none.
    pub(super) fn get(&self, key: Key) -> Counts {
        self.counts.get(&key).copied().unwrap_or_default()
    }

    /// Replaces the counts of this key.
    pub(super) fn put(&mut self, key: Key, counts: Counts, now: Nanos) {
        if let Some(known) = self.counts.get_mut(&key) {
            *known = counts;
            return;
        }
        if self.counts.len() >= self.sweep_at {
            self.make_room(now);
        }
        self.counts.insert(key, counts);
    }

    /// The counts of a key with a call in flight, which is never forgotten.
    pub(super) fn known(&mut self, key: Key) -> Option<&mut Counts> {
        self.counts.get_mut(&key)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.counts.len()
    }

    /// Forgets idle keys and frees the memory that is no longer needed.
    pub(super) fn tidy(&mut self, now: Nanos) {
        self.sweep(self.keys_max, now);
    }

    /// Sweeps all keys. Afterwards at least an eighth of the places are free, so the next sweep is far off and the
    /// amortized cost of a new key is constant.
    #[cold]
    fn make_room(&mut self, now: Nanos) {
        self.sweep(self.keys_max.saturating_sub(self.keys_max.div_ceil(8)), now);
    }

    /// Forgets idle keys. If more than `keys_max` remain, also forgets those that would be idle soonest.
    fn sweep(&mut self, keys_max: usize, now: Nanos) {
        let until = |counts: &Counts| counts.until_idle(now).unwrap_or(Duration::MAX);
        let busy = self.counts.drain().filter(|(_, counts)| !until(counts).is_zero());
        let mut busy: Vec<(Key, Counts)> = busy.collect();
        if busy.len() > keys_max {
            busy.sort_unstable_by_key(|(_, counts)| Reverse(until(counts)));
            let in_flight = busy.partition_point(|(_, counts)| until(counts) == Duration::MAX);
            busy.truncate(keys_max.max(in_flight));
        }
        // A new table, because in the old one the places of removed keys count as taken until it grows.
        self.counts = busy.into_iter().collect();
        self.set_next_sweep();
    }

    /// The next sweep comes at twice as many keys, but at most at `keys_max`. If more calls than that are in flight, it
    /// comes an eighth later, not at every new key.
    fn set_next_sweep(&mut self) {
        let len = self.counts.len();
        let doubled = len.saturating_mul(2).max(Self::SWEEP_MIN).min(self.keys_max);
        self.sweep_at = doubled.max(len.saturating_add(len.div_ceil(8)));
    }
}
