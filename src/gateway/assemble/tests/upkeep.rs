//! Background work.

use std::num::NonZeroU32;

use super::*;
use crate::domain::policy::{AllowList, Policy, Rates};

impl Street {
    /// Starts the background work, which runs until the guard is dropped.
    async fn keep_up(&self) -> tokio_util::sync::DropGuard {
        let ending = CancellationToken::new();
        self.gateway.keep_up(&TaskTracker::new(), &ending);
        // Lets the work that is due at once finish.
        self.until(0).await;
        ending.drop_guard()
    }

    /// Waits until this many milliseconds have passed since the clock was paused, and the work due then is done.
    async fn until(&self, milliseconds: u64) {
        let until = Duration::from_millis(milliseconds);
        tokio::time::sleep(until.saturating_sub(self.begun.elapsed())).await;
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
    }
}

/// Asserts that the work ran periodically from the beginning. Timers fire up to a millisecond late.
#[expect(clippy::arithmetic_side_effects, reason = "sums of small test data")]
fn assert_every(done: &[u128], every: u128, times: usize) {
    let expected: Vec<_> = (0..).map(|number| number * every).take(times).collect();
    let in_time = |(at, due): (&u128, &u128)| *at >= *due && *at < *due + 10;
    assert!(
        done.len() == times && done.iter().zip(&expected).all(in_time),
        "{done:?} instead of {expected:?}"
    );
}

#[tokio::test]
async fn a_new_list_price_is_in_force_a_minute_later_and_the_old_one_while_it_cannot_be_had() {
    let street = Street::with(|_| {}).await;
    let _running = street.keep_up().await;
    let known = |model| street.gateway.prices.current().get(model).is_some();
    street.store().set_prices(PriceBook::new([testing::price("large")]));
    street.until(59_990).await;
    assert!(known("small") && !known("large"));
    street.until(60_010).await;
    assert!(!known("small") && known("large"));
    // Prices cannot be read: the known ones stay in force, and the gateway tries again.
    *street.noting.away.lock().unwrap() = true;
    street.store().set_prices(PriceBook::new([testing::price("small")]));
    street.until(120_010).await;
    assert!(!known("small") && known("large"));
    *street.noting.away.lock().unwrap() = false;
    street.until(180_010).await;
    assert!(known("small") && !known("large"));
    assert_every(&street.when(Asked::Prices), 60_000, 4);
}

#[tokio::test]
async fn models_and_rates_are_those_of_half_a_minute_ago_where_nobody_tells_of_a_change() {
    let one = Rates { requests_per_minute: NonZeroU32::new(1), ..Rates::default() };
    let none = AllowList::Only(Vec::new());
    for (changed, status, told) in [
        (Policy { models: none, ..Policy::default() }, 403, false),
        (Policy { rates: one, ..Policy::default() }, 429, false),
        (Policy { rates: one, ..Policy::default() }, 429, true),
    ] {
        let street = Street::with(|_| {}).await;
        let _running = street.keep_up().await;
        assert_eq!(street.call().await.0, 200);
        street.store().set_policy(street.organization, changed).unwrap();
        if told {
            street.gateway.changes.tell(Heard::Change(street.organization));
            street.until(10).await;
        } else {
            street.until(29_990).await;
            for _ in 0..3 {
                assert_eq!(street.call().await.0, 200);
            }
            street.until(30_010).await;
        }
        // A rate of one a minute lets the first call pass.
        if status == 429 {
            assert_eq!(street.call().await.0, 200);
        }
        assert_eq!(street.call().await.0, status);
    }
}

#[tokio::test]
async fn a_mark_up_is_charged_half_a_minute_after_it_was_agreed() {
    let street = Street::with(|_| {}).await;
    let _running = street.keep_up().await;
    let charged = async || {
        assert_eq!(street.call().await.0, 200);
        let written = street.store().written(street.organization).unwrap();
        written.last().unwrap().finish.settlement.unwrap().amount.nanos()
    };
    // 10 × 1 + 3 × 2
    assert_eq!(charged().await, 16);
    let doubled = Agreement::new(10_000, []);
    street.store().set_agreement(street.organization, doubled).unwrap();
    street.until(29_990).await;
    assert_eq!(charged().await, 16);
    street.until(30_010).await;
    assert_eq!(charged().await, 32);
}

#[tokio::test]
async fn each_open_call_is_told_of_four_times_in_the_time_that_its_hold_stands() {
    for (set, ttl) in [(None, 60_000), (Some(8_000), 8_000)] {
        let street = Street::with(|config| {
            let ttl = set.map(Duration::from_millis);
            config.credit.hold_ttl = ttl.unwrap_or(config.credit.hold_ttl);
        })
        .await;
        let open = tokio::spawn(street.open());
        tokio::task::yield_now().await;
        let _running = street.keep_up().await;
        street.until(2 * ttl + 10).await;
        let told = Duration::from_millis(ttl);
        assert_eq!(street.when(Asked::Hold(told)).len(), 1);
        assert_every(&street.when(Asked::Heartbeat(told)), u128::from(ttl / 4), 9);
        open.abort();
    }
}

#[tokio::test]
async fn holds_are_swept_and_the_switches_of_open_calls_asked_for_every_five_seconds() {
    let street = Street::with(|_| {}).await;
    let open = tokio::spawn(street.open());
    tokio::task::yield_now().await;
    let _running = street.keep_up().await;
    street.until(20_010).await;
    assert_every(&street.when(Asked::Sweep), 5_000, 5);
    assert_every(&street.when(Asked::Switches), 5_000, 5);
    // No notice reports this change.
    street.store().set_suspended(street.organization, true).unwrap();
    street.until(24_990).await;
    assert!(!open.is_finished());
    street.until(25_010).await;
    assert_eq!(open.await.unwrap(), 403);
}

#[tokio::test]
async fn books_are_checked_as_often_as_credit_reconcile_every_and_not_at_the_start() {
    for (set, every) in [(None, 300_000), (Some(7_000), 7_000)] {
        let street = Street::with(|config| {
            let every = set.map(Duration::from_millis);
            config.credit.reconcile_every = every.unwrap_or(config.credit.reconcile_every);
        })
        .await;
        let _running = street.keep_up().await;
        street.until(3 * every + 10).await;
        let mut checked = street.when(Asked::Books);
        checked.insert(0, 0);
        assert_every(&checked, u128::from(every), 4);
    }
    // `0s` turns the check off.
    let street = Street::with(|config| config.credit.reconcile_every = Duration::ZERO).await;
    let _running = street.keep_up().await;
    street.until(3_600_000).await;
    assert_eq!(street.when(Asked::Books), [0_u128; 0]);
}
