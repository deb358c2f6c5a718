//! What every organization has used: buckets and calls in flight.

use std::{
    collections::HashMap,
    num::NonZeroU32,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::headers::{Reading, Readings};
use crate::{
    context::{AtEnd, Report},
    domain::{
        ids::OrganizationId,
        policy,
        rate::{Bucket, Nanos, Quota, Short, Taken},
    },
};

/// The limits that one call meets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Rates {
    pub(super) requests: Option<Quota>,
    pub(super) tokens: Option<Quota>,
    pub(super) in_flight_max: Option<u32>,
}

impl Rates {
    /// This replica's share of an organization's rates.
    pub(super) fn share(rates: &policy::Rates, replicas: NonZeroU32) -> Self {
        let share = |units: NonZeroU32| Quota::per_minute(units).divided_by(replicas);
        Self {
            requests: rates.requests_per_minute.map(share),
            tokens: rates.tokens_per_minute.map(share),
            in_flight_max: rates.calls_in_flight.map(|calls| share(calls).units()),
        }
    }

    /// Whether nothing is limited.
    pub(super) const fn are_unlimited(&self) -> bool {
        self.requests.is_none() && self.tokens.is_none() && self.in_flight_max.is_none()
    }
}

/// Which limit refused a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Denial {
    /// A rate is used up; it will cover this call after that time.
    Wait { what: &'static str, wait: Duration },
    /// The call could use more tokens than a whole minute's, which are these.
    TooLarge { tokens_max: u32 },
}

/// The counts of all organizations.
///
/// Split into shards, so that making room in one does not hold up the others. Each entry has a lock of
/// its own, held for a few additions and never across an await.
#[derive(Debug)]
pub(super) struct Limiter {
    shards: Vec<Mutex<Shard>>,
    epoch: Instant,
}

#[derive(Debug)]
struct Shard {
    entries: HashMap<OrganizationId, Arc<Mutex<Counts>>>,
    sweep_at: usize,
    sweep_at_min: usize,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    requests: Bucket,
    tokens: Bucket,
    in_flight: u32,
}

/// A call in flight. It has left when this is dropped; its tokens are corrected when it is told of the
/// call's end.
#[derive(Debug)]
pub(super) struct Permit {
    counts: Arc<Mutex<Counts>>,
    tokens: Option<Taken>,
    epoch: Instant,
}

const SHARDS: usize = 64;

/// A call's end is not known in advance: what `retry-after` says where too many are open.
const IN_FLIGHT_WAIT: Duration = Duration::from_secs(1);

impl Limiter {
    pub(super) fn new(organizations_max: usize) -> Self {
        let sweep_at = organizations_max.div_ceil(SHARDS).max(1);
        let shard =
            || Mutex::new(Shard { entries: HashMap::new(), sweep_at, sweep_at_min: sweep_at });
        Self { shards: std::iter::repeat_with(shard).take(SHARDS).collect(), epoch: Instant::now() }
    }

    /// Lets a call in that could use `tokens`, or takes nothing.
    pub(super) fn admit(
        &self,
        organization: OrganizationId,
        rates: &Rates,
        tokens: u64,
    ) -> (Result<Permit, Denial>, Readings) {
        let now = since(self.epoch);
        let entry = self.entry(organization, now);
        let mut counts = lock(&entry);
        let admitted = counts.admit(rates, tokens, now);
        let readings = counts.readings(rates, now);
        drop(counts);
        (admitted.map(|tokens| Permit { counts: entry, tokens, epoch: self.epoch }), readings)
    }

    #[cfg(test)]
    pub(super) fn organizations(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).entries.len()).sum()
    }

    fn entry(&self, organization: OrganizationId, now: Nanos) -> Arc<Mutex<Counts>> {
        let mut shard = lock(self.shard(organization));
        if let Some(entry) = shard.entries.get(&organization) {
            return Arc::clone(entry);
        }
        shard.make_room(now);
        Arc::clone(shard.entries.entry(organization).or_default())
    }

    #[expect(
        clippy::indexing_slicing,
        reason = "a byte's remainder by the number of shards is below it"
    )]
    fn shard(&self, organization: OrganizationId) -> &Mutex<Shard> {
        // The last bytes of a UUID are random in every version that anyone uses for an id.
        let [.., last] = organization.as_uuid().into_bytes();
        &self.shards[usize::from(last) % SHARDS]
    }
}

impl Shard {
    /// Forgets whom forgetting does no favour. Where that frees too little, the next attempt waits
    /// until twice as many are there, so that it costs a constant per organization.
    fn make_room(&mut self, now: Nanos) {
        if self.entries.len() < self.sweep_at {
            return;
        }
        // A permit holds another reference; new ones are only made under the shard's lock.
        self.entries.retain(|_, entry| Arc::strong_count(entry) > 1 || !lock(entry).is_idle(now));
        self.sweep_at = self.entries.len().saturating_mul(2).max(self.sweep_at_min);
    }
}

impl Counts {
    /// All or nothing: every limit is asked before anything is taken.
    fn admit(&mut self, rates: &Rates, tokens: u64, now: Nanos) -> Result<Option<Taken>, Denial> {
        if rates.in_flight_max.is_some_and(|max| self.in_flight >= max) {
            return Err(Denial::Wait { what: "calls in flight", wait: IN_FLIGHT_WAIT });
        }
        let (tokens_left, taken) = match rates.tokens {
            None => (self.tokens, None),
            Some(quota) => match self.tokens.take(quota, tokens, now) {
                Ok((bucket, taken)) => (bucket, Some(taken)),
                Err(Short::Wait(wait)) => return Err(Denial::Wait { what: "tokens", wait }),
                Err(Short::Never) => return Err(Denial::TooLarge { tokens_max: quota.units() }),
            },
        };
        let requests_left = match rates.requests {
            None => self.requests,
            Some(quota) => match self.requests.take(quota, 1, now) {
                Ok((bucket, _)) => bucket,
                Err(Short::Wait(wait)) => return Err(Denial::Wait { what: "requests", wait }),
                // One is never more than a quota; if it were, waiting a minute is the honest answer.
                Err(Short::Never) => {
                    return Err(Denial::Wait { what: "requests", wait: Duration::from_mins(1) });
                }
            },
        };
        *self = Self {
            requests: requests_left,
            tokens: tokens_left,
            in_flight: self.in_flight.saturating_add(1),
        };
        Ok(taken)
    }

    fn readings(&self, rates: &Rates, now: Nanos) -> Readings {
        let read = |bucket: Bucket, quota: Quota| Reading {
            limit: quota.units(),
            remaining: bucket.remaining(quota, now),
            reset: bucket.until_full(now),
        };
        Readings {
            requests: rates.requests.map(|quota| read(self.requests, quota)),
            tokens: rates.tokens.map(|quota| read(self.tokens, quota)),
        }
    }

    const fn is_idle(&self, now: Nanos) -> bool {
        self.in_flight == 0 && self.requests.is_full(now) && self.tokens.is_full(now)
    }
}

impl AtEnd for Permit {
    fn ended(self: Box<Self>, report: &Report) {
        if let Some(taken) = self.tokens {
            let mut counts = lock(&self.counts);
            counts.tokens = counts.tokens.correct(taken, report.usage.total(), since(self.epoch));
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut counts = lock(&self.counts);
        counts.in_flight = counts.in_flight.saturating_sub(1);
    }
}

fn since(epoch: Instant) -> Nanos {
    Nanos::try_from(epoch.elapsed().as_nanos()).unwrap_or(Nanos::MAX)
}

// Counts are plain numbers, each set whole: a panic elsewhere leaves none of them half written.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
