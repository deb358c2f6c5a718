//! The task that replaces the snapshot: when a refresh is due, and when a token has an unknown key id.

use std::{sync::Arc, time::Duration};

use tokio::{sync::watch, time::Instant};

use super::{
    JwksOptions, Shared, Snapshot, after,
    fetch::{Fetch, FetchError, Fetched},
};
use crate::tenant::{algorithm::Algorithm, keys::KeySet};

const RETRY_FIRST: Duration = Duration::from_secs(1);

/// The state of the fetches, as readers see it.
#[derive(Clone, Debug, Default)]
pub(super) struct Attempts {
    /// A fetch is running.
    pub(super) running: bool,
    /// How many fetches have ended.
    pub(super) ended: u64,
    /// Whether the last fetch that ended has succeeded.
    pub(super) succeeded: bool,
    /// When the last fetch for an unknown key id began. Scheduled fetches do not start the cooldown.
    /// Otherwise a key rotation right after one would go unnoticed until the cooldown is over.
    asked_at: Option<Instant>,
}

impl Attempts {
    /// Whether it is too early for another fetch for an unknown key id.
    pub(super) fn cooling(&self, now: Instant, cooldown: Duration) -> bool {
        self.asked_at.is_some_and(|at| now < after(at, cooldown))
    }
}

pub(super) struct Refresher<F> {
    shared: Arc<Shared>,
    options: JwksOptions,
    fetch: F,
    allowed: Vec<Algorithm>,
    attempts: watch::Sender<Attempts>,
}

impl<F: Fetch> Refresher<F> {
    pub(super) fn new(
        shared: Arc<Shared>,
        options: JwksOptions,
        fetch: F,
        allowed: Vec<Algorithm>,
    ) -> (Self, watch::Receiver<Attempts>) {
        // Running from the start: the first callers wait for the first fetch.
        let (attempts, receiver) =
            watch::channel(Attempts { running: true, ..Attempts::default() });
        (Self { shared, options, fetch, allowed, attempts }, receiver)
    }

    pub(super) async fn run(self) {
        let mut asked = false;
        let mut failures: u32 = 0;
        loop {
            let began = Instant::now();
            self.attempts.send_modify(|attempts| {
                attempts.running = true;
                if asked {
                    attempts.asked_at = Some(began);
                }
            });
            let outcome =
                self.fetch.fetch().await.and_then(|fetched| self.publish(&fetched, began));
            let succeeded = outcome.is_ok();
            let wait = match outcome {
                Ok(wait) => {
                    failures = 0;
                    wait
                }
                Err(error) => {
                    failures = failures.saturating_add(1);
                    self.failed(&error);
                    self.retry_in(failures)
                }
            };
            metrics::counter!("tollgate_jwks_fetches_total", "outcome" => if succeeded { "ok" } else { "failed" })
                .increment(1);
            self.attempts.send_modify(|attempts| {
                attempts.running = false;
                attempts.ended = attempts.ended.saturating_add(1);
                attempts.succeeded = succeeded;
            });
            asked = self.pause(after(began, wait)).await;
        }
    }

    /// Publishes the new set, and returns when the next fetch is due.
    fn publish(&self, fetched: &Fetched, began: Instant) -> Result<Duration, FetchError> {
        let earlier = self.shared.snapshot.load();
        let mut keys = KeySet::parse(&fetched.document, &self.allowed)?;
        if let Some(earlier) = earlier.as_ref() {
            keys = keys.sharing(&earlier.keys);
        }
        if keys.len() == 0 {
            // An empty set is still valid. If it counted as a failed fetch, the old keys would stay in
            // use although the issuer has withdrawn all of them.
            tracing::error!("the issuer's key set has no usable key: every token will be denied");
        }
        metrics::gauge!("tollgate_jwks_keys").set(u32::try_from(keys.len()).unwrap_or(u32::MAX));
        let wait = self.due_in(fetched.max_age);
        let ends = after(after(began, wait), self.options.stale_max);
        self.shared.snapshot.store(Some(Arc::new(Snapshot { keys, ends })));
        Ok(wait)
    }

    fn due_in(&self, max_age: Option<Duration>) -> Duration {
        let options = &self.options;
        let wait = max_age
            .unwrap_or(options.refresh_default)
            .min(options.refresh_max)
            .max(options.refresh_min);
        // Up to a tenth earlier, at random, so that many gateways do not fetch in the same second.
        let mut random = [0];
        match aws_lc_rs::rand::fill(&mut random) {
            Ok(()) => wait.saturating_sub(
                wait.checked_div(2550).unwrap_or_default().saturating_mul(u32::from(random[0])),
            ),
            Err(_) => wait,
        }
    }

    fn retry_in(&self, failures: u32) -> Duration {
        let doubled = 2u32.saturating_pow(failures.saturating_sub(1));
        RETRY_FIRST.saturating_mul(doubled).min(self.options.cooldown)
    }

    fn failed(&self, error: &FetchError) {
        let source = std::error::Error::source(error).map(tracing::field::display);
        if self.shared.snapshot.load().is_some() {
            tracing::warn!(%error, source, "the issuer's key set could not be fetched: the previous one stays in use");
        } else {
            tracing::error!(%error, source, "the issuer's key set could not be fetched: every token is refused");
        }
    }

    /// Waits until the next fetch is due. `true` if an unknown key id asks for a fetch earlier.
    async fn pause(&self, due: Instant) -> bool {
        loop {
            tokio::select! {
                () = tokio::time::sleep_until(due) => return false,
                () = self.shared.wanted.notified() => {
                    if !self.attempts.borrow().cooling(Instant::now(), self.options.cooldown) {
                        return true;
                    }
                }
            }
        }
    }
}
