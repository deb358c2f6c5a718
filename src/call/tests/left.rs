//! Clients that leave: before the head, in the middle, after the end. One finish each.

use tokio_test::{assert_pending, task};

use super::*;
use crate::domain::finish::Ending;

/// A provider that holds and then answers when the test says so.
fn waiting(
    recorder: &Arc<Recorder>,
    disconnect: Disconnect,
) -> (
    mpsc::Sender<Response<TestBody>>,
    impl Service<
        Request<Full<Bytes>>,
        Response = Response<CallBody<std::io::Error>>,
        Error = Infallible,
        Future: Send,
    > + Clone,
) {
    let (sender, answers) = mpsc::channel(1);
    let answers = Arc::new(tokio::sync::Mutex::new(answers));
    let provider = service_fn(move |request: Request<RequestBody>| {
        hold(&request, disconnect);
        let answers = Arc::clone(&answers);
        async move {
            let answer = answers.lock().await.recv().await;
            match answer {
                Some(answer) => Ok::<_, Infallible>(answer),
                None => std::future::pending().await,
            }
        }
    });
    (sender, layer(recorder).layer_over(provider))
}

#[tokio::test]
async fn a_client_that_leaves_before_the_head_pays_the_true_usage_whatever_the_policy() {
    for disconnect in [Disconnect::Drain, Disconnect::Cancel] {
        let recorder = Recorder::open();
        let (provider, gateway) = waiting(&recorder, disconnect);
        let mut call = task::spawn(gateway.oneshot(request(CHAT)));
        assert_pending!(call.poll());
        drop(call);
        provider.send(json(ANSWER)).await.unwrap();
        let finish = recorder.only_finish().await;
        assert_eq!(
            (finish.ending, finish.usage.total(), finish.estimated),
            (Ending::Abandoned, 13, false)
        );
        assert_eq!(finish.settlement.unwrap().amount, Credits::from_nanos(16_000));
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_while_its_finish_is_retried_has_left_by_the_row_too() {
    for disconnect in [Disconnect::Drain, Disconnect::Cancel] {
        let recorder = Recorder::open();
        recorder.fail(3);
        let gateway = gateway(&recorder, disconnect, [json(ANSWER)]);
        let call = tokio::time::timeout(Duration::from_millis(100), gateway.oneshot(request(CHAT)));
        assert!(call.await.is_err(), "the third attempt comes after 150 ms");
        let finish = recorder.only_finish().await;
        assert_eq!((finish.ending, finish.status), (Ending::Abandoned, 200));
        assert_eq!(finish.settlement.unwrap().amount, Credits::from_nanos(16_000));
    }
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_never_ends_is_given_up_when_the_time_of_the_answer_is_over() {
    for (set, limit) in [(None, Duration::from_hours(1)), (Some(MINUTE), MINUTE)] {
        // The client leaves before the head, and within a stream that does not end.
        for begun in [false, true] {
            let recorder = Recorder::open();
            let (sender, streaming) = stream();
            sender.send(Ok(DELTA.into())).await.unwrap();
            let answer = Arc::new(Mutex::new(begun.then_some(streaming)));
            let gateway = set_in(layer(&recorder), set, CallLayer::drain_max).layer_over(
                service_fn(move |request: Request<RequestBody>| {
                    hold(&request, Disconnect::Drain);
                    let answer = answer.lock().unwrap().take();
                    async move {
                        match answer {
                            Some(answer) => Ok::<_, Infallible>(answer),
                            None => std::future::pending().await,
                        }
                    }
                }),
            );
            let mut call = task::spawn(gateway.oneshot(request(CHAT_STREAM)));
            if begun {
                drop(call.await.unwrap().into_body().frame().await);
            } else {
                assert_pending!(call.poll());
                drop(call);
            }
            let left = Instant::now();
            tokio::time::sleep(limit.saturating_sub(Duration::from_secs(1))).await;
            assert_eq!((recorder.written(), sender.is_closed()), (0, !begun), "it is read on");
            let finish = recorder.only_finish().await;
            assert_took(left, limit);
            assert_eq!(finish.ending, Ending::Abandoned);
            if begun {
                assert_counted_here(&finish, CHAT_STREAM, 2);
            } else {
                assert_hold_charged(&finish);
            }
            assert!(sender.is_closed(), "the provider is hung up on");
        }
    }
}

#[tokio::test]
async fn a_client_that_leaves_in_the_middle_pays_the_true_usage_whatever_the_policy() {
    for disconnect in [Disconnect::Drain, Disconnect::Cancel] {
        leaves_in_the_middle(disconnect).await;
    }
}

async fn leaves_in_the_middle(disconnect: Disconnect) {
    let recorder = Recorder::open();
    let (sender, streaming) = stream();
    sender.send(Ok(DELTA.into())).await.unwrap();
    let answer =
        gateway(&recorder, disconnect, [streaming]).oneshot(request(CHAT_STREAM)).await.unwrap();
    let mut body = answer.into_body();
    drop(body.frame().await);
    drop(body);
    for event in [DELTA, STOP, USAGE, DONE] {
        sender.send(Ok(event.into())).await.unwrap();
    }
    let finish = recorder.only_finish().await;
    assert_eq!(
        (finish.ending, finish.usage.total(), finish.estimated),
        (Ending::Abandoned, 13, false)
    );
    assert_eq!(finish.settlement.unwrap().amount, Credits::from_nanos(16_000));
}

#[tokio::test]
async fn a_client_that_leaves_after_the_last_byte_changes_nothing() {
    let recorder = Recorder::open();
    let (sender, streaming) = stream();
    for event in [DELTA, STOP, USAGE, DONE] {
        sender.send(Ok(event.into())).await.unwrap();
    }
    let answer = gateway(&recorder, Disconnect::Drain, [streaming])
        .oneshot(request(CHAT_STREAM))
        .await
        .unwrap();
    let mut body = answer.into_body();
    while !body.is_end_stream() {
        drop(body.frame().await);
    }
    drop(body);
    drop(sender);
    let finish = recorder.only_finish().await;
    assert_eq!((finish.ending, finish.usage.total()), (Ending::Complete, 13));
    assert_eq!(finish.settlement.unwrap().amount, Credits::from_nanos(16_000));
}

#[tokio::test]
async fn a_client_that_leaves_while_the_last_event_waits_changes_nothing() {
    let recorder = Recorder::closed();
    let (sender, streaming) = stream();
    sender.send(Ok([DELTA, STOP, USAGE, DONE].concat().into())).await.unwrap();
    let answer = gateway(&recorder, Disconnect::Drain, [streaming])
        .oneshot(request(CHAT_STREAM))
        .await
        .unwrap();
    let mut body = answer.into_body();
    drop((body.frame().await, body.frame().await));
    let mut last = task::spawn(body.frame());
    assert_pending!(last.poll());
    drop(last);
    drop(body);
    recorder.let_through();
    let finish = recorder.only_finish().await;
    assert_eq!(finish.ending, Ending::Complete);
    assert_eq!(finish.settlement.unwrap().amount, Credits::from_nanos(16_000));
}

#[tokio::test]
async fn a_client_that_leaves_before_anything_was_held_owes_nothing() {
    let recorder = Recorder::open();
    let gateway = layer(&recorder)
        .layer_over(service_fn(|_: Request<RequestBody>| std::future::pending::<Answered>()));
    let mut call = task::spawn(gateway.oneshot(request(CHAT)));
    assert_pending!(call.poll());
    drop(call);
    tokio::task::yield_now().await;
    assert_eq!(recorder.written(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_read_on_does_not_keep_its_end_from_being_written_when_the_process_stops()
{
    let recorder = Recorder::open();
    let finisher = Finisher::new(Arc::clone(&recorder), 4);
    let (sender, streaming) = stream();
    sender.send(Ok(DELTA.into())).await.unwrap();
    let answers = Arc::new(Mutex::new(Some(streaming)));
    let layer = CallLayer::new(finisher.clone()).drain_max(Duration::from_hours(1));
    let gateway = layer.layer_over(service_fn(move |request: Request<RequestBody>| {
        hold(&request, Disconnect::Drain);
        let answer = answers.lock().unwrap().take().unwrap();
        async move { Ok::<_, Infallible>(answer) }
    }));
    let answer = gateway.oneshot(request(CHAT_STREAM)).await.unwrap();
    let mut body = answer.into_body();
    drop(body.frame().await);
    drop(body);
    let begun = Instant::now();
    assert!(finisher.close_within(Duration::from_secs(10)).await);
    // Half of the time is for the answer, the other half for writing its end.
    assert_took(begun, Duration::from_secs(5));
    let finish = recorder.only_finish().await;
    assert_eq!(finish.ending, Ending::Abandoned);
    assert_counted_here(&finish, CHAT_STREAM, 2);
    assert!(sender.is_closed(), "the provider is hung up on");
}
