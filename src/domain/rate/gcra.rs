//! `governor`, asked about one bucket at one moment.

use std::{
    cell::Cell,
    num::{NonZeroU32, NonZeroU64},
    time::Duration,
};

use governor::{
    RateLimiter,
    clock::Clock,
    middleware::NoOpMiddleware,
    nanos::Nanos as Ticks,
    state::{NotKeyed, StateStore},
};

use super::{MINUTE, Nanos, Short};

/// Ticks per nanosecond. We give `governor` ticks where it expects nanoseconds.
///
/// `governor` truncates the time of one unit to a whole number. In nanoseconds that would grant 0.25 % too much at
/// 450 million units per minute, and 7 % at four billion and more. In ticks the error is at most 18 millionths.
const TICKS: u64 = 4_096;
/// The longest time that is converted to ticks, 52 days. It leaves room to add a minute without overflow.
const NANOS_MAX: Nanos = u64::MAX / TICKS - 2 * MINUTE;

/// A number of units per minute, all of which may also be taken at once.
pub(super) fn quota(per_minute: NonZeroU32) -> governor::Quota {
    let ticks = MINUTE.saturating_mul(TICKS) / NonZeroU64::from(per_minute);
    match governor::Quota::with_period(Duration::from_nanos(ticks)) {
        Some(quota) => quota.allow_burst(per_minute),
        // Unreachable: even at the largest quota, one unit takes 57,220 ticks.
        None => governor::Quota::per_minute(per_minute),
    }
}

/// How long `units` take to refill.
pub(super) fn refill(quota: governor::Quota, units: u64) -> Nanos {
    ticks(quota.replenish_interval()).saturating_mul(units) / TICKS
}

/// How many units `governor` would let be taken from a bucket that is full in `full_in`.
///
/// Computed here, because `governor` reports the remainder only when units are taken, so each call would have to
/// ask it twice. A property test compares this number with `governor`'s answers.
pub(super) fn remaining(quota: governor::Quota, full_in: Nanos) -> u32 {
    let unit = ticks(quota.replenish_interval());
    let all = unit.saturating_mul(u64::from(quota.burst_size().get()));
    let left = all.saturating_sub(full_in.saturating_mul(TICKS));
    left.checked_div(unit).and_then(|units| u32::try_from(units).ok()).unwrap_or(u32::MAX)
}

/// Asks `governor` for `units` of a bucket that is full in `full_in`. Returns the time until it is full after that.
pub(super) fn take(
    quota: governor::Quota,
    units: NonZeroU32,
    full_in: Nanos,
) -> Result<Nanos, Short> {
    // `governor` checks this too, but multiplies before it compares, and the product could overflow.
    if units > quota.burst_size() {
        return Err(Short::Never);
    }
    let arrival = Ticks::from(full_in.min(NANOS_MAX).saturating_mul(TICKS));
    let limiter: RateLimiter<_, _, _, NoOpMiddleware<_>> =
        RateLimiter::new(quota, Arrival(Cell::new(arrival)), Now);
    match limiter.check_n(units) {
        Ok(Ok(())) => {
            let Arrival(arrival) = limiter.into_state_store();
            Ok(arrival.get().as_u64() / TICKS)
        }
        Ok(Err(not_until)) => {
            let wait = ticks(not_until.wait_time_from(Now.now())).div_ceil(TICKS);
            Err(Short::Wait(Duration::from_nanos(wait)))
        }
        Err(_) => Err(Short::Never),
    }
}

fn ticks(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// The state of one bucket: its theoretical arrival time, which is when it is full.
///
/// It is a copy. A caller that asks several buckets stores the new states once all have granted their units.
#[derive(Debug)]
struct Arrival(Cell<Ticks>);

impl StateStore for Arrival {
    type Key = NotKeyed;

    fn measure_and_replace<T, F, E>(&self, _key: &NotKeyed, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Ticks>) -> Result<(T, Ticks), E>,
    {
        let (outcome, arrival) = decide(Some(self.0.get()))?;
        self.0.set(arrival);
        Ok(outcome)
    }
}

/// A clock that always reads 0. All times are relative to the moment of asking, so that they do not grow with the age
/// of the process.
#[derive(Debug)]
struct Now;

impl Clock for Now {
    type Instant = Ticks;

    fn now(&self) -> Ticks {
        Ticks::default()
    }
}
