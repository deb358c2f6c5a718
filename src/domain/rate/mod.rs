//! Rates: a bucket that refills steadily, as a pure function of time.
//!
//! `governor` decides: its arithmetic (GCRA) says whether a bucket has enough units, and when it is full again.
//! That moment is a bucket's whole state. We keep the state ourselves, for two reasons. A call may meet several
//! limits: if the second one refuses it, nothing may stay taken from the first. And a call's tokens are known
//! only at its end, so tokens that were taken but not used must be given back.

mod gcra;
mod replica;

use std::{num::NonZeroU32, time::Duration};

pub use replica::Replica;

/// Nanoseconds since a moment of the caller's choice, which stays the same.
pub type Nanos = u64;

const MINUTE: Nanos = 60_000_000_000;

/// A number of units per minute, all of which may also be taken at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota(governor::Quota);

impl Quota {
    /// A quota of this many units per minute.
    pub fn per_minute(units: NonZeroU32) -> Self {
        Self(gcra::quota(units))
    }

    /// The units per minute.
    pub const fn units(self) -> u32 {
        self.0.burst_size().get()
    }

    /// How long `units` take to refill. Rounded down, so that a full bucket gives exactly its quota.
    fn refill(self, units: u64) -> Nanos {
        gcra::refill(self.0, units)
    }
}

/// How much is left of a quota. A new bucket is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bucket {
    full_at: Nanos,
}

/// What was taken from a bucket, so that [`Bucket::correct`] can correct it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    units: u64,
    quota: Quota,
    refilled_at: Nanos,
}

/// The bucket does not have enough units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Short {
    /// It will have enough after this time, if nobody else takes from it.
    Wait(Duration),
    /// It never will: more units were asked for than the bucket can hold.
    Never,
}

impl Bucket {
    /// The bucket after `units` have been taken at `now`. The old value is unchanged, so that a caller
    /// can take from several buckets or from none.
    pub fn take(self, quota: Quota, units: u64, now: Nanos) -> Result<(Self, Taken), Short> {
        let full_in = self.until_full_nanos(now);
        let full_in = match u32::try_from(units).map(NonZeroU32::new) {
            Ok(Some(units)) => gcra::take(quota.0, units, full_in)?,
            Ok(None) => full_in,
            Err(_) => return Err(Short::Never),
        };
        let full_at = now.saturating_add(full_in);
        Ok((Self { full_at }, Taken { units, quota, refilled_at: full_at }))
    }

    /// The bucket after a correction to the number of units that were really used.
    ///
    /// Unused units are given back, except those that time has refilled already, which must not come
    /// back twice. Units that were used in excess are taken now, even if that overdraws the bucket.
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
        gcra::remaining(quota.0, self.until_full_nanos(now))
    }

    /// How long until the bucket is full.
    pub const fn until_full(self, now: Nanos) -> Duration {
        Duration::from_nanos(self.until_full_nanos(now))
    }

    const fn until_full_nanos(self, now: Nanos) -> Nanos {
        self.full_at.saturating_sub(now)
    }
}

#[cfg(test)]
mod tests;
