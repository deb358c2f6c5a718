//! The kill switch: which calls it cuts, at which stage, and what they are charged.

use tokio_test::{assert_pending, task};

use super::*;
use crate::{
    call::KillSwitch,
    domain::{
        finish::Ending,
        ids::{KeyId, TeamId},
        scope::Scope,
        switch::{Switch, Switches},
    },
    store::MemoryStore,
};

const ORGANIZATION: OrganizationId = OrganizationId::new(Uuid::from_u128(1));
const TEAM: TeamId = TeamId::new(Uuid::from_u128(2));
const KEY: KeyId = KeyId::new(Uuid::from_u128(3));

fn all() -> Switches {
    Switches::from_iter([Switch::Organization])
}

/// A gateway under `switch`. Its provider takes a hold if the test says so, and then does what the test says.
fn watched<F>(
    recorder: &Arc<Recorder>,
    switch: &KillSwitch,
    held: Option<Disconnect>,
    provider: impl Fn() -> F + Clone + Send + 'static,
) -> impl Service<
    Request<Full<Bytes>>,
    Response = Response<CallBody<std::io::Error>>,
    Error = Infallible,
    Future: Send,
> + Clone
where
    F: Future<Output = Response<TestBody>> + Send + 'static,
{
    let provider = service_fn(move |request: Request<RequestBody>| {
        if let Some(disconnect) = held {
            hold(&request, disconnect);
        }
        let answer = provider();
        async move { Ok::<_, Infallible>(answer.await) }
    });
    layer(recorder).kill_switch(switch.clone()).layer_over(provider)
}

/// Gives this answer to the only request.
fn once(
    answer: Response<TestBody>,
) -> impl Fn() -> std::future::Ready<Response<TestBody>> + Clone + Send + 'static {
    let answer = Arc::new(Mutex::new(Some(answer)));
    move || std::future::ready(answer.lock().unwrap().take().unwrap())
}

/// Sets its flag when it is dropped.
struct Tells(Arc<AtomicBool>);

impl Drop for Tells {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_was_not_sent_yet_is_cut_before_it_reaches_the_provider_and_costs_nothing() {
    for disconnect in [Disconnect::Drain, Disconnect::Cancel] {
        let (recorder, switch) = (Recorder::open(), KillSwitch::default());
        let (sent, given_up) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let flags = (Arc::clone(&sent), Arc::clone(&given_up));
        // As a provider whose credential is still being fetched.
        let provider = service_fn(move |request: Request<RequestBody>| {
            hold(&request, disconnect);
            let (sent, guard) = (Arc::clone(&flags.0), Tells(Arc::clone(&flags.1)));
            async move {
                tokio::time::sleep(Duration::from_mins(1)).await;
                sent.store(!request.into_body().into_bytes().is_empty(), Ordering::SeqCst);
                drop(guard);
                Ok::<_, Infallible>(json(ANSWER))
            }
        });
        let gateway = layer(&recorder).kill_switch(switch.clone()).layer_over(provider);
        let call = tokio::spawn(gateway.oneshot(request(CHAT)));
        tokio::task::yield_now().await;
        switch.cut(ORGANIZATION, &all());
        assert_eq!(call.await.unwrap().unwrap().status(), 403);
        assert!(given_up.load(Ordering::SeqCst), "the provider's service waits on");
        let finish = recorder.only_finish().await;
        let settlement = finish.settlement.unwrap();
        assert_eq!((finish.ending, settlement.release), (Ending::Cut, true));
        tokio::time::sleep(Duration::from_mins(2)).await;
        assert!(!sent.load(Ordering::SeqCst), "the call reached the provider after the switch");
    }
}

#[tokio::test]
async fn an_open_stream_is_cut_and_what_was_delivered_is_paid() {
    let recorder = Recorder::open();
    let (switch, store) = (KillSwitch::default(), MemoryStore::default());
    store.create_organization(ORGANIZATION);
    let (sender, streaming) = stream();
    let gateway = watched(&recorder, &switch, Some(Disconnect::Drain), once(streaming));
    let answer = gateway.oneshot(request(CHAT_STREAM)).await.unwrap();
    let mut body = answer.into_body();
    sender.send(Ok(DELTA.into())).await.unwrap();
    drop(body.frame().await);

    // As long as nobody is suspended, nothing is cut.
    switch.check(&store).await;
    let mut next = task::spawn(body.frame());
    assert_pending!(next.poll());
    store.set_suspended(ORGANIZATION, true).unwrap();
    switch.check(&store).await;
    assert!(next.is_woken());
    let last = next.await.unwrap().unwrap().into_data().unwrap();
    let last = String::from_utf8(last.to_vec()).unwrap();
    assert!(last.contains("organization_suspended"), "{last}");
    assert!(body.frame().await.is_none());
    drop(body);
    assert_eq!(format!("{switch:?}"), "KillSwitch { calls: 0, .. }");
    // It is read on, until the provider breaks off.
    assert_eq!((sender.is_closed(), recorder.written()), (false, 0));
    drop(sender);
    let finish = recorder.only_finish().await;
    assert_eq!((finish.ending, finish.status), (Ending::Cut, 200));
    assert_counted_here(&finish, CHAT_STREAM, 2);
}

#[tokio::test]
async fn a_stream_whose_client_does_not_read_ends_all_the_same() {
    let recorder = Recorder::open();
    let switch = KillSwitch::default();
    let (sender, streaming) = stream();
    let gateway = watched(&recorder, &switch, Some(Disconnect::Drain), once(streaming));
    let mut body = gateway.oneshot(request(CHAT_STREAM)).await.unwrap().into_body();
    for _ in 0..2 {
        sender.send(Ok(DELTA.into())).await.unwrap();
    }
    drop(body.frame().await);
    // Nobody polls the body any more, as if the client's window were full.
    switch.cut(ORGANIZATION, &all());
    drop(sender);
    let finish = recorder.only_finish().await;
    assert_eq!(finish.ending, Ending::Cut);
    // The provider wrote these events, though the client has not read them.
    assert_counted_here(&finish, CHAT_STREAM, 4);
    assert_eq!(format!("{switch:?}"), "KillSwitch { calls: 0, .. }");
    assert!(text(body).await.contains("organization_suspended"));
}

#[tokio::test]
async fn a_stream_that_is_cut_between_its_head_and_its_first_poll_gives_nothing_more() {
    let recorder = Recorder::open();
    let switch = KillSwitch::default();
    let (sender, streaming) = stream();
    sender.send(Ok([DELTA, STOP, USAGE, DONE].concat().into())).await.unwrap();
    let gateway = watched(&recorder, &switch, Some(Disconnect::Drain), once(streaming));
    let body = gateway.oneshot(request(CHAT_STREAM)).await.unwrap().into_body();
    switch.cut(ORGANIZATION, &all());
    let text = text(body).await;
    assert!(text.contains("organization_suspended") && !text.contains("hi there"), "{text}");
    let finish = recorder.only_finish().await;
    assert_eq!((finish.ending, finish.usage.total()), (Ending::Cut, 13));
    assert_eq!(finish.settlement.unwrap().amount, Credits::from_nanos(16_000));
}

#[tokio::test]
async fn each_scope_cuts_its_own_calls_and_the_client_is_told_which() {
    let tenant = |user: &str| Tenant::new(ORGANIZATION, user);
    let callers = [
        tenant("ann"),
        tenant("bob").with_team(TEAM),
        tenant("cid").with_key(KEY),
        Tenant::new(OrganizationId::new(Uuid::from_u128(257)), "ann"),
    ];
    for (on, cut, code) in [
        (Switch::User("ann".into()), vec![0], "user_suspended"),
        (Switch::Team(TEAM), vec![1], "team_suspended"),
        (Switch::Key(KEY), vec![2], "key_suspended"),
        (Switch::Organization, vec![0, 1, 2], "organization_suspended"),
        (Switch::User("dan".into()), vec![], ""),
    ] {
        let (recorder, switch) = (Recorder::open(), KillSwitch::default());
        let mut open = Vec::new();
        for caller in &callers {
            let (sender, streaming) = stream();
            let gateway = watched(&recorder, &switch, Some(Disconnect::Cancel), once(streaming));
            let mut request = request(CHAT_STREAM);
            request.extensions_mut().insert(caller.clone());
            open.push((sender, gateway.oneshot(request).await.unwrap().into_body()));
        }
        switch.cut(ORGANIZATION, &Switches::from_iter([on]));
        for (number, (sender, body)) in open.into_iter().enumerate() {
            assert!(!sender.is_closed(), "{code} {number}");
            drop(sender);
            assert_eq!(text(body).await.contains(code) && !code.is_empty(), cut.contains(&number));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_waits_for_its_answer_gets_403_and_is_waited_for_as_long_as_an_answer_may_take()
{
    for body in [CHAT, CHAT_STREAM] {
        let (recorder, switch) = (Recorder::open(), KillSwitch::default());
        let gone = Arc::<AtomicBool>::default();
        let provider = {
            let gone = Arc::clone(&gone);
            move || {
                let tells = Tells(Arc::clone(&gone));
                async move {
                    let _tells = tells;
                    std::future::pending().await
                }
            }
        };
        let gateway = watched(&recorder, &switch, Some(Disconnect::Drain), provider);
        let mut call = task::spawn(gateway.oneshot(request(body)));
        assert_pending!(call.poll());
        switch.cut(ORGANIZATION, &Switches::from_iter([Switch::User("someone".into())]));
        assert!(call.is_woken());
        let answer = call.await.unwrap();
        assert!(!gone.load(Ordering::SeqCst), "the provider is not hung up on");
        assert_eq!(answer.status(), 403);
        assert!(text(answer.into_body()).await.contains("user_suspended"));
        let begun = Instant::now();
        let finish = recorder.only_finish().await;
        assert_took(begun, Duration::from_hours(1));
        assert!(gone.load(Ordering::SeqCst), "the provider is hung up on");
        assert_eq!((finish.ending, finish.status), (Ending::Cut, 403));
        assert_eq!(finish.latency, Duration::ZERO, "the client's");
        assert_hold_charged(&finish);
    }
}

#[tokio::test]
async fn an_answer_that_is_half_there_is_withheld() {
    let (recorder, switch) = (Recorder::open(), KillSwitch::default());
    let (sender, mut answer) = stream();
    answer.headers_mut().insert("content-type", "application/json".parse().unwrap());
    sender.send(Ok(ANSWER[..40].into())).await.unwrap();
    let gateway = watched(&recorder, &switch, Some(Disconnect::Drain), once(answer));
    let mut call = task::spawn(gateway.oneshot(request(CHAT)));
    assert_pending!(call.poll());
    switch.cut(ORGANIZATION, &all());
    assert_eq!(call.await.unwrap().status(), 403);
    sender.send(Ok(ANSWER[40..].into())).await.unwrap();
    drop(sender);
    let finish = recorder.only_finish().await;
    assert_eq!((finish.ending, finish.status, finish.estimated), (Ending::Cut, 403, false));
    assert!(!finish.record.unwrap().response.unwrap().contains("hi there"));
    assert_eq!(finish.settlement.unwrap().amount, Credits::from_nanos(16_000));
}

#[tokio::test]
async fn a_call_that_has_not_been_held_for_owes_nothing() {
    let (recorder, switch) = (Recorder::open(), KillSwitch::default());
    let gateway = watched(&recorder, &switch, None, std::future::pending);
    let mut call = task::spawn(gateway.oneshot(request(CHAT)));
    assert_pending!(call.poll());
    switch.cut(ORGANIZATION, &all());
    assert_eq!(call.await.unwrap().status(), 403);
    assert_eq!(recorder.written(), 0);
}

#[tokio::test]
async fn a_call_that_is_only_recorded_is_counted_from_when_its_answer_began() {
    for begun in [false, true] {
        let (recorder, switch) = (Recorder::open(), KillSwitch::default());
        let (sender, streaming) = stream();
        sender.send(Ok(DELTA.into())).await.unwrap();
        let answer = Arc::new(Mutex::new(begun.then_some(streaming)));
        let provider = service_fn(move |request: Request<RequestBody>| {
            let keeping = Keeping { keep: Keep::Metadata, capture_bytes_max: 0 };
            Call::of(&request).unwrap().keep(keeping);
            let answer = answer.lock().unwrap().take();
            async move {
                match answer {
                    Some(answer) => Ok::<_, Infallible>(answer),
                    None => std::future::pending().await,
                }
            }
        });
        let gateway = layer(&recorder).kill_switch(switch.clone()).layer_over(provider);
        let mut call = task::spawn(gateway.oneshot(request(CHAT_STREAM)));
        if begun {
            let mut body = call.await.unwrap().into_body();
            drop(body.frame().await);
            switch.cut(ORGANIZATION, &all());
            drop(text(body).await);
        } else {
            assert_pending!(call.poll());
            switch.cut(ORGANIZATION, &all());
            assert_eq!(call.await.unwrap().status(), 403);
        }
        let finish = recorder.only_finish().await;
        assert_eq!((finish.ending, finish.settlement), (Ending::Cut, None));
        assert_eq!(
            (finish.usage.input > 0, finish.usage.output),
            (begun, if begun { 2 } else { 0 })
        );
    }
}

#[tokio::test]
async fn a_call_that_is_only_recorded_is_counted_where_half_of_its_answer_came() {
    let (recorder, switch) = (Recorder::open(), KillSwitch::default());
    let (sender, mut answer) = stream();
    answer.headers_mut().clear();
    sender.send(Ok("{".into())).await.unwrap();
    let half = once(answer);
    let provider = service_fn(move |request: Request<RequestBody>| {
        let keeping = Keeping { keep: Keep::Metadata, capture_bytes_max: 0 };
        Call::of(&request).unwrap().keep(keeping);
        let half = half();
        async move { Ok::<_, Infallible>(half.await) }
    });
    let gateway = layer(&recorder).kill_switch(switch.clone()).layer_over(provider);
    let mut call = task::spawn(gateway.oneshot(request(CHAT)));
    assert_pending!(call.poll());
    switch.cut(ORGANIZATION, &all());
    assert_eq!(call.await.unwrap().status(), 403);
    let finish = recorder.only_finish().await;
    assert_eq!((finish.ending, finish.settlement), (Ending::Cut, None));
    assert!(finish.usage.input > 0);
}

#[tokio::test]
async fn a_provider_that_had_failed_before_is_not_paid() {
    let (recorder, switch) = (Recorder::open(), KillSwitch::default());
    // The same holds if the client leaves in the middle of the provider's error.
    for leaves in [false, true] {
        let (sender, mut answer) = stream();
        *answer.status_mut() = http::StatusCode::BAD_GATEWAY;
        sender.send(Ok("{".into())).await.unwrap();
        let gateway = watched(&recorder, &switch, Some(Disconnect::Cancel), once(answer));
        let mut call = task::spawn(gateway.oneshot(request(CHAT)));
        assert_pending!(call.poll());
        if leaves {
            drop(call);
        } else {
            switch.cut(ORGANIZATION, &all());
            assert_eq!(call.await.unwrap().status(), 403);
        }
        drop(sender);
    }
    recorder.count.subscribe().wait_for(|count| *count == 2).await.unwrap();
    recorder.finishes.lock().unwrap().iter().for_each(assert_not_paid);
}

#[tokio::test]
async fn a_call_that_goes_on_without_its_client_is_cut_and_costs_what_it_used() {
    for streams in [false, true] {
        let (recorder, switch) = (Recorder::open(), KillSwitch::default());
        let (sender, mut answer) = stream();
        if !streams {
            answer.headers_mut().insert("content-type", "application/json".parse().unwrap());
        }
        let body = if streams { CHAT_STREAM } else { CHAT };
        let gateway = watched(&recorder, &switch, Some(Disconnect::Drain), once(answer));
        let mut call = task::spawn(gateway.oneshot(request(body)));
        let (first, rest) = if streams {
            (DELTA, [STOP, USAGE, DONE].concat())
        } else {
            (&ANSWER[..40], ANSWER[40..].to_owned())
        };
        sender.send(Ok(first.into())).await.unwrap();
        if let std::task::Poll::Ready(answer) = call.poll() {
            drop(answer.unwrap().into_body().frame().await);
        }
        drop(call);
        tokio::task::yield_now().await;
        assert!(!sender.is_closed(), "it is read on");
        switch.cut(ORGANIZATION, &all());
        sender.send(Ok(rest.into())).await.unwrap();
        drop(sender);
        let finish = recorder.only_finish().await;
        assert_eq!((finish.ending, finish.estimated), (Ending::Cut, false));
        assert_eq!(finish.settlement.unwrap().amount, Credits::from_nanos(16_000));
    }
}

#[tokio::test]
async fn a_call_after_the_switch_is_off_again_is_not_touched() {
    let (recorder, switch) = (Recorder::open(), KillSwitch::default());
    switch.cut(ORGANIZATION, &all());
    let gateway = watched(&recorder, &switch, Some(Disconnect::Drain), once(json(ANSWER)));
    let answer = gateway.oneshot(request(CHAT)).await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(recorder.only_finish().await.ending, Ending::Complete);
}

/// A store that records which organizations it was asked about.
#[derive(Default)]
struct Asked(Mutex<Vec<OrganizationId>>);

impl crate::store::SwitchStore for Asked {
    fn switches(&self, organization: OrganizationId) -> StoreFuture<'_, Switches> {
        self.0.lock().unwrap().push(organization);
        Box::pin(async { Err(StoreError::Unavailable("away".into())) })
    }
}

#[tokio::test]
async fn the_store_is_asked_about_organizations_with_open_calls_only() {
    let (recorder, switch, store) = (Recorder::open(), KillSwitch::default(), Asked::default());
    let gateway = watched(&recorder, &switch, None, std::future::pending);
    let mut calls = [0, 1].map(|_| task::spawn(gateway.clone().oneshot(request(CHAT))));
    for call in &mut calls {
        assert_pending!(call.poll());
    }
    switch.check(&store).await;
    // Another organization in the same shard.
    let other = OrganizationId::new(Uuid::from_u128(257));
    switch.check_those(&store, [other, ORGANIZATION]).await;
    assert_eq!(*store.0.lock().unwrap(), [ORGANIZATION, ORGANIZATION]);
    assert_pending!(calls[0].poll());
    drop(calls);
    switch.check(&store).await;
    assert_eq!(store.0.lock().unwrap().len(), 2);
}

/// A store that says that the organization's switch is on, once the test lets it answer.
#[derive(Default)]
struct Late(tokio::sync::Notify);

impl crate::store::SwitchStore for Late {
    fn switches(&self, _: OrganizationId) -> StoreFuture<'_, Switches> {
        Box::pin(async {
            self.0.notified().await;
            Ok(all())
        })
    }
}

#[tokio::test]
async fn a_call_that_began_after_the_question_is_not_cut_by_the_answer() {
    let (recorder, switch, store) = (Recorder::open(), KillSwitch::default(), Late::default());
    let gateway = watched(&recorder, &switch, Some(Disconnect::Cancel), std::future::pending);
    let mut before = task::spawn(gateway.clone().oneshot(request(CHAT)));
    assert_pending!(before.poll());
    let mut checking = task::spawn(switch.check(&store));
    assert_pending!(checking.poll());
    // A call that arrives during the read: the switch may be off again, as its hold was granted.
    let mut after = task::spawn(gateway.oneshot(request(CHAT)));
    assert_pending!(after.poll());
    store.0.notify_one();
    checking.await;
    assert_eq!(before.await.unwrap().status(), 403);
    assert!(!after.is_woken(), "it is cut");
}

#[test]
fn every_scope_has_a_code_of_its_own_and_says_whom_to_ask() {
    use crate::refusal::Refusal;
    for scope in Scope::ALL {
        let refusal = Refusal::Suspended(scope);
        assert_eq!(refusal.code(), format!("{scope}_suspended"));
        assert!(refusal.message().contains("Ask ") && refusal.message().contains("owner"));
    }
}
