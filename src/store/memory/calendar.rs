//! Calendar windows of UTC, from milliseconds since the Unix epoch.

use std::time::Duration;

use crate::domain::hold::Window;

const DAY_MS: i64 = 86_400_000;

/// One window: the number of its day or month, and when it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Start {
    pub(super) window: Window,
    /// Days since 1970-01-01, or months since 1970-01.
    number: i64,
    ends_ms: i64,
}

impl Start {
    /// The window of this kind in which `at_ms` lies.
    pub(super) fn of(window: Window, at_ms: i64) -> Self {
        let day = at_ms.div_euclid(DAY_MS);
        match window {
            Window::Day => Self { window, number: day, ends_ms: ms(day.saturating_add(1)) },
            Window::Month => {
                let number = month_of(day);
                Self { window, number, ends_ms: ms(first_day_of(number.saturating_add(1))) }
            }
        }
    }

    /// How long until this window ends.
    pub(super) fn left(self, at_ms: i64) -> Duration {
        Duration::from_millis(u64::try_from(self.ends_ms.saturating_sub(at_ms)).unwrap_or(0))
    }
}

const fn ms(day: i64) -> i64 {
    day.saturating_mul(DAY_MS)
}

/// The month, counted from 1970-01, in which a day lies.
///
/// Years are counted from March, so that the leap day is the last day of its year. 400 such years
/// always have 146,097 days.
#[expect(
    clippy::arithmetic_side_effects,
    reason = "a day number is an i64 of milliseconds divided by 86,400,000: far from the ends"
)]
const fn month_of(day: i64) -> i64 {
    let day = day + 719_468;
    let (era, day) = (day.div_euclid(146_097), day.rem_euclid(146_097));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year + year / 4 - year / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    (era * 400 + year - 1970) * 12 + month_from_march + 2
}

/// The first day of a month counted from 1970-01.
#[expect(
    clippy::arithmetic_side_effects,
    reason = "a month number comes from `month_of`, which stays far from the ends"
)]
const fn first_day_of(month: i64) -> i64 {
    let from_march = month - 2;
    let (year, month) = (1970 + from_march.div_euclid(12), from_march.rem_euclid(12));
    let (era, year) = (year.div_euclid(400), year.rem_euclid(400));
    let days_before = (153 * month + 2) / 5;
    era * 146_097 + 365 * year + year / 4 - year / 100 + days_before - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_follow_each_other_without_gap_for_eight_hundred_years() {
        for month in -4_800..4_800 {
            let (first, next) = (first_day_of(month), first_day_of(month + 1));
            assert!((28..=31).contains(&(next - first)), "month {month}");
            assert_eq!((month_of(first), month_of(next - 1)), (month, month));
        }
        assert_eq!((month_of(0), first_day_of(0)), (0, 0));
    }

    #[test]
    fn a_window_ends_where_the_next_begins() {
        // 2024-02-28T23:00:00Z: one hour of the day is left, and a leap day of the month.
        let at = 1_709_161_200_000;
        assert_eq!(Start::of(Window::Day, at).left(at), Duration::from_hours(1));
        assert_eq!(Start::of(Window::Month, at).left(at), Duration::from_hours(25));
    }
}
