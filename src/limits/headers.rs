//! The rate-limit headers in each vendor's dialect.
//!
//! Anthropic also has separate headers for input tokens and for output tokens. Tollgate limits only their sum and
//! does not write those headers: a client would wait for a limit that does not exist.

use std::{cmp::Reverse, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::domain::{dialect::Dialect, instant::rfc3339};

/// What is left of the limits that apply to a call.
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
    limit: HeaderName,
    remaining: HeaderName,
    reset: HeaderName,
}

static OPENAI_REQUESTS: Names = Names {
    limit: HeaderName::from_static("x-ratelimit-limit-requests"),
    remaining: HeaderName::from_static("x-ratelimit-remaining-requests"),
    reset: HeaderName::from_static("x-ratelimit-reset-requests"),
};
static OPENAI_TOKENS: Names = Names {
    limit: HeaderName::from_static("x-ratelimit-limit-tokens"),
    remaining: HeaderName::from_static("x-ratelimit-remaining-tokens"),
    reset: HeaderName::from_static("x-ratelimit-reset-tokens"),
};
static ANTHROPIC_REQUESTS: Names = Names {
    limit: HeaderName::from_static("anthropic-ratelimit-requests-limit"),
    remaining: HeaderName::from_static("anthropic-ratelimit-requests-remaining"),
    reset: HeaderName::from_static("anthropic-ratelimit-requests-reset"),
};
static ANTHROPIC_TOKENS: Names = Names {
    limit: HeaderName::from_static("anthropic-ratelimit-tokens-limit"),
    remaining: HeaderName::from_static("anthropic-ratelimit-tokens-remaining"),
    reset: HeaderName::from_static("anthropic-ratelimit-tokens-reset"),
};

impl Reading {
    /// The reading with the smaller remainder. At equal remainders, the one that takes longer to refill: a caller
    /// that waits only for the other one would still be refused.
    fn tighter(self, other: Self) -> Self {
        let binding = |reading: &Self| (Reverse(reading.remaining), reading.reset);
        if binding(&other) > binding(&self) { other } else { self }
    }
}

impl Readings {
    /// For each kind of rate, the tighter reading.
    pub(super) fn tightest(self, other: Self) -> Self {
        let tightest = |one: Option<Reading>, other: Option<Reading>| match (one, other) {
            (Some(one), Some(other)) => Some(one.tighter(other)),
            (one, other) => one.or(other),
        };
        Self {
            requests: tightest(self.requests, other.requests),
            tokens: tightest(self.tokens, other.tokens),
        }
    }

    /// Replaces the inner service's rate-limit headers with these readings.
    ///
    /// `now_ms` gives the time of day, which only Anthropic's headers need.
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
        headers.reserve(6);
        for (names, reading) in [(requests, self.requests), (tokens, self.tokens)] {
            if let Some(reading) = reading {
                let mut insert = |name: &HeaderName, value: Short| {
                    // Always valid: the text has only digits, letters and punctuation.
                    if let Ok(value) = HeaderValue::from_bytes(value.bytes()) {
                        headers.insert(name, value);
                    }
                };
                insert(&names.limit, Short::number(reading.limit));
                insert(&names.remaining, Short::number(reading.remaining));
                let reset = match now_ms {
                    None => duration(reading.reset),
                    Some(now_ms) => moment(now_ms, reading.reset),
                };
                insert(&names.reset, reset);
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

/// A duration as OpenAI writes it: `12ms`, `1s`, `1.500s`, `6m0s`. Rounded up to a millisecond.
fn duration(duration: Duration) -> Short {
    let millis = u64::from(duration.subsec_nanos().div_ceil(1_000_000));
    let millis = duration.as_secs().saturating_mul(1_000).saturating_add(millis);
    let (seconds, millis) = (millis / 1_000, millis % 1_000);
    let (minutes, seconds) = (seconds / 60, seconds % 60);
    let mut text = Short::default();
    if minutes > 0 {
        text.push_number(minutes).push(b"m");
    } else if seconds == 0 {
        return *text.push_number(millis).push(b"ms");
    }
    text.push_number(seconds);
    if millis > 0 {
        text.push(if millis < 10 {
            b".00"
        } else if millis < 100 {
            b".0"
        } else {
            b"."
        });
        text.push_number(millis);
    }
    *text.push(b"s")
}

/// A moment as Anthropic writes it, in RFC 3339. Rounded up to a second.
fn moment(now_ms: i64, reset: Duration) -> Short {
    let reset_ms = i64::try_from(reset.as_millis()).unwrap_or(i64::MAX);
    let moment = rfc3339(now_ms.saturating_add(reset_ms).saturating_add(999).div_euclid(1_000));
    *Short::default().push(moment.as_bytes())
}

/// A short text that is built without an allocation. An answer has up to six of them.
#[derive(Clone, Copy, Debug, Default)]
struct Short {
    bytes: [u8; 32],
    length: usize,
}

impl Short {
    fn number(number: u32) -> Self {
        *Self::default().push_number(u64::from(number))
    }

    fn push_number(&mut self, number: u64) -> &mut Self {
        if number >= 10 {
            self.push_number(number / 10);
        }
        let digit = u8::try_from(number % 10).unwrap_or_default();
        self.push(&[b'0' | digit])
    }

    /// Appends a text. A text that does not fit is dropped, but none here is that long.
    fn push(&mut self, text: &[u8]) -> &mut Self {
        let end = self.length.saturating_add(text.len());
        if let Some(room) = self.bytes.get_mut(self.length..end) {
            room.copy_from_slice(text);
            self.length = end;
        }
        self
    }

    fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_limits_the_one_that_binds_is_told() {
        let reading = |limit, remaining, reset_s| {
            Some(Reading { limit, remaining, reset: Duration::from_secs(reset_s) })
        };
        let of = |requests, tokens| Readings { requests, tokens };
        let (wide, narrow) =
            (of(reading(60, 5, 55), None), of(reading(10, 4, 1), reading(100, 0, 9)));
        assert_eq!(wide.tightest(narrow), narrow);
        assert_eq!(narrow.tightest(wide), narrow);
        let slow = of(reading(2, 4, 30), reading(100, 0, 8));
        assert_eq!(slow.tightest(narrow), of(slow.requests, narrow.tokens));
        assert_eq!(narrow.tightest(slow), of(slow.requests, narrow.tokens));
        // Of two equally tight readings, the first one is kept.
        let (one, other) = (of(reading(10, 4, 1), None), of(reading(20, 4, 1), None));
        assert_eq!(one.tightest(other), one);
    }

    #[test]
    fn the_time_of_day_is_asked_for_only_where_a_header_says_it() {
        let never = || -> i64 { panic!("nobody speaks of it") };
        let mut headers = HeaderMap::new();
        let none = Readings { requests: None, tokens: None };
        none.replace_in(&mut headers, Dialect::Anthropic, never);
        let some = Reading { limit: 2, remaining: 1, reset: Duration::from_secs(1) };
        let some = Readings { requests: Some(some), tokens: None };
        some.replace_in(&mut headers, Dialect::OpenAi, never);
        assert_eq!(headers.len(), 3);
    }

    #[test]
    fn a_reset_is_written_as_the_dialect_writes_it() {
        let cases = [
            (0, "0ms"),
            (12, "12ms"),
            (1_000, "1s"),
            (1_500, "1.500s"),
            (60_000, "1m0s"),
            (1_050, "1.050s"),
            (1_009, "1.009s"),
            (1_010, "1.010s"),
            (1_099, "1.099s"),
            (1_100, "1.100s"),
            (59_009, "59.009s"),
            (360_250, "6m0.250s"),
            (u64::MAX, "307445734561825m51.615s"),
        ];
        for (millis, text) in cases {
            assert_eq!(duration(Duration::from_millis(millis)).bytes(), text.as_bytes());
        }
        assert_eq!(duration(Duration::from_nanos(1)).bytes(), b"1ms");
        let moment = moment(1_700_000_000_000, Duration::from_millis(1_001));
        assert_eq!(moment.bytes(), b"2023-11-14T22:13:22Z");
        assert_eq!(Short::number(u32::MAX).bytes(), b"4294967295");
    }
}
