//! The issuer's published key set over HTTP: one immutable snapshot, one task that replaces it.
//!
//! Readers load the snapshot and never wait for a lock. One task makes all fetches, so that only one
//! runs at a time and a caller that leaves does not abort it. A token with an unknown `kid` asks the
//! task for a fetch and waits for it. Two bounds limit such fetches: a cooldown, counted from the
//! beginning of the attempt, and for each `kid` a bounded cache of misses.

mod fetch;
mod refresh;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use arc_swap::{ArcSwapOption, Guard};
use quick_cache::sync::Cache;
use tokio::{
    sync::{Notify, watch},
    task::AbortHandle,
    time::Instant,
};

use self::{
    fetch::Fetch,
    refresh::{Attempts, Refresher},
};
use super::{algorithm::Algorithm, keys::KeySet};

/// How many unknown key ids are remembered.
const MISSES_MAX: usize = 1024;

/// Where a key set is published, and how long it is used.
#[derive(Clone, Debug)]
pub struct JwksOptions {
    /// Where the issuer publishes its keys. An `https` address.
    pub url: String,
    /// `false`: whether the address may be plain `http`, for a development issuer on this machine.
    pub allow_http: bool,
    /// 1 min: fetch no more often than this, whatever `Cache-Control` says.
    pub refresh_min: Duration,
    /// 60 min: fetch at least this often, whatever `Cache-Control` says.
    pub refresh_max: Duration,
    /// 10 min: the refresh interval if `Cache-Control` gives none.
    pub refresh_default: Duration,
    /// 30 s: the least time between two fetches for unknown key ids, counted from the attempt.
    pub cooldown: Duration,
    /// 60 s: how long a key id that was missing from a fetched set causes no further fetch.
    pub miss_ttl: Duration,
    /// 1 h: how long keys are used after their refresh was due. Then every request gets 503.
    pub stale_max: Duration,
    /// 5 s: the time limit of one fetch.
    pub timeout: Duration,
}

impl JwksOptions {
    /// The defaults, for this address.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            allow_http: false,
            refresh_min: Duration::from_mins(1),
            refresh_max: Duration::from_hours(1),
            refresh_default: Duration::from_mins(10),
            cooldown: Duration::from_secs(30),
            miss_ttl: Duration::from_mins(1),
            stale_max: Duration::from_hours(1),
            timeout: Duration::from_secs(5),
        }
    }
}

/// Why a key set cannot be fetched with these options.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JwksOptionsError {
    /// The address is not an absolute URI.
    #[error("the address of the key set is not an absolute URI: {0}")]
    Address(String),
    /// The address is not `https`. Anyone between issuer and gateway could replace keys over plain HTTP.
    #[error("the address of the key set is not https: {0}")]
    Insecure(String),
    /// The task that fetches needs a tokio runtime.
    #[error("a key set can only be fetched inside a tokio runtime")]
    NoRuntime,
}

/// The keys of one successful fetch.
#[derive(Debug)]
pub(super) struct Snapshot {
    pub(super) keys: KeySet,
    ends: Instant,
}

/// The published set, as readers see it. Dropping it ends its task.
#[derive(Debug)]
pub(super) struct Jwks {
    shared: Arc<Shared>,
    attempts: watch::Receiver<Attempts>,
    cooldown: Duration,
    miss_ttl: Duration,
    task: AbortHandle,
}

#[derive(Debug)]
struct Shared {
    snapshot: ArcSwapOption<Snapshot>,
    /// Unknown key ids, with the time until which they cause no fetch.
    misses: Cache<Box<str>, Instant>,
    wanted: Notify,
}

/// A fetch that is running or about to start.
#[derive(Debug)]
pub(super) struct Awaited {
    attempts: watch::Receiver<Attempts>,
    past: u64,
    asked: bool,
}

impl Awaited {
    /// Resolves when the fetch has ended. `true` if it began after the request for it and succeeded: a
    /// key that is missing from its set does not exist.
    pub(super) async fn ended(mut self) -> bool {
        let ended = self.attempts.wait_for(|attempts| attempts.ended > self.past).await;
        // `Err`: the task is gone, which happens only when the runtime shuts down.
        ended.is_ok_and(|attempts| self.asked && attempts.succeeded)
    }
}

impl Jwks {
    #[cfg(feature = "http")]
    pub(super) fn over_http(
        options: JwksOptions,
        client: crate::client::HttpClient,
        allowed: Vec<Algorithm>,
    ) -> Result<Self, JwksOptionsError> {
        let uri: http::Uri =
            options.url.parse().map_err(|_| JwksOptionsError::Address(options.url.clone()))?;
        match uri.scheme_str() {
            Some("https") => {}
            Some("http") if options.allow_http => {}
            Some(_) => return Err(JwksOptionsError::Insecure(options.url)),
            None => return Err(JwksOptionsError::Address(options.url)),
        }
        let fetch = fetch::HttpFetch::new(uri, client, options.timeout);
        Self::start(options, fetch, allowed)
    }

    fn start(
        options: JwksOptions,
        fetch: impl Fetch,
        allowed: Vec<Algorithm>,
    ) -> Result<Self, JwksOptionsError> {
        let runtime =
            tokio::runtime::Handle::try_current().map_err(|_| JwksOptionsError::NoRuntime)?;
        let shared = Arc::new(Shared {
            snapshot: ArcSwapOption::empty(),
            misses: Cache::new(MISSES_MAX),
            wanted: Notify::new(),
        });
        let (cooldown, miss_ttl) = (options.cooldown, options.miss_ttl);
        let (refresher, attempts) = Refresher::new(Arc::clone(&shared), options, fetch, allowed);
        let task = runtime.spawn(refresher.run()).abort_handle();
        Ok(Self { shared, attempts, cooldown, miss_ttl, task })
    }

    /// The keys. `None` if none were ever fetched, or if they are too old.
    pub(super) fn current(&self) -> Option<Guard<Option<Arc<Snapshot>>>> {
        let snapshot = self.shared.snapshot.load();
        snapshot.as_ref().is_some_and(|snapshot| Instant::now() < snapshot.ends).then_some(snapshot)
    }

    /// A fetch that may bring this key, if one is allowed now. If a fetch is already running, the caller
    /// waits for it first. If that fetch does not bring the key, the caller may ask for one more.
    pub(super) fn want(&self, kid: &str) -> Option<Awaited> {
        let now = Instant::now();
        if self.shared.misses.get(kid).is_some_and(|until| now < until) {
            return None;
        }
        let attempts = self.attempts.borrow().clone();
        let asked = !attempts.running;
        if asked {
            if attempts.cooling(now, self.cooldown) {
                return None;
            }
            self.shared.wanted.notify_one();
        }
        Some(Awaited { attempts: self.attempts.clone(), past: attempts.ended, asked })
    }

    /// Records that a fetch for this key id did not bring its key.
    pub(super) fn missed(&self, kid: &str) {
        self.shared.misses.insert(kid.into(), after(Instant::now(), self.miss_ttl));
    }

    /// The running fetch, if there is one.
    pub(super) fn running(&self) -> Option<Awaited> {
        let attempts = self.attempts.borrow().clone();
        attempts.running.then(|| Awaited {
            attempts: self.attempts.clone(),
            past: attempts.ended,
            asked: false,
        })
    }

    /// Resolves when the first fetch has ended, with or without success.
    pub(super) async fn first(&self) {
        Awaited { attempts: self.attempts.clone(), past: 0, asked: false }.ended().await;
    }
}

/// A deadline. If it cannot be represented, it has passed already, so that limits fail closed.
fn after(at: Instant, wait: Duration) -> Instant {
    at.checked_add(wait).unwrap_or(at)
}

impl Drop for Jwks {
    fn drop(&mut self) {
        self.task.abort();
    }
}
