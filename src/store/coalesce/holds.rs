//! The queue of holds of one organization, and those that wait their turn.

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

/// What is queued for one organization. Its driver runs as long as this is there.
pub(super) struct Holds<B: Batches> {
    /// Not asked for yet.
    pending: VecDeque<Waiter<B>>,
    /// Refused only because of what others hold; the longest waiting first.
    waiting: VecDeque<Waiter<B>>,
    /// Which of the waiting is asked for next; none, where it is their number.
    next: usize,
    /// All of them are asked for in turn, not only as long as some are granted.
    all: bool,
    /// When all of them are asked for again.
    ask_again: Option<Instant>,
    /// Something came back since the last statement was sent.
    released: bool,
    wake: Arc<Notify>,
}

struct Waiter<B: Batches> {
    asked: Asked,
    answer: oneshot::Sender<Answer<B>>,
    until: Instant,
    /// What it was told last, if it has been asked for.
    last: Option<HoldVerdict>,
}

/// A verdict, and what becomes of a hold that nobody takes.
type Answer<B> = (Result<HoldVerdict, StoreError>, Option<Unclaimed<B>>);

enum Step<B: Batches> {
    /// Ask for these; the first `waiters` of them have waited.
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
    /// Something came back: the longest waiting are asked for once more.
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

    /// Lets those go that nobody waits for, and those that have waited long enough.
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

    /// Goes on waiting, in its old place or behind the others.
    fn wait(&mut self, waiter: Waiter<B>, has_waited: bool, options: &Options) {
        if has_waited {
            self.waiting.insert(self.next.min(self.waiting.len()), waiter);
            self.next = self.next.saturating_add(1);
            return;
        }
        // Not asked for again in this turn: it has just been.
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
                return Err(StoreError::Unavailable("the hold was dropped on its way".into()));
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

    /// Those who wait for what others of this organization hold may be asked for again.
    pub(super) fn released(&self, organization: OrganizationId) {
        if let Some(holds) = self.shard(organization).holds.get_mut(&organization) {
            holds.release();
        }
    }

    /// Asks until nobody is queued and nobody waits.
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
            // One of them may be what the store does not take: the others must not suffer for it.
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
            // The driver's own queue: it is there as long as the driver runs.
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
            // Where nothing came back for the first of them, the others wait for everybody's turn.
            if !granted && !holds.all {
                holds.next = holds.waiting.len();
            }
        }
        for (waiter, verdict) in told {
            let call = waiter.asked.request.request_id;
            let unclaimed = (verdict == HoldVerdict::Granted)
                .then(|| Unclaimed::new(self, organization, vec![call]));
            // Where nobody waits, the answer comes back here and is dropped, with the hold.
            drop(waiter.answer.send((Ok(verdict), unclaimed)));
        }
    }

    fn failed(
        self: &Arc<Self>,
        organization: OrganizationId,
        batch: Vec<Waiter<B>>,
        error: &StoreError,
    ) {
        if error.is_transient() {
            // They may stand all the same. In one statement, because the store is in trouble.
            let calls = batch.iter().map(|waiter| waiter.asked.request.request_id).collect();
            drop(Unclaimed::new(self, organization, calls));
        }
        for waiter in batch {
            waiter.answer.send((Err(shared(error)), None)).ok();
        }
    }
}
