//! The rate-limit headers of the vendors' dialects.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::domain::{dialect::Dialect, instant::rfc3339};

/// What is left of an organization's limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Readings {
    pub(super) requests: Option<Reading>,
    pub(super) tokens: Option<Reading>,
}

/// What is left of one limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reading {
    pub(super) limit: u32,
    pub(super) remaining: u32,
    pub(super) reset: Duration,
}

struct Names {
    limit: &'static str,
    remaining: &'static str,
    reset: &'static str,
}

const OPENAI_REQUESTS: Names = Names {
    limit: "x-ratelimit-limit-requests",
    remaining: "x-ratelimit-remaining-requests",
    reset: "x-ratelimit-reset-requests",
};
const OPENAI_TOKENS: Names = Names {
    limit: "x-ratelimit-limit-tokens",
    remaining: "x-ratelimit-remaining-tokens",
    reset: "x-ratelimit-reset-tokens",
};
const ANTHROPIC_REQUESTS: Names = Names {
    limit: "anthropic-ratelimit-requests-limit",
    remaining: "anthropic-ratelimit-requests-remaining",
    reset: "anthropic-ratelimit-requests-reset",
};
const ANTHROPIC_TOKENS: Names = Names {
    limit: "anthropic-ratelimit-tokens-limit",
    remaining: "anthropic-ratelimit-tokens-remaining",
    reset: "anthropic-ratelimit-tokens-reset",
};

impl Readings {
    /// Puts these readings in the place of whatever the inner service said about its own limits.
    ///
    /// `now_ms` is the time of day, which only one of the dialects speaks of.
    pub(super) fn replace_in(
        &self,
        headers: &mut HeaderMap,
        dialect: Dialect,
        now_ms: impl FnOnce() -> i64,
    ) {
        remove_foreign(headers);
        let (requests, tokens) = match dialect {
            Dialect::OpenAi => (&OPENAI_REQUESTS, &OPENAI_TOKENS),
            Dialect::Anthropic => (&ANTHROPIC_REQUESTS, &ANTHROPIC_TOKENS),
        };
        let now_ms = match dialect {
            Dialect::Anthropic if self.requests.is_some() || self.tokens.is_some() => {
                Some(now_ms())
            }
            Dialect::OpenAi | Dialect::Anthropic => None,
        };
        for (names, reading) in [(requests, self.requests), (tokens, self.tokens)] {
            if let Some(reading) = reading {
                headers.insert(names.limit, HeaderValue::from(reading.limit));
                headers.insert(names.remaining, HeaderValue::from(reading.remaining));
                let reset = now_ms.map_or_else(
                    || duration(reading.reset),
                    |now_ms| moment(now_ms, reading.reset),
                );
                // Digits, letters and points only: it always is a value.
                if let Ok(reset) = HeaderValue::from_maybe_shared(bytes::Bytes::from(reset)) {
                    headers.insert(names.reset, reset);
                }
            }
        }
    }
}

fn remove_foreign(headers: &mut HeaderMap) {
    let is_foreign = |name: &HeaderName| {
        let name = name.as_str();
        name.starts_with("x-ratelimit-") || name.starts_with("anthropic-ratelimit-")
    };
    if !headers.keys().any(is_foreign) {
        return;
    }
    let foreign: Vec<HeaderName> =
        headers.keys().filter(|name| is_foreign(name)).cloned().collect();
    for name in foreign {
        headers.remove(name);
    }
}

/// A duration as one dialect writes it: `12ms`, `1s`, `1.500s`, `6m0s`; rounded up to a millisecond.
fn duration(duration: Duration) -> String {
    let millis = duration.as_nanos().div_ceil(1_000_000);
    let (seconds, millis) = (millis / 1_000, millis % 1_000);
    let (minutes, seconds) = (seconds / 60, seconds % 60);
    match (minutes, seconds, millis) {
        (0, 0, millis) => format!("{millis}ms"),
        (0, seconds, 0) => format!("{seconds}s"),
        (0, seconds, millis) => format!("{seconds}.{millis:03}s"),
        (minutes, seconds, 0) => format!("{minutes}m{seconds}s"),
        (minutes, seconds, millis) => format!("{minutes}m{seconds}.{millis:03}s"),
    }
}

/// A moment as the other writes it; rounded up to a second.
fn moment(now_ms: i64, reset: Duration) -> String {
    let reset_ms = i64::try_from(reset.as_millis()).unwrap_or(i64::MAX);
    rfc3339(now_ms.saturating_add(reset_ms).saturating_add(999).div_euclid(1_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reset_is_written_as_the_dialect_writes_it() {
        let cases = [
            (0, "0ms"),
            (12, "12ms"),
            (1_000, "1s"),
            (1_500, "1.500s"),
            (60_000, "1m0s"),
            (360_250, "6m0.250s"),
        ];
        for (millis, text) in cases {
            assert_eq!(duration(Duration::from_millis(millis)), text);
        }
        assert_eq!(moment(1_700_000_000_000, Duration::from_millis(1_001)), "2023-11-14T22:13:22Z");
    }
}
