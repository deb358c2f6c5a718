//! Points in time, in the formats that people and vendors write.

use std::{fmt, str::FromStr};

const SECONDS_PER_DAY: i64 = 86_400;
const MICROS_PER_SECOND: i64 = 1_000_000;

/// Seconds since the Unix epoch as RFC 3339 in UTC: `2023-11-14T22:13:20Z`.
///
/// ```
/// # use tollgate::domain::instant::rfc3339;
/// assert_eq!(rfc3339(1_700_000_000), "2023-11-14T22:13:20Z");
/// ```
pub fn rfc3339(unix_seconds: i64) -> String {
    let (year, month, day) = civil(unix_seconds.div_euclid(SECONDS_PER_DAY));
    let second = unix_seconds.rem_euclid(SECONDS_PER_DAY);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Microseconds since the Unix epoch as RFC 3339 in UTC, with a fraction unless it is zero.
///
/// ```
/// # use tollgate::domain::instant::rfc3339_micros;
/// assert_eq!(rfc3339_micros(1_700_000_000_000_000), "2023-11-14T22:13:20Z");
/// assert_eq!(rfc3339_micros(1_700_000_000_000_250), "2023-11-14T22:13:20.000250Z");
/// ```
pub fn rfc3339_micros(unix_micros: i64) -> String {
    let seconds = rfc3339(unix_micros.div_euclid(MICROS_PER_SECOND));
    match unix_micros.rem_euclid(MICROS_PER_SECOND) {
        0 => seconds,
        fraction => format!("{}.{fraction:06}Z", seconds.trim_end_matches('Z')),
    }
}

/// A point in time as people write it: a day, which begins at midnight in a time zone that is known elsewhere, or an
/// instant with its own zone (RFC 3339).
///
/// ```
/// # use tollgate::domain::instant::Moment;
/// let day: Moment = "2026-03-29".parse().unwrap();
/// assert_eq!(day.in_utc(), "2026-03-29T00:00:00Z");
/// let instant: Moment = "2026-03-29T02:30:00+02:00".parse().unwrap();
/// assert_eq!(instant.in_utc(), "2026-03-29T02:30:00+02:00");
/// assert!("2026-02-29".parse::<Moment>().is_err());
/// assert!("2026-03-29T02:30:00".parse::<Moment>().is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment(String);

/// The text is not a point in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a moment: write it as 2026-03-29 or as 2026-03-29T12:00:00Z")]
pub struct ParseMomentError;

const DAY_LENGTH: usize = 10;

impl Moment {
    /// The text as it was written: ten characters for a day, more for an instant.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The instant; a day begins at midnight in UTC.
    pub fn in_utc(&self) -> String {
        if self.0.len() == DAY_LENGTH { format!("{}T00:00:00Z", self.0) } else { self.0.clone() }
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Moment {
    type Err = ParseMomentError;

    fn from_str(text: &str) -> Result<Self, ParseMomentError> {
        let valid = || {
            let (day, time) = text.split_at_checked(DAY_LENGTH)?;
            let [year, month, day] = numbers(day, '-', [4, 2, 2])?;
            let in_range = (1970..=9999).contains(&year)
                && (1..=12).contains(&month)
                && (1..=days_in(year, month)).contains(&day);
            (in_range && (time.is_empty() || is_time(time)?)).then_some(())
        };
        valid().map(|()| Self(text.to_owned())).ok_or(ParseMomentError)
    }
}

/// Checks the digits of a time such as `T12:00:00.5+02:00`, and their ranges.
fn is_time(text: &str) -> Option<bool> {
    let text = text.strip_prefix('T')?;
    let (time, zone_is_fine) = if let Some(time) = text.strip_suffix('Z') {
        (time, true)
    } else {
        let (time, zone) = text.split_at_checked(text.len().checked_sub(6)?)?;
        let [hours, minutes] = numbers(zone.strip_prefix(['+', '-'])?, ':', [2, 2])?;
        (time, hours <= 15 && minutes < 60)
    };
    let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let fraction_is_fine =
        (1..=6).contains(&fraction.len()) && fraction.bytes().all(|byte| byte.is_ascii_digit());
    let [hour, minute, second] = numbers(time, ':', [2, 2, 2])?;
    Some(zone_is_fine && fraction_is_fine && hour < 24 && minute < 60 && second < 60)
}

/// `N` numbers with this many digits each, with the character `between` them.
fn numbers<const N: usize>(text: &str, between: char, digits: [usize; N]) -> Option<[u32; N]> {
    let mut parts = text.split(between);
    let mut numbers = [0; N];
    for (number, digits) in numbers.iter_mut().zip(digits) {
        let part = parts.next()?;
        if part.len() != digits || !part.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        *number = part.parse().ok()?;
    }
    parts.next().is_none().then_some(numbers)
}

const fn days_in(year: u32, month: u32) -> u32 {
    match month {
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => {
            29
        }
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// The Gregorian date of a day counted from the Unix epoch.
///
/// Years are counted from the first of March, so that the leap day is the last day of a year. 400 years are 146,097
/// days.
#[expect(
    clippy::arithmetic_side_effects,
    reason = "a day number is at most an i64 of seconds over 86,400: no sum here comes near the end of an i64"
)]
const fn civil(day: i64) -> (i64, i64, i64) {
    const DAYS_TO_EPOCH: i64 = 719_468; // from 0000-03-01
    let day = day + DAYS_TO_EPOCH;
    let (era, day_of_era) = (day.div_euclid(146_097), day.rem_euclid(146_097));
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + if month <= 2 { 1 } else { 0 };
    (year, month, day_of_month)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_one_of_the_calendar_and_says_its_zone() {
        for text in [
            "1970-01-01",
            "2024-02-29",
            "2000-02-29",
            "2026-12-31T23:59:59Z",
            "2026-12-31T23:59:59.123456-05:30",
        ] {
            assert_eq!(text.parse::<Moment>().unwrap().as_str(), text);
        }
        for text in [
            "",
            "2026-1-1",
            "2026-13-01",
            "2026-04-31",
            "2100-02-29",
            "1969-12-31",
            "2026-12-31T24:00:00Z",
            "2026-12-31T23:59:60Z",
            "2026-12-31T23:59:59",
            "2026-12-31 23:59:59Z",
            "2026-12-31T23:59:59.1234567Z",
            "2026-12-31T23:59:59+99:00",
            "2026-12-31T+5:00:00Z",
            "infinity",
            "now",
            "２026-12-3",
        ] {
            assert_eq!(text.parse::<Moment>(), Err(ParseMomentError), "{text:?}");
        }
    }

    #[test]
    fn figures_of_a_moment_end_where_those_of_the_calendar_end() {
        for (valid, text) in [
            (true, "2026-12-31T23:59:59.1+15:59"),
            (false, "2026-12-31T23:59:59.1+16:00"),
            (false, "2026-12-31T23:59:59.1+15:60"),
            (false, "2026-12-31T23:60:59Z"),
            (false, "2026-12-31T24:59:59Z"),
            (false, "2026-12-31T23:59:60Z"),
            (false, "2026-12-31T23:59:59.Z"),
            (true, "9999-12-31"),
            (false, "2026-00-31"),
            (false, "2026-12-00"),
            (false, "2026-12-32"),
        ] {
            assert_eq!(text.parse::<Moment>().is_ok(), valid, "{text}");
        }
    }

    #[test]
    fn a_day_begins_at_midnight_in_utc_and_an_instant_is_as_it_was_written() {
        for (text, utc) in [
            ("2026-03-29", "2026-03-29T00:00:00Z"),
            ("2026-03-29T02:30:00+02:00", "2026-03-29T02:30:00+02:00"),
        ] {
            let moment: Moment = text.parse().unwrap();
            assert_eq!((moment.in_utc().as_str(), moment.to_string().as_str()), (utc, text));
        }
    }

    #[test]
    fn microseconds_are_written_where_there_are_some() {
        for (micros, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (1_000_001, "1970-01-01T00:00:01.000001Z"),
            (-1, "1969-12-31T23:59:59.999999Z"),
        ] {
            assert_eq!(rfc3339_micros(micros), text);
        }
    }

    #[test]
    fn leap_days_and_turns_of_years_are_where_they_belong() {
        let cases = [
            (0, "1970-01-01T00:00:00Z"),
            (-1, "1969-12-31T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (1_735_689_599, "2024-12-31T23:59:59Z"),
            (1_709_164_800, "2024-02-29T00:00:00Z"),
        ];
        for (seconds, text) in cases {
            assert_eq!(rfc3339(seconds), text);
        }
    }
}
