#![expect(clippy::arithmetic_side_effects, reason = "an overflow in a test is a failed test")]

mod plain;

use governor::{RateLimiter, clock::FakeRelativeClock};
use proptest::prelude::*;

use self::plain::Plain;
use super::*;

const SECOND: Nanos = 1_000_000_000;
/// Quotas for which the time of a unit needs no rounding.
const EVENLY: [u32; 9] = [1, 2, 6, 60, 600, 6_000, 1_000_000, 1_000_000_000, 4_000_000_000];

fn quota(units: u32) -> Quota {
    Quota::per_minute(NonZeroU32::new(units).unwrap())
}

#[test]
fn a_full_bucket_gives_its_quota_and_not_one_unit_more() {
    for units in [1, 7, 60, 1_000, 999_999_937, u32::MAX] {
        let full = Bucket::default();
        assert_eq!(full.remaining(quota(units), 5), units);
        let (empty, _) = full.take(quota(units), units.into(), 5).unwrap();
        assert!(matches!(empty.take(quota(units), 1, 5), Err(Short::Wait(_))), "{units}");
        assert_eq!(empty.remaining(quota(units), 5), 0);
    }
    let mut bucket = Bucket::default();
    for _ in 0..7 {
        bucket = bucket.take(quota(7), 1, 5).unwrap().0;
    }
    assert!(bucket.take(quota(7), 1, 5).is_err());
}

#[test]
fn the_wait_is_true_to_the_nanosecond() {
    let (empty, _) = Bucket::default().take(quota(60), 60, 0).unwrap();
    assert_eq!(empty.take(quota(60), 2, SECOND), Err(Short::Wait(Duration::from_secs(1))));
    assert!(empty.take(quota(60), 2, 2 * SECOND - 1).is_err());
    assert!(empty.take(quota(60), 2, 2 * SECOND).is_ok());
}

#[test]
fn more_than_the_whole_bucket_is_never_there() {
    assert_eq!(Bucket::default().take(quota(60), 61, 0), Err(Short::Never));
    assert_eq!(Bucket::default().take(quota(60), u64::MAX, 0), Err(Short::Never));
}

/// `governor` alone would multiply the time of a unit by the number of units and overflow.
#[test]
fn no_number_of_units_overflows() {
    for units in [1, 2, 60, u32::MAX] {
        for many in [u64::from(u32::MAX), u64::from(u32::MAX) + 1, u64::MAX] {
            if many > u64::from(units) {
                assert_eq!(Bucket::default().take(quota(units), many, 0), Err(Short::Never));
            }
        }
        let (bucket, taken) = Bucket::default().take(quota(units), 1, 0).unwrap();
        let owing = bucket.correct(taken, u64::MAX, 0);
        assert_eq!(owing.remaining(quota(units), 0), 0);
        let Err(Short::Wait(wait)) = owing.take(quota(units), 1, 0) else { panic!("{owing:?}") };
        assert!(wait > Duration::from_hours(24), "{wait:?}");
    }
}

#[test]
fn the_age_of_the_process_changes_nothing() {
    for now in [0, u64::MAX / 2, u64::MAX - 2 * MINUTE] {
        let (bucket, taken) = Bucket::default().take(quota(60), 60, now).unwrap();
        assert_eq!(bucket.take(quota(60), 1, now), Err(Short::Wait(Duration::from_secs(1))));
        assert_eq!(bucket.correct(taken, 10, now).remaining(quota(60), now), 50);
    }
}

/// The reason for ticks: here a unit takes 133⅓ ns, and `governor` would drop the third.
#[test]
fn a_large_quota_takes_a_minute_to_refill_and_not_a_part_of_one() {
    let units = NonZeroU32::new(450_000_000).unwrap();
    let theirs = governor::Quota::per_minute(units).burst_size_replenished_in();
    assert_eq!(theirs, Duration::from_millis(59_850));
    for units in [units, NonZeroU32::MAX] {
        let (empty, _) =
            Bucket::default().take(Quota::per_minute(units), units.get().into(), 0).unwrap();
        let short = Duration::from_mins(1).saturating_sub(empty.until_full(0));
        assert!(short <= Duration::from_micros(1_100), "{short:?}");
    }
}

#[test]
fn what_was_not_used_comes_back() {
    let (bucket, taken) = Bucket::default().take(quota(60), 60, 0).unwrap();
    assert_eq!(bucket.remaining(quota(60), 0), 0);
    assert_eq!(bucket.correct(taken, 10, 0).remaining(quota(60), 0), 50);
}

#[test]
fn what_time_has_refilled_does_not_come_back_a_second_time() {
    let (bucket, taken) = Bucket::default().take(quota(60), 60, 0).unwrap();
    // A minute later the bucket is full again, and somebody else empties it.
    let (bucket, _) = bucket.take(quota(60), 60, 60 * SECOND).unwrap();
    let bucket = bucket.correct(taken, 0, 61 * SECOND);
    assert_eq!(bucket.remaining(quota(60), 61 * SECOND), 1);
}

#[test]
fn what_was_used_beyond_the_bound_is_owed() {
    let (bucket, taken) = Bucket::default().take(quota(60), 60, 0).unwrap();
    let bucket = bucket.correct(taken, 90, 0);
    assert_eq!(bucket.take(quota(60), 1, 0), Err(Short::Wait(Duration::from_secs(31))));
}

#[test]
fn what_does_not_divide_evenly_goes_to_the_first_ones() {
    let (limit, of) = (
        |units| NonZeroU32::new(units).unwrap(),
        |replicas| Replica::of(NonZeroU32::new(replicas).unwrap()),
    );
    let shares = |replicas, units| -> Vec<u32> {
        (0..replicas).map(|index| of(replicas).numbered(index).share(limit(units))).collect()
    };
    assert_eq!(shares(2, 5), [3, 2]);
    assert_eq!(shares(2, 1), [1, 0]);
    assert_eq!(shares(3, 11), [4, 4, 3]);
    assert_eq!((of(2).share(limit(5)), of(2).share(limit(1))), (2, 0));
    assert_eq!(of(2).numbered(7).share(limit(5)), 2);
    assert_eq!((of(2).numbered(1).largest_share(limit(5)), of(2).largest_share(limit(5))), (3, 2));
    assert_eq!(Replica::ALONE.share(limit(u32::MAX)), u32::MAX);
}

proptest! {
    #[test]
    fn all_replicas_together_grant_the_limit_and_those_without_a_number_never_more(
        units in 1_u32.., replicas in 1_u32..200,
    ) {
        let (limit, of) = (NonZeroU32::new(units).unwrap(), Replica::of(NonZeroU32::new(replicas).unwrap()));
        let sum = |share: &dyn Fn(u32) -> u32| (0..replicas).map(|index| u64::from(share(index))).sum::<u64>();
        prop_assert_eq!(sum(&|index| of.numbered(index).share(limit)), u64::from(units));
        prop_assert!(sum(&|_| of.share(limit)) <= u64::from(units));
        prop_assert_eq!((0..replicas).map(|index| of.numbered(index).share(limit)).max(), Some(of.numbered(0).largest_share(limit)));
    }

    // A unit takes a whole number of nanoseconds, so neither side rounds. The quota changes between steps.
    #[test]
    fn where_a_minute_divides_evenly_every_answer_is_that_of_the_plain_arithmetic(
        steps in prop::collection::vec((0..EVENLY.len(), 0_u64..90, 0_u64..=120, prop::option::of(0_u64..=250)), 1..60),
    ) {
        let (mut bucket, mut plain, mut now) = (Bucket::default(), Plain::default(), 0);
        for (kind, pause, percent, used_percent) in steps {
            let units = EVENLY[kind];
            now += pause * 500_000_000;
            let amount = u64::from(units) * percent / 100;
            prop_assert_eq!(bucket.remaining(quota(units), now), plain.remaining(units, now));
            match (bucket.take(quota(units), amount, now), plain.take(units, amount, now)) {
                (Ok((next, taken)), Ok((plain_next, plain_taken))) => {
                    (bucket, plain) = (next, plain_next);
                    if let Some(percent) = used_percent {
                        now += pause * 250_000_000;
                        bucket = bucket.correct(taken, amount * percent / 100, now);
                        plain = plain.correct(plain_taken, amount * percent / 100, now);
                    }
                }
                // A take of 0 units succeeds even if the bucket is overdrawn.
                (Ok(_), Err(_)) if amount == 0 => {}
                (Err(ours), Err(theirs)) => prop_assert_eq!(ours, theirs),
                (ours, theirs) => prop_assert!(false, "{ours:?} against {theirs:?}"),
            }
            prop_assert_eq!(bucket.until_full(now), Duration::from_nanos(plain.full_at.saturating_sub(now)));
        }
    }

    #[test]
    fn everywhere_else_the_plain_arithmetic_answers_the_same_but_for_what_is_rounded(
        units in 1_u32.., per_mille in 0_u64..=1_000, full_in in 0_u64..2 * MINUTE, now in 0_u64..1 << 60,
    ) {
        let amount = (u64::from(units) * per_mille / 1_000).max(1);
        // The rounding error: a 4096th of a nanosecond per unit, and one nanosecond at the end.
        let rounded = u64::from(units) / 4_096 + 2;
        let full_at = now + full_in;
        let wait = |answer: Result<Nanos, Short>| match answer {
            Ok(_) => 0,
            Err(Short::Wait(wait)) => u64::try_from(wait.as_nanos()).unwrap(),
            Err(Short::Never) => u64::MAX,
        };
        let ours = Bucket { full_at }.take(quota(units), amount, now).map(|(next, _)| next.full_at);
        let theirs = Plain { full_at }.take(units, amount, now).map(|(next, _)| next.full_at);
        prop_assert!(wait(ours).abs_diff(wait(theirs)) <= rounded, "{ours:?} against {theirs:?}");
        if let (Ok(ours), Ok(theirs)) = (ours, theirs) {
            prop_assert!(ours <= theirs && theirs - ours <= rounded, "{ours} against {theirs}");
        }
        let ours = Bucket { full_at }.remaining(quota(units), now);
        let theirs = Plain { full_at }.remaining(units, now);
        prop_assert!(ours.abs_diff(theirs) <= units / 50_000 + 1, "{} against {}", ours, theirs);
    }

    // Here `governor` keeps the state between steps, with its own clock and store.
    #[test]
    fn takes_are_allowed_exactly_where_a_limiter_of_governors_own_allows_them(
        units in prop::sample::select(vec![1_u32, 2, 6, 60, 600, 6_000, 1_000_000]),
        steps in prop::collection::vec((0_u64..90, 1_u32..100), 1..60),
    ) {
        let clock = FakeRelativeClock::default();
        let governor = RateLimiter::direct_with_clock(governor::Quota::per_minute(NonZeroU32::new(units).unwrap()), clock.clone());
        let (mut bucket, mut now) = (Bucket::default(), 0);
        for (pause_ms_500, amount) in steps {
            let pause = pause_ms_500 * 500_000_000;
            clock.advance(Duration::from_nanos(pause));
            now += pause;
            let taken = bucket.take(quota(units), amount.into(), now);
            let theirs = governor.check_n(NonZeroU32::new(amount).unwrap());
            match (&taken, theirs) {
                (Ok((next, _)), Ok(Ok(()))) => bucket = *next,
                (Err(Short::Wait(wait)), Ok(Err(not_until))) => {
                    prop_assert_eq!(*wait, not_until.wait_time_from(governor::clock::Clock::now(&clock)));
                }
                (Err(Short::Never), Err(_)) => {}
                (ours, theirs) => prop_assert!(false, "{ours:?} against {theirs:?}"),
            }
        }
    }

    #[test]
    fn what_remains_can_be_taken_and_not_one_unit_more(units in 1_u32.., full_in in 0_u64..2 * MINUTE) {
        let (quota, bucket) = (quota(units), Bucket { full_at: full_in });
        let remaining = u64::from(bucket.remaining(quota, 0));
        prop_assert!(remaining == 0 || bucket.take(quota, remaining, 0).is_ok());
        prop_assert!(bucket.take(quota, remaining + 1, 0).is_err());
    }

    #[test]
    fn a_correction_never_leaves_more_than_a_full_bucket_nor_forgets_what_was_used(
        taken_units in 0_u64..=600, used in 0_u64..=1_200, others in 0_u64..=600, pause in 0_u64..120,
    ) {
        let quota = quota(600);
        let (bucket, taken) = Bucket::default().take(quota, taken_units, 0).unwrap();
        let bucket = bucket.take(quota, others, 0).map_or(bucket, |(next, _)| next);
        let now = pause * SECOND;
        let corrected = bucket.correct(taken, used, now);
        prop_assert!(corrected.remaining(quota, now) <= 600);
        if used >= taken_units {
            prop_assert!(corrected.remaining(quota, now) <= bucket.remaining(quota, now));
        } else {
            prop_assert!(corrected.remaining(quota, now) >= bucket.remaining(quota, now));
        }
    }
}
