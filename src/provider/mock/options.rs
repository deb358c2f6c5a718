//! Reads the `x-mock-*` headers of a request.

use std::{num::NonZeroUsize, time::Duration};

use http::{HeaderMap, StatusCode};

/// A header whose name or value the mock does not know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Malformed {
    pub(super) header: String,
    pub(super) expected: &'static str,
}

/// How to answer one request. The default is a plain, quick, correct answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Options {
    pub(super) latency: Duration,
    pub(super) input_tokens: Option<u64>,
    pub(super) output_tokens: Option<u64>,
    pub(super) cached_tokens: u64,
    pub(super) cache_write_tokens: u64,
    pub(super) reasoning_tokens: u64,
    pub(super) chunks: Option<NonZeroUsize>,
    pub(super) chunk_delay: Duration,
    pub(super) status: Option<StatusCode>,
    pub(super) retry_after_seconds: Option<u64>,
    pub(super) break_after: Option<BreakAfter>,
    pub(super) usage: Option<Reported>,
    pub(super) garbage: Option<Garbage>,
    pub(super) split: Option<NonZeroUsize>,
    pub(super) hang: Option<Hang>,
    pub(super) endless: bool,
}

/// Where an answer breaks off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BreakAfter {
    /// Before its head: the mock as a server resets the connection.
    Nothing,
    /// After this many chunks of content; a JSON answer breaks off in the middle.
    Chunks(usize),
}

/// Which usage a stream reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reported {
    None,
    Final,
    Cumulative,
}

/// An answer that is not what its head says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Garbage {
    /// The usual content type, and bytes that are neither JSON nor server-sent events nor UTF-8.
    Bytes,
    /// A web page, such as proxies in front of providers send.
    Html,
}

/// Where an answer hangs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hang {
    Head,
    Body,
}

impl Options {
    pub(super) fn read(headers: &HeaderMap) -> Result<Self, Malformed> {
        let mut options = Self::default();
        for (name, value) in headers {
            let Some(option) = name.as_str().strip_prefix("x-mock-") else { continue };
            let value = value.to_str().map(str::trim).unwrap_or_default();
            options
                .set(option, value)
                .map_err(|expected| Malformed { header: name.as_str().to_owned(), expected })?;
        }
        Ok(options)
    }

    fn set(&mut self, option: &str, value: &str) -> Result<(), &'static str> {
        match option {
            "latency-ms" => self.latency = millis(value)?,
            "input-tokens" => self.input_tokens = Some(number(value)?),
            "output-tokens" => self.output_tokens = Some(number(value)?),
            "cached-tokens" => self.cached_tokens = number(value)?,
            "cache-write-tokens" => self.cache_write_tokens = number(value)?,
            "reasoning-tokens" => self.reasoning_tokens = number(value)?,
            "chunks" => self.chunks = Some(count(value)?),
            "chunk-delay-ms" => self.chunk_delay = millis(value)?,
            "status" => self.status = status(value)?,
            "retry-after" => self.retry_after_seconds = Some(number(value)?),
            "break-after" => self.break_after = Some(break_after(value)?),
            "usage" => self.usage = Some(reported(value)?),
            "garbage" => self.garbage = garbage(value)?,
            "split" => self.split = Some(count(value)?),
            "hang" => self.hang = hang(value)?,
            "endless" => self.endless = yes_or_no(value)?,
            _ => return Err("no such option"),
        }
        Ok(())
    }
}

fn number(value: &str) -> Result<u64, &'static str> {
    value.parse().map_err(|_| "a whole number")
}

/// At most ten minutes, so that a wrong number does not hang a test.
fn millis(value: &str) -> Result<Duration, &'static str> {
    const EXPECTED: &str = "milliseconds, at most 600000";
    match value.parse() {
        Ok(millis) if millis <= 600_000 => Ok(Duration::from_millis(millis)),
        _ => Err(EXPECTED),
    }
}

fn count(value: &str) -> Result<NonZeroUsize, &'static str> {
    const EXPECTED: &str = "a whole number from 1 to 1000000";
    match value.parse::<NonZeroUsize>() {
        Ok(count) if count.get() <= 1_000_000 => Ok(count),
        _ => Err(EXPECTED),
    }
}

fn status(value: &str) -> Result<Option<StatusCode>, &'static str> {
    const EXPECTED: &str = "200, or a status from 300 to 599";
    match value.parse::<u16>() {
        Ok(200) => Ok(None),
        Ok(code @ 300..=599) => StatusCode::from_u16(code).map(Some).map_err(|_| EXPECTED),
        _ => Err(EXPECTED),
    }
}

fn break_after(value: &str) -> Result<BreakAfter, &'static str> {
    if value == "nothing" {
        return Ok(BreakAfter::Nothing);
    }
    value.parse().map(BreakAfter::Chunks).map_err(|_| "`nothing`, or a number of chunks")
}

fn reported(value: &str) -> Result<Reported, &'static str> {
    match value {
        "none" => Ok(Reported::None),
        "final" => Ok(Reported::Final),
        "cumulative" => Ok(Reported::Cumulative),
        _ => Err("`none`, `final` or `cumulative`"),
    }
}

fn garbage(value: &str) -> Result<Option<Garbage>, &'static str> {
    match value {
        "true" | "1" => Ok(Some(Garbage::Bytes)),
        "html" => Ok(Some(Garbage::Html)),
        "false" | "0" => Ok(None),
        _ => Err("`true`, `html` or `false`"),
    }
}

fn hang(value: &str) -> Result<Option<Hang>, &'static str> {
    match value {
        "true" | "1" | "head" => Ok(Some(Hang::Head)),
        "body" => Ok(Some(Hang::Body)),
        "false" | "0" => Ok(None),
        _ => Err("`head`, `body` or `false`"),
    }
}

fn yes_or_no(value: &str) -> Result<bool, &'static str> {
    match value {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err("`true` or `false`"),
    }
}
