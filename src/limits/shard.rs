//! A part of all counts, under one lock.

use std::{cmp::Reverse, collections::HashMap, time::Duration};

use super::{
    counts::Counts,
    key::{BuildAsItIs, Key},
};
use crate::domain::rate::Nanos;

/// The counts of some keys: of at most [`KEYS_MAX`](Self::KEYS_MAX), and of those that have a call in flight.
///
/// Whoever is idle is forgotten: full buckets and no call in flight are what a new key has. Where there are
/// too many that are not, those go that would be idle the soonest. They gain what they had used, which is the
/// least that anybody had; to be forgotten with much used, one would have to make others use more.
#[derive(Debug)]
pub(super) struct Shard {
    counts: HashMap<Key, Counts, BuildAsItIs>,
    sweep_at: usize,
    keys_max: usize,
}

impl Shard {
    /// The most keys: what a table of 1,024 places takes before it is doubled.
    pub(super) const KEYS_MAX: usize = 896;
    /// Below this many, nobody is looked for to be forgotten.
    const SWEEP_MIN: usize = 28;

    pub(super) fn new(keys_max: usize) -> Self {
        let keys_max = keys_max.clamp(1, Self::KEYS_MAX);
        let sweep_at = Self::SWEEP_MIN.min(keys_max);
        Self { counts: HashMap::default(), sweep_at, keys_max }
    }

    /// What this key has used; nothing if it is not known.
    pub(super) fn get(&self, key: Key) -> Counts {
        self.counts.get(&key).copied().unwrap_or_default()
    }

    /// What this key has used now.
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

    /// The counts of a key that has a call in flight, and so is still there.
    pub(super) fn known(&mut self, key: Key) -> Option<&mut Counts> {
        self.counts.get_mut(&key)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.counts.len()
    }

    /// Forgets whoever is idle, and gives memory back that is not needed any more.
    pub(super) fn tidy(&mut self, now: Nanos) {
        self.sweep(self.keys_max, now);
    }

    /// Looking at all keys is worth it only once in a while: each time at least an eighth of all places is free
    /// afterwards, so a new key costs a constant.
    #[cold]
    fn make_room(&mut self, now: Nanos) {
        self.sweep(self.keys_max.saturating_sub(self.keys_max.div_ceil(8)), now);
    }

    /// Forgets whoever is idle, and if there are still more than this many, those who would be the soonest.
    fn sweep(&mut self, keys_max: usize, now: Nanos) {
        let until = |counts: &Counts| counts.until_idle(now).unwrap_or(Duration::MAX);
        let busy = self.counts.drain().filter(|(_, counts)| !until(counts).is_zero());
        let mut busy: Vec<(Key, Counts)> = busy.collect();
        if busy.len() > keys_max {
            busy.sort_unstable_by_key(|(_, counts)| Reverse(until(counts)));
            let in_flight = busy.partition_point(|(_, counts)| until(counts) == Duration::MAX);
            busy.truncate(keys_max.max(in_flight));
        }
        // A new table: in the old one, places of those who are gone count as taken until it is doubled.
        self.counts = busy.into_iter().collect();
        self.set_next_sweep();
    }

    /// At twice as many, but not above the most; and not at once where calls in flight are more than that.
    fn set_next_sweep(&mut self) {
        let len = self.counts.len();
        let doubled = len.saturating_mul(2).max(Self::SWEEP_MIN).min(self.keys_max);
        self.sweep_at = doubled.max(len.saturating_add(len.div_ceil(8)));
    }
}
