//! What follows when a call costs more than its upper bound: the organization's next holds are larger.
//!
//! A bound that was too small once is likely to be too small again: a provider pays no heed to the cap, or a field
//! costs what nobody here knows. The factor is that of the dearest such call, at most [`FACTOR_MAX`]. What it is above
//! 1 is halved with every hour in which no such call ends. All of it is integers: basis points.

use std::time::Duration;

use super::credits::Credits;

/// The factor of an organization whose calls cost no more than their bounds, in basis points.
pub const FACTOR_ONE: u64 = 10_000;

/// The largest factor: ten. Beyond it, the operator must look.
pub const FACTOR_MAX: u64 = 10 * FACTOR_ONE;

const HALVED_EVERY_SECONDS: u64 = 3_600;

/// The factor by which a call has cost more than its bound, rounded up; [`FACTOR_ONE`] if it has not.
pub fn factor(cost: Credits, bound: Credits) -> u64 {
    let (cost, bound) = (i128::from(cost.nanos()), i128::from(bound.nanos()));
    if cost <= bound {
        return FACTOR_ONE;
    }
    if bound <= 0 {
        return FACTOR_MAX;
    }
    let scaled = cost.saturating_mul(i128::from(FACTOR_ONE));
    let rounded_up = scaled.saturating_add(bound.saturating_sub(1)).checked_div(bound);
    rounded_up
        .and_then(|factor| u64::try_from(factor).ok())
        .unwrap_or(FACTOR_MAX)
        .clamp(FACTOR_ONE, FACTOR_MAX)
}

/// What is left of a factor after this time.
pub fn decayed(factor: u64, elapsed: Duration) -> u64 {
    let halvings = elapsed.as_secs().checked_div(HALVED_EVERY_SECONDS).unwrap_or(0);
    let halvings = u32::try_from(halvings).unwrap_or(u32::MAX);
    let above = factor.saturating_sub(FACTOR_ONE).checked_shr(halvings).unwrap_or(0);
    FACTOR_ONE.saturating_add(above)
}

/// An amount or a number of tokens, made larger by the factor and rounded up.
pub fn raised(amount: i64, factor: u64) -> i64 {
    let scaled = i128::from(amount).saturating_mul(i128::from(factor.max(FACTOR_ONE)));
    let one = i128::from(FACTOR_ONE);
    let rounded_up = scaled.saturating_add(one.saturating_sub(1)).checked_div(one);
    rounded_up.and_then(|raised| i64::try_from(raised).ok()).unwrap_or(i64::MAX).max(amount)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(cost: i64, bound: i64) -> u64 {
        factor(Credits::from_nanos(cost), Credits::from_nanos(bound))
    }

    #[test]
    fn the_factor_is_what_the_call_cost_above_its_bound_rounded_up_and_at_most_ten() {
        assert_eq!([of(0, 0), of(5, 5), of(4, 5)], [FACTOR_ONE; 3]);
        assert_eq!([of(150, 100), of(1_000_001, 1_000_000)], [15_000, 10_001]);
        assert_eq!([of(18_003_000, 18_300), of(1, 0), of(i64::MAX, 1)], [FACTOR_MAX; 3]);
    }

    #[test]
    fn what_it_is_above_one_is_halved_each_hour() {
        let after = |minutes| decayed(50_000, Duration::from_mins(minutes));
        assert_eq!([after(0), after(59), after(60), after(120)], [50_000, 50_000, 30_000, 20_000]);
        assert_eq!([decayed(FACTOR_MAX, Duration::MAX), after(60 * 64)], [FACTOR_ONE; 2]);
    }

    proptest! {
        #[test]
        fn a_raised_hold_covers_the_same_call_and_is_never_smaller(cost in 1_i64.., bound in 1_i64..) {
            let factor = of(cost, bound);
            let held = raised(bound, factor);
            prop_assert!(held >= bound);
            prop_assert!(factor == FACTOR_MAX || held >= cost);
            prop_assert!(i128::from(held) <= i128::from(bound).saturating_mul(10));
        }
    }
}
