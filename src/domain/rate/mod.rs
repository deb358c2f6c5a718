//! Rates: a bucket that refills steadily, as a pure function of time.
//!
//! # Why not `governor`
//! A call's tokens are known only at its end, so what was taken too much must be given back, and
//! what a second limit refuses must not stay taken from a first. `governor` can do neither. This is
//! the same algorithm (GCRA: one number, the moment at which the bucket is full again), and a
//! property test holds it against `governor` wherever that has an answer.

mod replica;

use std::{num::NonZeroU32, time::Duration};

pub use replica::Replica;

/// Nanoseconds since some moment that the caller chose once.
pub type Nanos = u64;

const MINUTE: Nanos = 60_000_000_000;

/// So many units a minute, and as many at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota(NonZeroU32);

impl Quota {
    /// So many units a minute.
    pub const fn per_minute(units: NonZeroU32) -> Self {
        Self(units)
    }

    /// The units a minute.
    pub const fn units(self) -> u32 {
        self.0.get()
    }

    /// How long `units` take to refill. Rounded down, so that a full bucket gives exactly its quota.
    fn refill(self, units: u64) -> Nanos {
        scaled(units, MINUTE, u64::from(self.0.get()))
    }

    /// How many units refill in `nanos`.
    fn units_in(self, nanos: Nanos) -> u32 {
        u32::try_from(scaled(nanos, u64::from(self.0.get()), MINUTE)).unwrap_or(u32::MAX)
    }
}

/// `value × factor ÷ divisor`, rounded down; in 64 bits where they suffice, which is nearly always.
fn scaled(value: u64, factor: u64, divisor: u64) -> u64 {
    if let Some(product) = value.checked_mul(factor) {
        return product.checked_div(divisor).unwrap_or(u64::MAX);
    }
    let product = u128::from(value).saturating_mul(u128::from(factor));
    let quotient = product.checked_div(u128::from(divisor));
    quotient.and_then(|quotient| u64::try_from(quotient).ok()).unwrap_or(u64::MAX)
}

/// How much is left of a quota. A new one is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bucket {
    full_at: Nanos,
}

/// What was taken from a bucket, for correcting it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    units: u64,
    quota: Quota,
    refilled_at: Nanos,
}

/// There is not enough in the bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Short {
    /// There will be, after this time, if nobody else takes from it.
    Wait(Duration),
    /// There never will be: it is more than the whole bucket.
    Never,
}

impl Bucket {
    /// The bucket after `units` have been taken at `now`. The old one is unchanged, so that whoever
    /// asks several buckets can take from all of them or from none.
    pub fn take(self, quota: Quota, units: u64, now: Nanos) -> Result<(Self, Taken), Short> {
        if units > u64::from(quota.units()) {
            return Err(Short::Never);
        }
        let full_at = self.full_at.max(now).saturating_add(quota.refill(units));
        match full_at.saturating_sub(now).checked_sub(MINUTE) {
            None | Some(0) => Ok((Self { full_at }, Taken { units, quota, refilled_at: full_at })),
            Some(wait) => Err(Short::Wait(Duration::from_nanos(wait))),
        }
    }

    /// The bucket once it is known how many units were really used.
    ///
    /// Of what was taken too much, that part is given back which time has not refilled already: it
    /// must not come back twice. What was taken too little is taken now, below empty if need be.
    #[must_use]
    pub fn correct(self, taken: Taken, used: u64, now: Nanos) -> Self {
        if let Some(missing) = used.checked_sub(taken.units) {
            return Self {
                full_at: self.full_at.max(now).saturating_add(taken.quota.refill(missing)),
            };
        }
        let surplus = taken.quota.refill(taken.units).saturating_sub(taken.quota.refill(used));
        let back = surplus.min(taken.refilled_at.saturating_sub(now));
        Self { full_at: self.full_at.saturating_sub(back) }
    }

    /// How many units could be taken at `now`.
    pub fn remaining(self, quota: Quota, now: Nanos) -> u32 {
        quota.units_in(MINUTE.saturating_sub(self.until_full_nanos(now)))
    }

    /// How long until the bucket is full.
    pub const fn until_full(self, now: Nanos) -> Duration {
        Duration::from_nanos(self.until_full_nanos(now))
    }

    /// Whether the bucket is full: forgetting it changes nothing.
    pub const fn is_full(self, now: Nanos) -> bool {
        self.full_at <= now
    }

    const fn until_full_nanos(self, now: Nanos) -> Nanos {
        self.full_at.saturating_sub(now)
    }
}

#[cfg(test)]
mod tests;
