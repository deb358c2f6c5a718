//! The source of the time of day, which tests can replace.

use crate::clock::unix_seconds;

/// The source of the time of day, which a token's expiry is compared with. Durations (cache ages,
/// cooldowns) are measured by the monotonic `tokio::time::Instant` instead.
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
    /// Whether this is the clock that other crates read, too.
    pub(super) const fn is_the_systems(&self) -> bool {
        matches!(self, Self::System)
    }
}
