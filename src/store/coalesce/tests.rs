use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use futures_util::{future::join_all, poll};
use tokio::sync::Semaphore;

use super::*;
use crate::{
    domain::{
        credits::Credits,
        endpoint::Endpoint,
        finish::{Ending, Record, Settlement},
        ids::PriceId,
        usage::Usage,
    },
    store::{Journal, Ledger, MemoryStore},
    testing,
};

/// The memory store, with a gate in front and a count of the statements.
struct Gated {
    store: MemoryStore,
    gate: Semaphore,
    holds: Mutex<Vec<usize>>,
    finishes: Mutex<Vec<usize>>,
    /// How many of the next statements fail. With `refusing`, only statements with more calls than that, as refused.
    failures: AtomicUsize,
    refusing: Option<usize>,
    given_back: AtomicUsize,
    give_backs: AtomicUsize,
}

impl Gated {
    fn new(places: usize) -> Self {
        Self {
            store: MemoryStore::default(),
            gate: Semaphore::new(places),
            holds: Mutex::default(),
            finishes: Mutex::default(),
            failures: AtomicUsize::new(0),
            refusing: None,
            given_back: AtomicUsize::new(0),
            give_backs: AtomicUsize::new(0),
        }
    }

    async fn pass(&self, calls: usize) -> Result<(), StoreError> {
        self.gate.acquire().await.unwrap().forget();
        let failing = self.failures.load(Ordering::SeqCst);
        if failing > 0 && self.refusing.is_none_or(|more_than| calls > more_than) {
            self.failures.store(failing.saturating_sub(1), Ordering::SeqCst);
            return Err(if self.refusing.is_some() {
                StoreError::Refused("one of them".into())
            } else {
                StoreError::Unavailable("away".into())
            });
        }
        Ok(())
    }
}

impl Batches for Gated {
    fn hold_all<'a>(
        &'a self,
        organization: OrganizationId,
        calls: &'a [Asked],
    ) -> StoreFuture<'a, Vec<HoldVerdict>> {
        Box::pin(async move {
            self.holds.lock().unwrap().push(calls.len());
            self.pass(calls.len()).await?;
            self.store.hold_all(organization, calls).await
        })
    }

    fn finish_all<'a>(
        &'a self,
        organization: OrganizationId,
        calls: &'a [Ended],
    ) -> StoreFuture<'a, Vec<Finished>> {
        Box::pin(async move {
            self.finishes.lock().unwrap().push(calls.len());
            self.pass(calls.len()).await?;
            self.store.finish_all(organization, calls).await
        })
    }

    fn renew_all<'a>(
        &'a self,
        organization: OrganizationId,
        heartbeats: &'a [Heartbeat],
        ttl: Duration,
    ) -> StoreFuture<'a, Vec<RequestId>> {
        self.store.renew_all(organization, heartbeats, ttl)
    }

    fn give_back_all<'a>(
        &'a self,
        organization: OrganizationId,
        calls: &'a [RequestId],
    ) -> StoreFuture<'a, ()> {
        self.given_back.fetch_add(calls.len(), Ordering::SeqCst);
        self.give_backs.fetch_add(1, Ordering::SeqCst);
        self.store.give_back_all(organization, calls)
    }
}

const OPEN: usize = 10_000;

fn coalescer(batches: Gated, credits: i64) -> (Coalescer<Gated>, Tenant) {
    let tenant = testing::tenant();
    assert!(batches.store.create_organization(tenant.organization_id()));
    if credits > 0 {
        batches
            .store
            .grant_credits(tenant.organization_id(), Credits::from_nanos(credits))
            .unwrap();
    }
    (Coalescer::new(batches, Options::default()), tenant)
}

fn hold(nanos: i64) -> HoldRequest {
    HoldRequest {
        request_id: RequestId::generate(),
        amount: Credits::from_nanos(nanos),
        tokens: 1,
        ttl: Duration::from_mins(5),
    }
}

fn costing(request_id: RequestId, nanos: i64) -> Arc<Finish> {
    Arc::new(Finish {
        request_id,
        client_request_id: None,
        endpoint: Endpoint::ChatCompletions,
        model: "small".into(),
        answered_by: None,
        provider: None,
        stream: false,
        ending: Ending::Complete,
        status: 200,
        usage: Usage::default(),
        estimated: false,
        clamped: false,
        settlement: Some(Settlement {
            amount: Credits::from_nanos(nanos),
            tokens: 1,
            price_id: PriceId::new(uuid::Uuid::nil()),
            markup_bps: 0,
            release: false,
        }),
        latency: Duration::ZERO,
        first_byte: None,
        record: None,
    })
}

fn balance(calls: &Coalescer<Gated>, tenant: &Tenant) -> (i64, i64) {
    let store = &calls.batches().store;
    assert_eq!(store.reconcile(tenant.organization_id()).unwrap(), Vec::<String>::new());
    let balance = store.balance(tenant.organization_id()).unwrap();
    (balance.posted.nanos(), balance.held.nanos())
}

/// Lets all tasks run that need no permit of the gate.
async fn rest() {
    for _ in 0..64 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn holds_that_come_while_one_is_on_its_way_go_together() {
    let (calls, tenant) = coalescer(Gated::new(0), 1_000);
    let mut first = Box::pin(calls.hold(&tenant, hold(1)));
    assert!(poll!(first.as_mut()).is_pending());
    rest().await;
    let mut others: Vec<_> = (0..70).map(|_| Box::pin(calls.hold(&tenant, hold(1)))).collect();
    for other in &mut others {
        assert!(poll!(other.as_mut()).is_pending());
    }
    rest().await;
    assert_eq!(*calls.batches().holds.lock().unwrap(), [1], "nothing waits when nothing is there");
    calls.batches().gate.add_permits(OPEN);
    assert_eq!(first.await.unwrap(), HoldVerdict::Granted);
    for verdict in join_all(others).await {
        assert_eq!(verdict.unwrap(), HoldVerdict::Granted);
    }
    assert_eq!(*calls.batches().holds.lock().unwrap(), [1, 64, 6]);
    assert_eq!(balance(&calls, &tenant), (1_000, 71));
}

#[tokio::test]
async fn finishes_go_together_and_organizations_do_not_wait_for_each_other() {
    let (calls, tenant) = coalescer(Gated::new(OPEN), 1_000);
    let other = testing::tenant();
    assert!(calls.batches().store.create_organization(other.organization_id()));
    let requests: Vec<_> = (0..5).map(|_| hold(10)).collect();
    for request in &requests {
        calls.hold(&tenant, request.clone()).await.unwrap();
    }
    calls.batches().gate.forget_permits(OPEN);
    let finishes: Vec<_> = requests.iter().map(|one| costing(one.request_id, 7)).collect();
    let others = costing(RequestId::generate(), 0);
    let mut writing: Vec<_> = finishes.iter().map(|finish| calls.finish(&tenant, finish)).collect();
    writing.push(calls.finish(&other, &others));
    for one in &mut writing {
        assert!(poll!(one.as_mut()).is_pending());
        rest().await;
    }
    calls.batches().gate.add_permits(OPEN);
    for finished in join_all(writing).await {
        assert!(!finished.unwrap().replayed);
    }
    assert_eq!(*calls.batches().finishes.lock().unwrap(), [1, 1, 4]);
    assert_eq!(balance(&calls, &tenant), (965, 0));
}

#[tokio::test]
async fn a_statement_takes_four_mebibytes_of_text_at_the_most_but_for_one_call_that_has_more() {
    let (calls, tenant) = coalescer(Gated::new(0), 0);
    let with = |request: usize, response: usize| {
        let text = |bytes| Some("x".repeat(bytes));
        let record = Record { request: text(request), response: text(response), truncated: false };
        let finish = costing(RequestId::generate(), 0);
        Arc::new(Finish { record: Some(record), settlement: None, ..Finish::clone(&finish) })
    };
    let half = 2 << 20;
    // Exactly 4 MiB, 4 MiB and a byte, and 5 MiB in one call, behind a statement that is running.
    let finishes = [(0, 0), (half, 0), (0, half), (half, half), (1, 0), (5 << 20, 0), (0, 1)];
    let finishes = finishes.map(|(request, response)| with(request, response));
    let mut writing: Vec<_> = finishes.iter().map(|one| calls.finish(&tenant, one)).collect();
    for one in &mut writing {
        assert!(poll!(one.as_mut()).is_pending());
        rest().await;
    }
    calls.batches().gate.add_permits(OPEN);
    assert!(join_all(writing).await.iter().all(Result::is_ok));
    assert_eq!(*calls.batches().finishes.lock().unwrap(), [1, 2, 1, 1, 1, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_only_others_holds_are_in_the_way_of_waits_for_them() {
    let (calls, tenant) = coalescer(Gated::new(OPEN), 100);
    let first = hold(100);
    assert_eq!(calls.hold(&tenant, first.clone()).await.unwrap(), HoldVerdict::Granted);
    let mut second = Box::pin(calls.hold(&tenant, hold(60)));
    assert!(poll!(second.as_mut()).is_pending());
    rest().await;
    // Ten of the hundred were used, and ninety are released.
    calls.finish(&tenant, &costing(first.request_id, 10)).await.unwrap();
    let begun = tokio::time::Instant::now();
    assert_eq!(second.await.unwrap(), HoldVerdict::Granted);
    assert!(begun.elapsed() < Options::default().ask_again, "woken, not found by chance");
    assert_eq!(balance(&calls, &tenant), (90, 60));
}

#[tokio::test(start_paused = true)]
async fn what_another_process_gives_back_is_found_within_a_moment() {
    let (calls, tenant) = coalescer(Gated::new(OPEN), 100);
    let first = hold(100);
    calls.hold(&tenant, first.clone()).await.unwrap();
    let mut second = Box::pin(calls.hold(&tenant, hold(60)));
    assert!(poll!(second.as_mut()).is_pending());
    rest().await;
    calls.batches().store.finish(&tenant, &costing(first.request_id, 10)).await.unwrap();
    let begun = tokio::time::Instant::now();
    assert_eq!(second.await.unwrap(), HoldVerdict::Granted);
    let (waited, ask_again) = (begun.elapsed(), Options::default().ask_again);
    assert!(waited >= ask_again && waited < ask_again * 11 / 10, "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn a_call_waits_no_longer_than_it_may_and_then_the_verdict_stands() {
    let (calls, tenant) = coalescer(Gated::new(OPEN), 100);
    calls.hold(&tenant, hold(70)).await.unwrap();
    let begun = tokio::time::Instant::now();
    let verdict = calls.hold(&tenant, hold(60)).await.unwrap();
    assert_eq!(
        verdict,
        HoldVerdict::Insufficient { available: Credits::from_nanos(30), may_wait: true }
    );
    let waited = begun.elapsed();
    let wait_max = Options::default().wait_max;
    assert!(waited >= wait_max && waited < wait_max + Duration::from_millis(10), "{waited:?}");
    assert_eq!((wait_max.as_secs(), Options::default().ask_again.as_millis()), (2, 100));
    rest().await;
    assert!(calls.0.shards.each().all(|shard| shard.holds.is_empty()));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_nothing_that_is_held_could_cover_is_refused_at_once() {
    let (calls, tenant) = coalescer(Gated::new(OPEN), 100);
    calls.hold(&tenant, hold(70)).await.unwrap();
    let begun = tokio::time::Instant::now();
    let verdict = calls.hold(&tenant, hold(101)).await.unwrap();
    assert!(matches!(verdict, HoldVerdict::Insufficient { may_wait: false, .. }));
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn those_who_wait_are_served_in_their_order_and_a_smaller_one_passes() {
    let (calls, tenant) = coalescer(Gated::new(OPEN), 100);
    let (large, small) = (hold(60), hold(40));
    for request in [&large, &small] {
        calls.hold(&tenant, request.clone()).await.unwrap();
    }
    let asked: Vec<_> = [50, 30, 30].map(|nanos| calls.hold(&tenant, hold(nanos))).into();
    let mut waiting: Vec<_> = asked.into_iter().map(Some).collect();
    for one in waiting.iter_mut().flatten() {
        assert!(poll!(one.as_mut()).is_pending());
        rest().await;
    }
    // Forty are released: too little for the first hold, enough for the second.
    calls.finish(&tenant, &costing(small.request_id, 0)).await.unwrap();
    assert_eq!(waiting[1].take().unwrap().await.unwrap(), HoldVerdict::Granted);
    // Seventy are free now: fifty go to the longest waiting, and the rest does not cover the last hold.
    calls.finish(&tenant, &costing(large.request_id, 0)).await.unwrap();
    assert_eq!(waiting[0].take().unwrap().await.unwrap(), HoldVerdict::Granted);
    let last = waiting[2].take().unwrap().await.unwrap();
    assert!(matches!(last, HoldVerdict::Insufficient { may_wait: true, .. }), "{last:?}");
}

#[tokio::test(start_paused = true)]
async fn more_than_may_wait_are_refused_at_once() {
    let (batches, options) = (Gated::new(OPEN), Options { waiting_max: 2, ..Options::default() });
    let tenant = testing::tenant();
    assert!(batches.store.create_organization(tenant.organization_id()));
    batches.store.grant_credits(tenant.organization_id(), Credits::from_nanos(100)).unwrap();
    let calls = Coalescer::new(batches, options);
    calls.hold(&tenant, hold(100)).await.unwrap();
    let begun = tokio::time::Instant::now();
    let asked = (0..5).map(|_| async {
        let verdict = calls.hold(&tenant, hold(1)).await.unwrap();
        (verdict, begun.elapsed())
    });
    let told = join_all(asked).await;
    assert!(told.iter().all(|(verdict, _)| verdict.may_wait()));
    assert_eq!(told.iter().filter(|(_, waited)| waited.is_zero()).count(), 3);
}

#[tokio::test]
async fn a_hold_that_nobody_takes_is_given_back() {
    let (calls, tenant) = coalescer(Gated::new(0), 100);
    let mut asking = Box::pin(calls.hold(&tenant, hold(60)));
    assert!(poll!(asking.as_mut()).is_pending());
    rest().await;
    drop(asking);
    calls.batches().gate.add_permits(OPEN);
    calls.wait_idle(Duration::from_secs(5)).await;
    assert_eq!(balance(&calls, &tenant), (100, 0));
    assert_eq!(calls.batches().given_back.load(Ordering::SeqCst), 1);
    // A caller that leaves while its hold is queued causes no statement.
    let mut first = Box::pin(calls.hold(&tenant, hold(1)));
    calls.batches().gate.forget_permits(OPEN);
    assert!(poll!(first.as_mut()).is_pending());
    rest().await;
    let mut second = Box::pin(calls.hold(&tenant, hold(1)));
    assert!(poll!(second.as_mut()).is_pending());
    drop(second);
    calls.batches().gate.add_permits(OPEN);
    first.await.unwrap();
    calls.wait_idle(Duration::from_secs(5)).await;
    assert_eq!(*calls.batches().holds.lock().unwrap(), [1, 1]);
}

#[tokio::test]
async fn holds_of_one_statement_that_nobody_takes_are_given_back_by_one_statement() {
    let (calls, tenant) = coalescer(Gated::new(0), 100);
    let mut asking: Vec<_> = (0..40).map(|_| calls.hold(&tenant, hold(1))).collect();
    for one in &mut asking {
        assert!(poll!(one.as_mut()).is_pending());
    }
    // All are in the statement.
    rest().await;
    drop(asking);
    calls.batches().gate.add_permits(OPEN);
    calls.wait_idle(Duration::from_secs(5)).await;
    assert_eq!(*calls.batches().holds.lock().unwrap(), [40]);
    let given_back = calls.batches().given_back.load(Ordering::SeqCst);
    assert_eq!((given_back, calls.batches().give_backs.load(Ordering::SeqCst)), (40, 1));
    assert_eq!(balance(&calls, &tenant), (100, 0));
}

#[tokio::test]
async fn where_the_store_is_away_all_are_told_and_what_may_stand_is_given_back() {
    let batches = Gated::new(0);
    batches.failures.store(2, Ordering::SeqCst);
    let (calls, tenant) = coalescer(batches, 100);
    let mut asking: Vec<_> = (0..3).map(|_| calls.hold(&tenant, hold(1))).collect();
    for one in &mut asking {
        assert!(poll!(one.as_mut()).is_pending());
        rest().await;
    }
    calls.batches().gate.add_permits(OPEN);
    for verdict in join_all(asking).await {
        assert!(verdict.is_err_and(|error| error.is_transient()));
    }
    calls.wait_idle(Duration::from_secs(5)).await;
    assert_eq!(calls.batches().given_back.load(Ordering::SeqCst), 3);
    assert!(calls.hold(&tenant, hold(1)).await.is_ok());
}

#[tokio::test]
async fn one_that_the_store_does_not_take_does_not_spoil_the_others() {
    let batches = Gated { refusing: Some(1), ..Gated::new(0) };
    let (calls, tenant) = coalescer(batches, 100);
    let mut asking: Vec<_> = (0..4).map(|_| calls.hold(&tenant, hold(1))).collect();
    for one in &mut asking {
        assert!(poll!(one.as_mut()).is_pending());
        rest().await;
    }
    calls.batches().failures.store(1, Ordering::SeqCst);
    calls.batches().gate.add_permits(OPEN);
    for verdict in join_all(asking).await {
        assert_eq!(verdict.unwrap(), HoldVerdict::Granted);
    }
    assert_eq!(*calls.batches().holds.lock().unwrap(), [1, 3, 1, 1, 1]);
}

#[tokio::test]
async fn a_finish_that_the_store_does_not_take_is_none_of_the_others_business() {
    for (more_than, statements, written) in [(1, vec![1, 3, 1, 1, 1], true), (0, vec![1], false)] {
        let batches = Gated { refusing: Some(more_than), ..Gated::new(0) };
        batches.failures.store(1, Ordering::SeqCst);
        let (calls, tenant) = coalescer(batches, 1_000);
        let count = if written { 4 } else { 1 };
        let finishes: Vec<_> = (0..count).map(|_| costing(RequestId::generate(), 0)).collect();
        let mut writing: Vec<_> = finishes.iter().map(|one| calls.finish(&tenant, one)).collect();
        for one in &mut writing {
            assert!(poll!(one.as_mut()).is_pending());
            rest().await;
        }
        calls.batches().gate.add_permits(OPEN);
        let answers = join_all(writing).await;
        assert!(answers.iter().all(|one| one.is_ok() == written), "{answers:?}");
        assert_eq!(*calls.batches().finishes.lock().unwrap(), statements);
    }
}

#[tokio::test]
async fn a_hold_that_the_store_does_not_take_is_asked_for_once() {
    let batches = Gated { refusing: Some(0), ..Gated::new(OPEN) };
    batches.failures.store(1, Ordering::SeqCst);
    let (calls, tenant) = coalescer(batches, 100);
    assert!(matches!(calls.hold(&tenant, hold(1)).await, Err(StoreError::Refused(_))));
    assert_eq!(*calls.batches().holds.lock().unwrap(), [1]);
}

#[tokio::test]
async fn one_statement_writes_as_many_ends_as_it_takes_holds() {
    let (calls, tenant) = coalescer(Gated::new(0), 0);
    let finishes: Vec<_> = (0..71).map(|_| costing(RequestId::generate(), 0)).collect();
    let mut writing: Vec<_> = finishes.iter().map(|one| calls.finish(&tenant, one)).collect();
    for one in &mut writing {
        assert!(poll!(one.as_mut()).is_pending());
    }
    rest().await;
    calls.batches().gate.add_permits(OPEN);
    assert!(join_all(writing).await.iter().all(Result::is_ok));
    let statements = calls.batches().finishes.lock().unwrap().clone();
    assert_eq!(statements.iter().sum::<usize>(), 71);
    assert_eq!(statements.iter().max(), Some(&64), "{statements:?}");
}
