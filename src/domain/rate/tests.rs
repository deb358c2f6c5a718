#![expect(clippy::arithmetic_side_effects, reason = "an overflow in a test is a failed test")]

use governor::{RateLimiter, clock::FakeRelativeClock};
use proptest::prelude::*;

use super::*;

const SECOND: Nanos = 1_000_000_000;

fn quota(units: u32) -> Quota {
    Quota::per_minute(NonZeroU32::new(units).unwrap())
}

#[test]
fn a_full_bucket_gives_its_quota_and_not_one_unit_more() {
    for units in [1, 7, 60, 1_000, 999_999_937] {
        let (empty, _) = Bucket::default().take(quota(units), units.into(), 5).unwrap();
        assert!(matches!(empty.take(quota(units), 1, 5), Err(Short::Wait(_))), "{units}");
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

    // Quotas that divide a minute evenly, because `governor` rounds the others to whole nanoseconds.
    #[test]
    fn takes_are_allowed_exactly_where_governor_allows_them(
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
