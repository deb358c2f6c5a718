//! A reference bucket without `governor`, computed in whole nanoseconds, to compare with.

use std::time::Duration;

use super::{MINUTE, Nanos, Short};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Plain {
    pub(super) full_at: Nanos,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Taken {
    units: u64,
    quota: u32,
    refilled_at: Nanos,
}

fn refill(quota: u32, units: u64) -> Nanos {
    let nanos = u128::from(units) * u128::from(MINUTE) / u128::from(quota);
    u64::try_from(nanos).unwrap_or(u64::MAX)
}

impl Plain {
    pub(super) fn take(self, quota: u32, units: u64, now: Nanos) -> Result<(Self, Taken), Short> {
        if units > u64::from(quota) {
            return Err(Short::Never);
        }
        let full_at = self.full_at.max(now).saturating_add(refill(quota, units));
        match (full_at - now).checked_sub(MINUTE) {
            None | Some(0) => Ok((Self { full_at }, Taken { units, quota, refilled_at: full_at })),
            Some(wait) => Err(Short::Wait(Duration::from_nanos(wait))),
        }
    }

    pub(super) fn correct(self, taken: Taken, used: u64, now: Nanos) -> Self {
        if let Some(missing) = used.checked_sub(taken.units) {
            let full_at = self.full_at.max(now).saturating_add(refill(taken.quota, missing));
            return Self { full_at };
        }
        let surplus = refill(taken.quota, taken.units) - refill(taken.quota, used);
        let back = surplus.min(taken.refilled_at.saturating_sub(now));
        Self { full_at: self.full_at.saturating_sub(back) }
    }

    pub(super) fn remaining(self, quota: u32, now: Nanos) -> u32 {
        let left = MINUTE.saturating_sub(self.full_at.saturating_sub(now));
        let units = u128::from(left) * u128::from(quota) / u128::from(MINUTE);
        u32::try_from(units).unwrap_or(u32::MAX)
    }
}
