//! The queue of finishes. A call takes its place before the provider is called, so that its end never has to wait for
//! room and is never lost for lack of it.

use std::{fmt, future::Future, sync::Arc, time::Duration};

use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::{
    runtime::Handle,
    sync::{mpsc, oneshot},
    time::{Instant, sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::heartbeats::Beating;
use crate::{
    context::Tenant,
    domain::finish::{Finish, Finished},
    store::Journal,
};

/// Writes the finishes of calls to a [`Journal`], and retries each until it is written. Cheap to clone.
///
/// The number of places is also the limit of calls in flight. If the process dies before a finish is written, the hold
/// expires in the store.
#[derive(Clone)]
pub struct Finisher {
    queue: mpsc::Sender<Job>,
    tasks: TaskTracker,
    closing: CancellationToken,
    /// Cancelled when answers are no longer drained for clients that have left.
    cutting: CancellationToken,
    runtime: Handle,
}

/// A place in the queue, for the finish of one call. Dropping it unused frees it.
pub(crate) struct Place(mpsc::OwnedPermit<Job>);

struct Job {
    tenant: Tenant,
    finish: Arc<Finish>,
    written: oneshot::Sender<Finished>,
    /// Heartbeats include the call until this is dropped.
    beating: Option<Beating>,
}

impl Finisher {
    /// How many finishes are written at once; the others wait in the queue. The number is high because a journal may
    /// write the finishes of one organization together.
    const WRITES_MAX: usize = 512;
    const RETRY_MIN: Duration = Duration::from_millis(50);
    const RETRY_MAX: Duration = Duration::from_secs(2);

    /// A queue of `places` in front of `journal`, written by a task on the current runtime.
    ///
    /// # Panics
    /// Outside a Tokio runtime, and if `places` is 0.
    pub fn new(journal: impl Journal, places: usize) -> Self {
        let (queue, jobs) = mpsc::channel(places);
        let (tasks, closing) = (TaskTracker::new(), CancellationToken::new());
        let runtime = Handle::current();
        tasks.spawn_on(write_all(journal, jobs, closing.clone()), &runtime);
        Self { queue, tasks, closing, cutting: CancellationToken::new(), runtime }
    }

    /// Waits until every open call has ended and every finish is written, then stops. From now on, no places are given
    /// out. This may take as long as the layer's drain limit, and as long as the journal is unavailable;
    /// [`close_within`](Self::close_within) is bounded.
    pub async fn close(&self) {
        self.closing.cancel();
        self.tasks.close();
        self.tasks.wait().await;
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
        self.cutting.cancel();
        timeout(limit.saturating_sub(for_drains), self.close()).await.is_ok()
    }

    pub(crate) fn place(&self) -> Option<Place> {
        self.queue.clone().try_reserve_owned().ok().map(Place)
    }

    /// Drains a call whose client has left, for at most `limit`. [`close`](Self::close) waits for the drain to end,
    /// [`close_within`](Self::close_within) for half of its time.
    pub(crate) fn carry_on<F>(&self, limit: Duration, work: F)
    where
        F: Future + Send + 'static,
    {
        let cutting = self.cutting.clone();
        let bounded = async move {
            // After the limit the work is dropped, and its guard ends the call with what was seen.
            drop(timeout(limit, cutting.run_until_cancelled_owned(work)).await);
        };
        drop(self.tasks.spawn_on(bounded, &self.runtime));
    }
}

impl Place {
    /// Queues a finish. The receiver resolves when the finish is durable; it may be dropped.
    pub(super) fn finish(
        self,
        tenant: Tenant,
        finish: Arc<Finish>,
        beating: Option<Beating>,
    ) -> oneshot::Receiver<Finished> {
        let (written, waiting) = oneshot::channel();
        drop(self.0.send(Job { tenant, finish, written, beating }));
        waiting
    }
}

async fn write_all(
    journal: impl Journal,
    mut jobs: mpsc::Receiver<Job>,
    closing: CancellationToken,
) {
    let mut writes = FuturesUnordered::new();
    let mut open = true;
    loop {
        tokio::select! {
            biased;
            Some(()) = writes.next(), if !writes.is_empty() => {}
            job = jobs.recv(), if open && writes.len() < Finisher::WRITES_MAX => match job {
                Some(job) => writes.push(write(&journal, job)),
                None => open = false,
            },
            // After `close`, `recv` still returns the queued jobs, and waits for the places that are still taken.
            () = closing.cancelled(), if open && !jobs.is_closed() => jobs.close(),
            else => return,
        }
    }
}

async fn write(journal: &dyn Journal, job: Job) {
    let Job { tenant, finish, written, beating: _beating } = job;
    let begun = Instant::now();
    let mut pause = Finisher::RETRY_MIN;
    loop {
        match journal.finish(&tenant, &finish).await {
            Ok(finished) => {
                metrics::histogram!("tollgate_finish_seconds").record(begun.elapsed());
                log_debt(&tenant, &finish, &finished);
                // If the client has left, nobody receives this.
                written.send(finished).ok();
                return;
            }
            Err(error) if error.is_transient() => {
                metrics::counter!("tollgate_finish_retries_total").increment(1);
                tracing::warn!(request_id = %finish.request_id, %error, "a finish could not be written yet; retrying");
                sleep(pause).await;
                pause = pause.saturating_mul(2).min(Finisher::RETRY_MAX);
            }
            Err(error) => {
                metrics::counter!("tollgate_finish_failures_total").increment(1);
                tracing::error!(
                    request_id = %finish.request_id,
                    organization_id = %tenant.organization_id(),
                    %error,
                    "a finish was refused by the store; its hold is left to expire"
                );
                return;
            }
        }
    }
}

fn log_debt(tenant: &Tenant, finish: &Finish, finished: &Finished) {
    if let Some(debt) = finished.newly_owed() {
        tracing::warn!(
            request_id = %finish.request_id,
            organization_id = %tenant.organization_id(),
            %debt,
            "the balance did not cover a settlement; the rest is owed"
        );
    }
}

impl fmt::Debug for Finisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Finisher")
            .field("places_free", &self.queue.capacity())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Place")
    }
}
