//! The wall clock, read in this one place.

use std::time::{SystemTime, UNIX_EPOCH};

/// Where the time of day comes from. Expiry is stated in it; everything that lasts (cache ages,
/// cooldowns) is measured by the monotonic `tokio::time::Instant` instead.
#[derive(Clone, Debug, Default)]
pub(super) enum Clock {
    #[default]
    System,
    #[cfg(test)]
    Fixed(std::sync::Arc<std::sync::atomic::AtomicI64>),
}

impl Clock {
    /// Seconds since the Unix epoch.
    pub(super) fn now(&self) -> i64 {
        match self {
            Self::System => unix_seconds(),
            #[cfg(test)]
            Self::Fixed(seconds) => seconds.load(std::sync::atomic::Ordering::Relaxed),
        }
    }
}

/// Seconds since the Unix epoch. A clock before 1970 reads as the end of time, so that every token
/// is expired rather than none.
#[expect(
    clippy::disallowed_methods,
    reason = "`exp` and `nbf` are wall-clock times; nothing else reads this"
)]
pub(crate) fn unix_seconds() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|since| i64::try_from(since.as_secs()).ok())
        .unwrap_or(i64::MAX)
}
