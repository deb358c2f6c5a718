//! The wall clock, read in this one place.

use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds since the Unix epoch. A system clock before 1970 gives `i64::MAX`: everything with an expiry date has
/// then expired, instead of never expiring.
#[expect(
    clippy::disallowed_methods,
    reason = "the dates of tokens, seals and metrics are wall-clock times; nothing else reads this clock"
)]
pub(crate) fn unix_millis() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|since| i64::try_from(since.as_millis()).ok())
        .unwrap_or(i64::MAX)
}

/// Seconds since the Unix epoch; otherwise as [`unix_millis`].
pub(crate) fn unix_seconds() -> i64 {
    match unix_millis() {
        i64::MAX => i64::MAX,
        millis => millis.div_euclid(1_000),
    }
}
