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
async fn a_client_that_leaves_before_the_head_pays_the_true_usage_where_the_policy_drains() {
    let recorder = Recorder::open();
    let (provider, gateway) = waiting(&recorder, Disconnect::Drain);
    let mut call = task::spawn(gateway.oneshot(request(CHAT)));
    assert_pending!(call.poll());
    drop(call);
    provider.send(json(ANSWER)).await.unwrap();
    let finish = recorder.only_finish().await;
    assert_eq!(
        (finish.ending, finish.usage.total(), finish.estimated),
        (Ending::Abandoned, 13, false)
    );
}

#[tokio::test]
async fn a_client_that_leaves_before_the_head_pays_its_input_where_the_policy_cancels() {
    let recorder = Recorder::open();
    let (_provider, gateway) = waiting(&recorder, Disconnect::Cancel);
    let mut call = task::spawn(gateway.oneshot(request(CHAT)));
    assert_pending!(call.poll());
    drop(call);
    let finish = recorder.only_finish().await;
    assert_eq!((finish.ending, finish.estimated), (Ending::Abandoned, true));
    assert!(finish.usage.input_total() > 0 && finish.settlement.unwrap().amount > Credits::ZERO);
    assert_eq!(finish.status, 499);
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_never_answers_a_client_that_left_is_given_up_after_the_drain_limit() {
    let recorder = Recorder::open();
    let (_provider, gateway) = waiting(&recorder, Disconnect::Drain);
    let mut call = task::spawn(gateway.oneshot(request(CHAT)));
    assert_pending!(call.poll());
    drop(call);
    assert_eq!(recorder.only_finish().await.ending, Ending::Abandoned);
}

#[tokio::test]
async fn a_client_that_leaves_in_the_middle_pays_the_true_usage_where_the_policy_drains() {
    let recorder = Recorder::open();
    let (sender, streaming) = stream();
    sender.send(Ok(DELTA.into())).await.unwrap();
    let answer = gateway(&recorder, Disconnect::Drain, [streaming])
        .oneshot(request(CHAT_STREAM))
        .await
        .unwrap();
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
}

#[tokio::test]
async fn a_client_that_leaves_in_the_middle_pays_what_was_seen_where_the_policy_cancels() {
    let recorder = Recorder::open();
    let (sender, streaming) = stream();
    sender.send(Ok(DELTA.into())).await.unwrap();
    let answer = gateway(&recorder, Disconnect::Cancel, [streaming])
        .oneshot(request(CHAT_STREAM))
        .await
        .unwrap();
    let mut body = answer.into_body();
    drop(body.frame().await);
    drop(body);
    let finish = recorder.only_finish().await;
    assert_eq!((finish.ending, finish.estimated), (Ending::Abandoned, true));
    assert!(finish.usage.input_total() > 0 && finish.usage.output_total() > 0);
    assert!(sender.is_closed(), "the provider is hung up on");
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
    assert_eq!(recorder.only_finish().await.ending, Ending::Complete);
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
    assert!(finisher.close_within(Duration::from_secs(10)).await);
    assert_eq!(recorder.written(), 1);
    let finish = recorder.only_finish().await;
    assert_eq!((finish.ending, finish.estimated), (Ending::Abandoned, true));
    assert!(finish.settlement.unwrap().amount > Credits::ZERO);
    assert!(sender.is_closed(), "the provider is hung up on");
}
