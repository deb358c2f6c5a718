//! The queue of holds of one organization, and the holds that wait for others to be released.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use tokio::{
    sync::{Notify, oneshot},
    time::{Instant, sleep_until},
};

use super::{Asked, Batches, Coalescer, Options, Shared, shared, unclaimed::Unclaimed};
use crate::{
    context::Tenant,
    domain::{
        hold::{Heartbeat, HoldRequest, HoldVerdict},
        ids::{OrganizationId, RequestId},
    },
    store::{Ledger, StoreError, StoreFuture},
};

/// The queued holds of one organization. Its driver task runs as long as this exists.
pub(super) struct Holds<B: Batches> {
    /// Not asked for yet.
    pending: VecDeque<Waiter<B>>,
    /// Refused only because of other calls' holds. The longest waiting comes first.
    waiting: VecDeque<Waiter<B>>,
    /// Index in `waiting` of the hold to ask for next. At its length, none is.
    next: usize,
    /// In a full round all waiting holds are asked for. Otherwise the round ends with the first batch without a grant.
    all: bool,
    /// When the next full round starts.
    ask_again: Option<Instant>,
    /// Credits or tokens were released since the last statement was sent.
    released: bool,
    wake: Arc<Notify>,
}

struct Waiter<B: Batches> {
    asked: Asked,
    answer: oneshot::Sender<Answer<B>>,
    until: Instant,
    /// The last verdict, if the hold has been asked for.
    last: Option<HoldVerdict>,
}

/// A verdict, and for a granted hold the guard that gives it back if the caller has left.
type Answer<B> = (Result<HoldVerdict, StoreError>, Option<Unclaimed<B>>);

enum Step<B: Batches> {
    /// Ask for these holds. The first `waiters` of them have waited already.
    Ask {
        batch: Vec<Waiter<B>>,
        waiters: usize,
    },
    Sleep {
        until: Instant,
        wake: Arc<Notify>,
    },
    Done,
}

impl<B: Batches> Default for Holds<B> {
    fn default() -> Self {
        Self {
            pending: VecDeque::new(),
            waiting: VecDeque::new(),
            next: 0,
            all: false,
            ask_again: None,
            released: false,
            wake: Arc::default(),
        }
    }
}

impl<B: Batches> Holds<B> {
    /// Credits or tokens were released: ask for the waiting holds again, the longest waiting first.
    pub(super) fn release(&mut self) {
        if !self.waiting.is_empty() {
            self.released = true;
            self.wake.notify_one();
        }
    }

    fn step(&mut self, now: Instant, options: &Options) -> Step<B> {
        self.sort_out(now);
        if std::mem::take(&mut self.released) {
            self.next = 0;
        }
        if self.ask_again.is_some_and(|at| at <= now) {
            (self.next, self.all) = (0, true);
            self.ask_again = now.checked_add(options.ask_again);
        }
        let room = options.batch_max.max(1);
        let end = self.next.saturating_add(room).min(self.waiting.len());
        let mut batch: Vec<_> = self.waiting.drain(self.next.min(end)..end).collect();
        let waiters = batch.len();
        let fresh = room.saturating_sub(waiters).min(self.pending.len());
        batch.extend(self.pending.drain(..fresh));
        if !batch.is_empty() {
            return Step::Ask { batch, waiters };
        }
        self.all = false;
        let Some(first) = self.waiting.iter().map(|waiter| waiter.until).min() else {
            return Step::Done;
        };
        let until = self.ask_again.map_or(first, |at| at.min(first));
        Step::Sleep { until, wake: Arc::clone(&self.wake) }
    }

    /// Drops holds whose caller has left. Answers holds whose wait is over with their last verdict.
    fn sort_out(&mut self, now: Instant) {
        self.pending.retain(|waiter| !waiter.answer.is_closed());
        let (mut next, mut kept) = (0, VecDeque::with_capacity(self.waiting.len()));
        for (place, waiter) in std::mem::take(&mut self.waiting).into_iter().enumerate() {
            if waiter.answer.is_closed() {
                continue;
            }
            if waiter.until <= now {
                let last = waiter.last.unwrap_or(HoldVerdict::Conflict);
                waiter.answer.send((Ok(last), None)).ok();
                continue;
            }
            kept.push_back(waiter);
            if place < self.next {
                next = kept.len();
            }
        }
        (self.waiting, self.next) = (kept, next);
    }

    /// Puts a refused hold back: into its old place if it has waited before, else behind the others.
    fn wait(&mut self, waiter: Waiter<B>, has_waited: bool, options: &Options) {
        if has_waited {
            self.waiting.insert(self.next.min(self.waiting.len()), waiter);
            self.next = self.next.saturating_add(1);
            return;
        }
        // If this round is over, the new hold must not extend it: it has just been asked for.
        let all_asked = self.next >= self.waiting.len();
        self.waiting.push_back(waiter);
        if all_asked {
            self.next = self.waiting.len();
        }
        if self.ask_again.is_none() {
            self.ask_again = Instant::now().checked_add(options.ask_again);
        }
    }
}

impl<B: Batches> Ledger for Coalescer<B> {
    fn hold<'a>(
        &'a self,
        tenant: &'a Tenant,
        request: HoldRequest,
    ) -> StoreFuture<'a, HoldVerdict> {
        Box::pin(async move {
            let (answer, waiting) = oneshot::channel();
            let asked = Asked { tenant: tenant.clone(), request };
            self.0.queue_hold(tenant.organization_id(), asked, answer);
            let Ok((verdict, unclaimed)) = waiting.await else {
                return Err(StoreError::Unavailable(
                    "the hold task ended without an answer".into(),
                ));
            };
            if let (Ok(_), Some(unclaimed)) = (&verdict, unclaimed) {
                unclaimed.claimed();
            }
            verdict
        })
    }

    fn renew<'a>(
        &'a self,
        organization: OrganizationId,
        heartbeats: &'a [Heartbeat],
        ttl: Duration,
    ) -> StoreFuture<'a, Vec<RequestId>> {
        self.0.batches.renew_all(organization, heartbeats, ttl)
    }
}

impl<B: Batches> Shared<B> {
    fn queue_hold(
        self: &Arc<Self>,
        organization: OrganizationId,
        asked: Asked,
        answer: oneshot::Sender<Answer<B>>,
    ) {
        let now = Instant::now();
        let until = now.checked_add(self.options.wait_max).unwrap_or(now);
        let idle = {
            let mut shard = self.shard(organization);
            let idle = !shard.holds.contains_key(&organization);
            let holds = shard.holds.entry(organization).or_default();
            holds.pending.push_back(Waiter { asked, answer, until, last: None });
            holds.wake.notify_one();
            idle
        };
        if idle {
            let shared = Arc::clone(self);
            self.tasks.spawn(async move { shared.ask_for_holds(organization).await });
        }
    }

    /// Credits or tokens of this organization were released: its waiting holds may be asked for again.
    pub(super) fn released(&self, organization: OrganizationId) {
        if let Some(holds) = self.shard(organization).holds.get_mut(&organization) {
            holds.release();
        }
    }

    /// Asks for holds until none is queued and none waits.
    async fn ask_for_holds(self: Arc<Self>, organization: OrganizationId) {
        loop {
            let step = {
                let mut shard = self.shard(organization);
                let Some(holds) = shard.holds.get_mut(&organization) else { return };
                let step = holds.step(Instant::now(), &self.options);
                if matches!(step, Step::Done) {
                    shard.holds.remove(&organization);
                }
                step
            };
            match step {
                Step::Ask { batch, waiters } => self.ask(organization, batch, waiters).await,
                Step::Sleep { until, wake } => {
                    tokio::select! {
                        () = wake.notified() => {}
                        () = sleep_until(until) => {}
                    }
                }
                Step::Done => return,
            }
        }
    }

    async fn ask(
        self: &Arc<Self>,
        organization: OrganizationId,
        batch: Vec<Waiter<B>>,
        waiters: usize,
    ) {
        let asked: Vec<_> = batch.iter().map(|waiter| waiter.asked.clone()).collect();
        let count = u32::try_from(asked.len()).unwrap_or(u32::MAX);
        metrics::histogram!("tollgate_hold_batch_calls").record(f64::from(count));
        match self.batches.hold_all(organization, &asked).await {
            Ok(verdicts) => self.told(organization, batch, waiters, verdicts),
            // One hold may have caused the refusal. Asked for one by one, the others still succeed.
            Err(StoreError::Refused(_)) if asked.len() > 1 => {
                for waiter in batch {
                    let one = std::slice::from_ref(&waiter.asked);
                    match self.batches.hold_all(organization, one).await {
                        Ok(verdicts) => self.told(organization, vec![waiter], 0, verdicts),
                        Err(error) => self.failed(organization, vec![waiter], &error),
                    }
                }
            }
            Err(error) => self.failed(organization, batch, &error),
        }
    }

    fn told(
        self: &Arc<Self>,
        organization: OrganizationId,
        batch: Vec<Waiter<B>>,
        waiters: usize,
        verdicts: Vec<HoldVerdict>,
    ) {
        let (now, mut granted) = (Instant::now(), false);
        let mut told = Vec::with_capacity(batch.len());
        {
            let mut shard = self.shard(organization);
            // The queue of this driver, which exists as long as the driver runs.
            let holds = shard.holds.entry(organization).or_default();
            for (place, (mut waiter, verdict)) in batch.into_iter().zip(verdicts).enumerate() {
                let has_waited = place < waiters;
                granted |= verdict == HoldVerdict::Granted;
                let room = has_waited || holds.waiting.len() < self.options.waiting_max;
                if verdict.may_wait() && waiter.until > now && room {
                    waiter.last = Some(verdict);
                    holds.wait(waiter, has_waited, &self.options);
                } else {
                    told.push((waiter, verdict));
                }
            }
            // If none of this batch was granted, the rest are not asked for until the next release or full round.
            if !granted && !holds.all {
                holds.next = holds.waiting.len();
            }
        }
        let mut left = Vec::new();
        for (waiter, verdict) in told {
            let call = waiter.asked.request.request_id;
            let unclaimed = (verdict == HoldVerdict::Granted)
                .then(|| Unclaimed::new(self, organization, vec![call]));
            // If the caller has left, `send` returns the answer.
            if let Err((_, Some(unclaimed))) = waiter.answer.send((Ok(verdict), unclaimed)) {
                unclaimed.claimed();
                left.push(call);
            }
        }
        // One statement gives all of them back: one each would wait for the same balance, each on a connection.
        drop(Unclaimed::new(self, organization, left));
    }

    fn failed(
        self: &Arc<Self>,
        organization: OrganizationId,
        batch: Vec<Waiter<B>>,
        error: &StoreError,
    ) {
        if error.is_transient() {
            // The store may have granted these holds before it failed. One statement gives them all back, to spare it.
            let calls = batch.iter().map(|waiter| waiter.asked.request.request_id).collect();
            drop(Unclaimed::new(self, organization, calls));
        }
        for waiter in batch {
            waiter.answer.send((Err(shared(error)), None)).ok();
        }
    }
}
