//! What one limit has granted, and what it can still grant.

use std::{num::NonZeroU32, time::Duration};

use super::headers::{Reading, Readings};
use crate::domain::{
    policy,
    rate::{Bucket, Nanos, Quota, Replica, Short, Taken},
};

/// This replica's share of the rates of one limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Rates {
    pub(super) requests: Option<Share>,
    pub(super) tokens: Option<Share>,
    pub(super) in_flight_max: Option<u32>,
}

/// This replica's share of one rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Share {
    /// `None` if the whole rate goes to other replicas.
    quota: Option<Quota>,
    /// The largest share of any replica. A call that needs more can never pass.
    largest: u32,
}

/// Which rate refused a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Denial {
    /// The rate is used up. It will cover this call after `wait`.
    Wait { what: &'static str, wait: Duration },
    /// The call could use more tokens than a whole minute allows, which is `tokens_max`.
    TooLarge { tokens_max: u32 },
}

/// How much of one limit is used.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    requests: Bucket,
    tokens: Bucket,
    in_flight: u32,
}

/// `retry-after` if too many calls are in flight. A guess, because the end of a call is not known in advance.
const IN_FLIGHT_WAIT: Duration = Duration::from_secs(1);
/// `retry-after` if only other replicas could grant the call. A minute changes nothing here, but the retry may reach
/// one of them.
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

    /// Whether no rate is limited.
    pub(super) const fn are_unlimited(&self) -> bool {
        self.requests.is_none() && self.tokens.is_none() && self.in_flight_max.is_none()
    }
}

impl Share {
    fn of(units: NonZeroU32, replica: Replica) -> Self {
        let quota = NonZeroU32::new(replica.share(units)).map(Quota::per_minute);
        Self { quota, largest: replica.largest_share(units) }
    }

    /// The bucket after this call, or how long the call has to wait.
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
                // The share of another replica is larger by one.
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
    /// A stand-in for a denial that should exist but was not found.
    pub(super) const UNKNOWN: Self = Self::Wait { what: "requests", wait: IN_FLIGHT_WAIT };

    /// Of several denials, the one that lasts longest is reported: when it is over, the others are over too.
    pub(super) fn lasts_longer_than(self, other: Self) -> bool {
        match (self, other) {
            (Self::Wait { wait: one, .. }, Self::Wait { wait: two, .. }) => one > two,
            (Self::TooLarge { tokens_max: one }, Self::TooLarge { tokens_max: two }) => one < two,
            (one, _) => matches!(one, Self::TooLarge { .. }),
        }
    }
}

impl Counts {
    /// The counts after this call, and the tokens that it took. All or nothing: every rate is checked
    /// before anything is taken.
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
                // One request exceeds the share only if there are more replicas than requests per minute.
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

    /// Ends a call. If its usage is known, the tokens that it took are corrected to it.
    pub(super) fn leave(&mut self, taken: Option<Taken>, used: Option<u64>, now: Nanos) {
        self.in_flight = self.in_flight.saturating_sub(1);
        if let (Some(taken), Some(used)) = (taken, used) {
            self.tokens = self.tokens.correct(taken, used, now);
        }
    }

    /// What is left of each of these rates.
    pub(super) fn readings(&self, rates: &Rates, now: Nanos) -> Readings {
        Readings {
            requests: rates.requests.map(|share| share.read(self.requests, now)),
            tokens: rates.tokens.map(|share| share.read(self.tokens, now)),
        }
    }

    /// How long until these counts equal those of a new caller. `None` while a call is in flight.
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
            // The smaller maximum lasts longer, and a wait ends while a maximum stays.
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
