//! The wall clock, read in this one place.

use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds since the Unix epoch. A clock before 1970 reads as the end of time, so that what ends by the clock
/// has ended, rather than never.
#[expect(
    clippy::disallowed_methods,
    reason = "what a token, a seal or a metric says of its time is wall-clock time; nothing else reads this"
)]
pub(crate) fn unix_millis() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|since| i64::try_from(since.as_millis()).ok())
        .unwrap_or(i64::MAX)
}

/// As [`unix_millis`], in seconds.
pub(crate) fn unix_seconds() -> i64 {
    match unix_millis() {
        i64::MAX => i64::MAX,
        millis => millis.div_euclid(1_000),
    }
}
