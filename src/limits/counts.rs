//! What one limit has granted, and what it still grants.

use std::{num::NonZeroU32, time::Duration};

use super::headers::{Reading, Readings};
use crate::domain::{
    policy,
    rate::{Bucket, Nanos, Quota, Replica, Short, Taken},
};

/// The rates of one limit, as far as this replica grants them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Rates {
    pub(super) requests: Option<Share>,
    pub(super) tokens: Option<Share>,
    pub(super) in_flight_max: Option<u32>,
}

/// What this replica grants of a rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Share {
    /// None where all of it falls to other replicas.
    quota: Option<Quota>,
    /// The most that any replica grants: more at once can never pass.
    largest: u32,
}

/// Which rate refused a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Denial {
    /// It is used up; it will cover this call after that time.
    Wait { what: &'static str, wait: Duration },
    /// The call could use more tokens than a whole minute's, which are these.
    TooLarge { tokens_max: u32 },
}

/// How much of one limit is used.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    requests: Bucket,
    tokens: Bucket,
    in_flight: u32,
}

/// A call's end is not known in advance: what `retry-after` says where too many are open.
const IN_FLIGHT_WAIT: Duration = Duration::from_secs(1);
/// What falls to other replicas is not here in a minute either; but by then the call may meet them.
const ELSEWHERE_WAIT: Duration = Duration::from_mins(1);

impl Rates {
    /// This replica's share of these rates.
    pub(super) fn share(rates: &policy::Rates, replica: Replica) -> Self {
        let share = |units| Share::of(units, replica);
        Self {
            requests: rates.requests_per_minute.map(share),
            tokens: rates.tokens_per_minute.map(share),
            in_flight_max: rates.calls_in_flight.map(|calls| replica.share(calls)),
        }
    }

    /// Whether nothing is limited.
    pub(super) const fn are_unlimited(&self) -> bool {
        self.requests.is_none() && self.tokens.is_none() && self.in_flight_max.is_none()
    }
}

impl Share {
    fn of(units: NonZeroU32, replica: Replica) -> Self {
        let quota = NonZeroU32::new(replica.share(units)).map(Quota::per_minute);
        Self { quota, largest: replica.largest_share(units) }
    }

    /// The bucket after this call, or how long it waits.
    fn take(
        self,
        bucket: Bucket,
        units: u64,
        now: Nanos,
    ) -> Result<(Bucket, Option<Taken>), Short> {
        if units > u64::from(self.largest) {
            return Err(Short::Never);
        }
        match self.quota {
            _ if units == 0 => Ok((bucket, None)),
            None => Err(Short::Wait(ELSEWHERE_WAIT)),
            Some(quota) => match bucket.take(quota, units, now) {
                Ok((bucket, taken)) => Ok((bucket, Some(taken))),
                // Another replica grants one more.
                Err(Short::Never) => Err(Short::Wait(ELSEWHERE_WAIT)),
                Err(wait) => Err(wait),
            },
        }
    }

    fn read(self, bucket: Bucket, now: Nanos) -> Reading {
        match self.quota {
            Some(quota) => Reading {
                limit: quota.units(),
                remaining: bucket.remaining(quota, now),
                reset: bucket.until_full(now),
            },
            None => Reading { limit: 0, remaining: 0, reset: ELSEWHERE_WAIT },
        }
    }
}

impl Denial {
    /// In place of a denial that must be there.
    pub(super) const UNKNOWN: Self = Self::Wait { what: "requests", wait: IN_FLIGHT_WAIT };

    /// Of several the one to tell is the one that lasts longest: when it is over, the others are too.
    pub(super) fn lasts_longer_than(self, other: Self) -> bool {
        match (self, other) {
            (Self::Wait { wait: one, .. }, Self::Wait { wait: two, .. }) => one > two,
            (Self::TooLarge { tokens_max: one }, Self::TooLarge { tokens_max: two }) => one < two,
            (one, _) => matches!(one, Self::TooLarge { .. }),
        }
    }
}

impl Counts {
    /// The counts with this call in them, and what it took of the tokens. All or nothing: every rate is
    /// asked before anything is taken.
    pub(super) fn admit(
        self,
        rates: &Rates,
        tokens: u64,
        now: Nanos,
    ) -> Result<(Self, Option<Taken>), Denial> {
        let tokens = match rates.tokens {
            None => Ok((self.tokens, None)),
            Some(share) => share.take(self.tokens, tokens, now).map_err(|short| match short {
                Short::Wait(wait) => Denial::Wait { what: "tokens", wait },
                Short::Never => Denial::TooLarge { tokens_max: share.largest },
            }),
        };
        let requests = match rates.requests {
            None => Ok((self.requests, None)),
            Some(share) => share.take(self.requests, 1, now).map_err(|short| match short {
                Short::Wait(wait) => Denial::Wait { what: "requests", wait },
                // One request is no large one: it is the replicas that are many.
                Short::Never => Denial::Wait { what: "requests", wait: ELSEWHERE_WAIT },
            }),
        };
        let in_flight = match rates.in_flight_max {
            Some(max) if self.in_flight >= max => {
                Err(Denial::Wait { what: "calls in flight", wait: IN_FLIGHT_WAIT })
            }
            _ => Ok(self.in_flight.saturating_add(1)),
        };
        match (tokens, requests, in_flight) {
            (Ok((tokens, taken)), Ok((requests, _)), Ok(in_flight)) => {
                Ok((Self { requests, tokens, in_flight }, taken))
            }
            (tokens, requests, in_flight) => {
                Err(refused(tokens.err(), requests.err(), in_flight.err()))
            }
        }
    }

    /// A call has ended: what it took of the tokens becomes what it used, if that is known.
    pub(super) fn leave(&mut self, taken: Option<Taken>, used: Option<u64>, now: Nanos) {
        self.in_flight = self.in_flight.saturating_sub(1);
        if let (Some(taken), Some(used)) = (taken, used) {
            self.tokens = self.tokens.correct(taken, used, now);
        }
    }

    /// What is left of these rates.
    pub(super) fn readings(&self, rates: &Rates, now: Nanos) -> Readings {
        Readings {
            requests: rates.requests.map(|share| share.read(self.requests, now)),
            tokens: rates.tokens.map(|share| share.read(self.tokens, now)),
        }
    }

    /// How long until these counts are those of somebody who has never called; none while a call is in flight.
    pub(super) fn until_idle(&self, now: Nanos) -> Option<Duration> {
        let until_full = self.requests.until_full(now).max(self.tokens.until_full(now));
        (self.in_flight == 0).then_some(until_full)
    }
}

#[cold]
fn refused(tokens: Option<Denial>, requests: Option<Denial>, in_flight: Option<Denial>) -> Denial {
    let denials = [tokens, requests, in_flight].into_iter().flatten();
    let longest = denials.reduce(|one, two| if two.lasts_longer_than(one) { two } else { one });
    longest.unwrap_or(Denial::UNKNOWN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_denials_the_one_that_lasts_longer_is_told() {
        let wait = |seconds| Denial::Wait { what: "requests", wait: Duration::from_secs(seconds) };
        let too_large = |tokens_max| Denial::TooLarge { tokens_max };
        for (one, other, longer) in [
            (wait(2), wait(1), true),
            (wait(1), wait(2), false),
            (wait(1), wait(1), false),
            // The one that lets less pass, and a wait is over some time.
            (too_large(1), too_large(2), true),
            (too_large(2), too_large(1), false),
            (too_large(1), too_large(1), false),
            (too_large(1), wait(9), true),
            (wait(9), too_large(1), false),
        ] {
            assert_eq!(one.lasts_longer_than(other), longer, "{one:?} and {other:?}");
        }
    }

    #[test]
    fn a_replica_without_a_part_of_a_rate_still_lets_pass_what_takes_nothing_of_it() {
        let share = Share { quota: None, largest: 1 };
        let bucket = Bucket::default();
        assert!(matches!(share.take(bucket, 0, Nanos::default()), Ok((_, None))));
        assert!(matches!(share.take(bucket, 1, Nanos::default()), Err(Short::Wait(_))));
        assert!(matches!(share.take(bucket, 2, Nanos::default()), Err(Short::Never)));
    }
}
