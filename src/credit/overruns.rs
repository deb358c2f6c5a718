//! Calls that cost more than their upper bound: counted, logged, and held against the organization's next calls.
//!
//! Kept in memory, for each gateway apart: a restart forgets, and another replica learns for itself.

use std::{
    collections::{HashMap, VecDeque},
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use crate::domain::{
    ids::OrganizationId,
    overrun::{self, FACTOR_ONE},
};

const HOUR: Duration = Duration::from_hours(1);
/// How often holds look through all organizations for what no longer counts.
const FORGET_EVERY: Duration = Duration::from_mins(1);

#[derive(Debug, Default)]
pub(super) struct Overruns {
    /// Whether there is anything in `seen`: holds read this first, because nearly always there is not.
    any: AtomicBool,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    /// The factor of an organization, and when it was reached.
    factors: HashMap<OrganizationId, (u64, Instant)>,
    /// The latest calls, no more of them than make an alert.
    latest: VecDeque<Instant>,
    alert: bool,
    /// When all of it was last looked through.
    forgot: Option<Instant>,
}

impl Overruns {
    /// By how much the next hold of the organization is larger, in basis points.
    pub(super) fn factor(&self, organization: OrganizationId, now: Instant) -> u64 {
        if !self.any.load(Ordering::Acquire) {
            return FACTOR_ONE;
        }
        let mut seen = self.seen.lock();
        if seen.forgot.is_none_or(|at| now.saturating_duration_since(at) >= FORGET_EVERY) {
            seen.forget(now);
            if seen.factors.is_empty() && !seen.alert {
                self.any.store(false, Ordering::Release);
            }
        }
        seen.factor(organization, now)
    }

    /// A call of the organization has cost `factor` times its bound. The organization's factor from now on, and how
    /// many such calls make an alert, if this one does.
    pub(super) fn note(
        &self,
        organization: OrganizationId,
        factor: u64,
        alert_at: usize,
        now: Instant,
    ) -> (u64, Option<usize>) {
        metrics::counter!("tollgate_hold_overruns_total").increment(1);
        let mut seen = self.seen.lock();
        seen.forget(now);
        let factor = seen.factor(organization, now).max(factor);
        seen.factors.insert(organization, (factor, now));
        self.any.store(true, Ordering::Release);
        seen.latest.push_back(now);
        while seen.latest.len() > alert_at.max(1) {
            seen.latest.pop_front();
        }
        let alert = alert_at > 0 && seen.latest.len() >= alert_at && !seen.alert;
        if alert {
            seen.alert = true;
            metrics::gauge!("tollgate_hold_overruns_alert").set(1.0);
        }
        (factor, alert.then_some(alert_at))
    }
}

impl Seen {
    fn factor(&self, organization: OrganizationId, now: Instant) -> u64 {
        self.factors.get(&organization).map_or(FACTOR_ONE, |(factor, since)| {
            overrun::decayed(*factor, now.saturating_duration_since(*since))
        })
    }

    /// Drops what no longer counts.
    fn forget(&mut self, now: Instant) {
        self.forgot = Some(now);
        self.factors.retain(|_, (factor, since)| {
            overrun::decayed(*factor, now.saturating_duration_since(*since)) > FACTOR_ONE
        });
        let before = self.latest.len();
        self.latest.retain(|at| now.saturating_duration_since(*at) < HOUR);
        if self.alert && self.latest.len() < before {
            self.alert = false;
            metrics::gauge!("tollgate_hold_overruns_alert").set(0.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn organization() -> OrganizationId {
        OrganizationId::new(uuid::Uuid::now_v7())
    }

    #[test]
    fn an_organization_keeps_its_dearest_factor_which_fades_and_others_have_none() {
        let (overruns, start) = (Overruns::default(), Instant::now());
        let after = |minutes| start + Duration::from_mins(minutes);
        let (one, other) = (organization(), organization());
        assert_eq!(overruns.factor(one, start), FACTOR_ONE);
        assert_eq!(overruns.note(one, 50_000, 0, start), (50_000, None));
        assert_eq!(overruns.note(one, 20_000, 0, start), (50_000, None));
        assert_eq!(overruns.factor(one, after(60)), 30_000);
        assert_eq!(overruns.factor(other, start), FACTOR_ONE);
        // A small one does not make an old large one new: what is left of it counts.
        assert_eq!(overruns.note(one, 10_001, 0, after(60)), (30_000, None));
        assert_eq!(overruns.factor(one, after(60 * 40)), FACTOR_ONE);
        assert!(!overruns.any.load(Ordering::Acquire), "nothing is kept of what no longer counts");
    }

    #[test]
    fn so_many_within_an_hour_are_an_alert_once_until_the_hour_is_over() {
        let (overruns, start) = (Overruns::default(), Instant::now());
        let after = |minutes| start + Duration::from_mins(minutes);
        let note = |minutes| overruns.note(organization(), 10_001, 3, after(minutes)).1;
        assert_eq!([note(0), note(50), note(61)], [None; 3], "three, but not within an hour");
        assert_eq!([note(62), note(63), note(64)], [Some(3), None, None]);
        overruns.factor(organization(), after(64 + 61));
        assert_eq!([note(130), note(131), note(132)], [None, None, Some(3)]);
    }
}
