//! Writes the finishes of calls. A call takes a slot before the provider is called, so that its end never has to wait
//! for room and is never lost for lack of it.
//!
//! Each organization's finishes wait for themselves only. Those of one organization that cannot be written keep no slot
//! and no turn from those of others: see [`Slots`].

use std::{fmt, future::Future, pin::pin, sync::Arc, time::Duration};

use tokio::{
    runtime::Handle,
    sync::oneshot,
    time::{Instant, sleep, sleep_until, timeout, timeout_at},
};
use tokio_util::{
    sync::CancellationToken,
    task::{TaskTracker, task_tracker::TaskTrackerToken},
};

use super::{
    heartbeats::Beating,
    slots::{Full, Held, Slots},
};
use crate::{
    context::{Call, Tenant},
    domain::{
        finish::{Ending, Finish, Finished},
        ids::OrganizationId,
    },
    store::{Journal, StoreError},
};

/// Writes the finishes of calls to a [`Journal`], and retries each until it is written. Cheap to clone.
///
/// The number of slots is also the limit of calls in flight. One organization gets at most three quarters of them. If
/// the process dies before a finish is written, the hold expires in the store.
#[derive(Clone)]
pub struct Finisher(Arc<Inner>);

struct Inner {
    journal: Box<dyn Journal>,
    slots: Arc<Slots>,
    tasks: TaskTracker,
    /// Cancelled when answers are no longer drained for clients that have left.
    cutting: CancellationToken,
    runtime: Handle,
}

/// A slot for the finish of one call. Dropping it unused frees it.
pub(crate) struct Slot {
    held: Held,
    finisher: Finisher,
    /// The finisher does not stop while the call is open.
    _open: TaskTrackerToken,
}

/// The end of a call, as it is to be written.
pub(super) struct Job {
    pub(super) call: Call,
    pub(super) tenant: Tenant,
    pub(super) finish: Finish,
    /// How long the end of the answer waits for the finish.
    pub(super) wait: Duration,
    /// Heartbeats include the call until this is dropped.
    pub(super) beating: Option<Beating>,
}

impl Finisher {
    const RETRY_MIN: Duration = Duration::from_millis(50);
    const RETRY_MAX: Duration = Duration::from_secs(2);
    /// How long the end of an answer waits, beyond its usual time, for an attempt that has begun: the attempt may write
    /// that the answer was complete. Longer than a wait for a lock behind another batch.
    const ATTEMPT_WAIT: Duration = Duration::from_secs(5);

    /// A finisher with so many slots for calls in flight, which writes to `journal` on the current runtime.
    ///
    /// # Panics
    /// Outside a Tokio runtime.
    pub fn new(journal: impl Journal, slots: usize) -> Self {
        Self(Arc::new(Inner {
            journal: Box::new(journal),
            slots: Slots::new(slots),
            tasks: TaskTracker::new(),
            cutting: CancellationToken::new(),
            runtime: Handle::current(),
        }))
    }

    /// Waits until every open call has ended and every finish is written, then stops. From now on, no slots are given
    /// out. This may take as long as the layer's drain limit, and as long as the journal is unavailable;
    /// [`close_within`](Self::close_within) is bounded.
    pub async fn close(&self) {
        self.0.slots.close();
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }

    /// As [`close`](Self::close), within `limit`. Returns whether every finish is written; the holds of the others are
    /// left to expire.
    ///
    /// Answers that are being drained get half of the time. Then they are cut, and their calls end with what was seen.
    /// The other half is left to write these finishes: a process that is killed while it still drains would charge
    /// nothing at all.
    pub async fn close_within(&self, limit: Duration) -> bool {
        let for_drains = limit.checked_div(2).unwrap_or_default();
        if timeout(for_drains, self.close()).await.is_ok() {
            return true;
        }
        self.0.cutting.cancel();
        timeout(limit.saturating_sub(for_drains), self.close()).await.is_ok()
    }

    /// A slot for a call of this organization. If there is none, the reason is logged.
    pub(crate) fn slot(&self, organization: Option<OrganizationId>) -> Option<Slot> {
        let full = match self.0.slots.take(organization) {
            Ok(held) => {
                let (finisher, open) = (self.clone(), self.0.tasks.token());
                return Some(Slot { held, finisher, _open: open });
            }
            Err(full) => full,
        };
        let organization_id = organization.map(tracing::field::display);
        match full {
            Full::Closed => {
                tracing::warn!(organization_id, "the gateway is stopping; refusing a call");
            }
            Full::All => tracing::warn!(
                organization_id,
                "as many calls are open as there may be; refusing a call: raise server.calls_in_flight_max"
            ),
            Full::Share => tracing::warn!(
                organization_id,
                "one organization has its share of the open calls; refusing a call: limit its calls in flight, or raise server.calls_in_flight_max"
            ),
            Full::Unwritten => tracing::warn!(
                organization_id,
                "too many ended calls of one organization are not written yet; refusing a call: look at its database, its locks and its move"
            ),
        }
        None
    }

    /// Drains a call whose client has left, for at most `limit`. [`close`](Self::close) waits for the drain to end,
    /// [`close_within`](Self::close_within) for half of its time.
    pub(crate) fn carry_on<F>(&self, limit: Duration, work: F)
    where
        F: Future + Send + 'static,
    {
        let cutting = self.0.cutting.clone();
        let bounded = async move {
            // After the limit the work is dropped, and its guard ends the call with what was seen.
            drop(timeout(limit, cutting.run_until_cancelled_owned(work)).await);
        };
        drop(self.0.tasks.spawn_on(bounded, &self.0.runtime));
    }
}

impl Slot {
    /// Writes a finish. The receiver resolves to `true` when the finish is durable, and to `false` if the answer must be
    /// withheld; then the finish says so. The receiver may be dropped.
    pub(super) fn finish(self, job: Job) -> oneshot::Receiver<bool> {
        let Self { held, finisher, _open } = self;
        let (tell, told) = oneshot::channel();
        let Job { call, tenant, finish, wait, beating } = job;
        let begun = Instant::now();
        let until = begun.checked_add(wait).unwrap_or(begun);
        let writing = Writing {
            call,
            tenant,
            finish: Arc::new(finish),
            tell: Some(tell),
            begun,
            until,
            held,
            noted: false,
            _beating: beating,
        };
        let inner = Arc::clone(&finisher.0);
        let write = async move { writing.write(&*inner.journal).await };
        drop(finisher.0.tasks.spawn_on(write, &finisher.0.runtime));
        told
    }
}

/// A finish on its way.
///
/// Only this decides whether the answer is withheld, and never while an attempt may be writing that it was complete.
struct Writing {
    call: Call,
    tenant: Tenant,
    finish: Arc<Finish>,
    /// Where the end of the answer waits; `None` once it was told.
    tell: Option<oneshot::Sender<bool>>,
    begun: Instant,
    /// When the answer is withheld.
    until: Instant,
    held: Held,
    /// The finish says that the client did not get the answer.
    noted: bool,
    _beating: Option<Beating>,
}

impl Writing {
    async fn write(mut self, journal: &dyn Journal) {
        let mut pause = Finisher::RETRY_MIN;
        let mut failed = false;
        loop {
            let turn = self.held.turn();
            let turn = self.unless_late(turn).await;
            let finish = Arc::clone(&self.finish);
            let written = self.attempt(journal, &finish).await;
            drop(turn);
            match written {
                Ok(finished) => return self.written(&finish, &finished),
                Err(error) if error.is_transient() => {
                    metrics::counter!("tollgate_finish_retries_total").increment(1);
                    let request_id = self.finish.request_id;
                    if failed {
                        tracing::debug!(%request_id, %error, "a finish could not be written yet; retrying");
                    } else {
                        tracing::warn!(%request_id, %error, "a finish could not be written yet; retrying until it is");
                    }
                    failed = true;
                    // Retries keep no slot from other organizations.
                    self.held.set_aside();
                    self.unless_late(sleep(pause)).await;
                    pause = pause.saturating_mul(2).min(Finisher::RETRY_MAX);
                    self.note_left();
                }
                Err(error) => {
                    metrics::counter!("tollgate_finish_failures_total").increment(1);
                    tracing::error!(
                        request_id = %self.finish.request_id,
                        organization_id = %self.tenant.organization_id(),
                        %error,
                        "a finish was refused by the store; its hold is left to expire"
                    );
                    return;
                }
            }
        }
    }

    /// Waits for something during which nothing is being written. If the answer's time ends meanwhile, withholds the
    /// answer and waits on.
    async fn unless_late<F: Future>(&mut self, wait: F) -> F::Output {
        let mut wait = pin!(wait);
        if self.tell.is_some() {
            tokio::select! {
                biased;
                done = &mut wait => return done,
                () = sleep_until(self.until) => self.withhold(),
            }
        }
        wait.await
    }

    /// Sends the finish to the journal once. The answer waits for an attempt that has begun, unless the journal does not
    /// answer at all.
    async fn attempt(
        &mut self,
        journal: &dyn Journal,
        finish: &Arc<Finish>,
    ) -> Result<Finished, StoreError> {
        let tenant = self.tenant.clone();
        let mut attempt = journal.finish(&tenant, finish);
        if self.tell.is_some() {
            let last = self.until.checked_add(Finisher::ATTEMPT_WAIT).unwrap_or(self.until);
            match timeout_at(last, &mut attempt).await {
                Ok(written) => return written,
                Err(_) => self.withhold(),
            }
        }
        attempt.await
    }

    /// The client gets a refusal, or an error event, instead of the end of its answer.
    fn withhold(&mut self) {
        let Some(tell) = self.tell.take() else { return };
        self.held.set_aside();
        // If nobody waits any more, the client has left.
        if tell.send(false).is_err() {
            return self.note(Ending::Abandoned, None);
        }
        metrics::counter!("tollgate_answers_withheld_total").increment(1);
        tracing::warn!(
            request_id = %self.finish.request_id,
            organization_id = %self.tenant.organization_id(),
            "an answer is withheld because its finish could not be written in time; the finish will say so"
        );
        // The head of a stream is out already.
        let status = (!self.finish.stream).then_some(http::StatusCode::SERVICE_UNAVAILABLE);
        self.note(Ending::Failed, status.map(|status| status.as_u16()));
    }

    /// A client that has left while its finish was retried does not get its answer.
    fn note_left(&mut self) {
        let gone = self.tell.as_ref().is_some_and(oneshot::Sender::is_closed);
        if gone || self.call.client_left() {
            self.note(Ending::Abandoned, None);
        }
    }

    /// Changes what is written about a complete answer. Every other ending says already that the client did not get it.
    fn note(&mut self, ending: Ending, status: Option<u16>) {
        if self.finish.ending == Ending::Complete {
            self.noted = true;
            let finish = Arc::make_mut(&mut self.finish);
            finish.ending = ending;
            finish.status = status.unwrap_or(finish.status);
        }
    }

    fn written(mut self, finish: &Finish, finished: &Finished) {
        metrics::histogram!("tollgate_finish_seconds").record(self.begun.elapsed());
        if let Some(debt) = finished.newly_owed() {
            tracing::warn!(
                request_id = %finish.request_id,
                organization_id = %self.tenant.organization_id(),
                %debt,
                "the balance did not cover a settlement; the rest is owed"
            );
        }
        // The connection was lost during the attempt that wrote it, or the journal did not answer for too long.
        let complete = finish.ending == Ending::Complete || finished.replayed;
        if self.noted && self.tell.is_none() && complete {
            tracing::error!(
                request_id = %finish.request_id,
                organization_id = %self.tenant.organization_id(),
                "an answer was withheld, but its finish had been written before: the row may say that it was complete"
            );
        }
        // If the client has left, nobody receives this.
        if let Some(tell) = self.tell.take() {
            tell.send(true).ok();
        }
    }
}

impl fmt::Debug for Finisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Finisher").field("slots_free", &self.0.slots.free()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Slot")
    }
}
