//! Streams: bytes are not changed, the last event is held back, failures are reported inside the stream.

use tokio_test::{assert_pending, task};

use super::*;
use crate::domain::finish::Ending;

async fn send(sender: &mpsc::Sender<std::io::Result<Bytes>>, text: &str) {
    sender.send(Ok(Bytes::copy_from_slice(text.as_bytes()))).await.unwrap();
}

#[tokio::test]
async fn each_event_goes_out_as_it_comes_and_the_last_one_waits_for_the_finish() {
    let recorder = Recorder::closed();
    let (sender, streaming) = stream();
    let answer = gateway(&recorder, Disconnect::Drain, [streaming])
        .oneshot(request(CHAT_STREAM))
        .await
        .unwrap();
    let mut body = answer.into_body();

    send(&sender, DELTA).await;
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), DELTA);
    assert_eq!(recorder.written(), 0);

    send(&sender, &[STOP, USAGE, DONE].concat()).await;
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), STOP);
    let mut rest = task::spawn(body.frame());
    assert_pending!(rest.poll());
    tokio::task::yield_now().await;
    assert_pending!(rest.poll());
    recorder.let_through();
    assert_eq!(rest.await.unwrap().unwrap().into_data().unwrap(), DONE);
    assert!(body.is_end_stream());
    assert!(body.frame().await.is_none());

    let finish = recorder.only_finish().await;
    assert_eq!((finish.ending, finish.stream, finish.usage.total()), (Ending::Complete, true, 13));
}

#[tokio::test]
async fn a_client_that_asked_for_usage_sees_it_and_one_that_did_not_does_not() {
    let all = [DELTA, STOP, USAGE, DONE].concat();
    for (asked, expected) in
        [(CHAT_STREAM_USAGE, all.clone()), (CHAT_STREAM, [DELTA, STOP, DONE].concat())]
    {
        let recorder = Recorder::open();
        let (sender, streaming) = stream();
        send(&sender, &all).await;
        let answer = gateway(&recorder, Disconnect::Drain, [streaming])
            .oneshot(request(asked))
            .await
            .unwrap();
        assert_eq!(text(answer.into_body()).await, expected);
        assert_eq!(recorder.only_finish().await.usage.total(), 13);
    }
}

#[tokio::test]
async fn a_stream_split_anywhere_gives_the_same_bytes_and_the_same_bill() {
    let all = [
        ": keep-alive\r\n\r\n",
        DELTA,
        "data: {\"choices\":[{\"delta\":{\"content\":\"\u{1F980}\"}}]}\r\n\r\n",
        STOP,
        USAGE,
        DONE,
    ]
    .concat();
    let visible = all.replace(USAGE, "");
    for size in 1..all.len() {
        let recorder = Recorder::open();
        let (sender, streaming) = stream();
        for part in all.as_bytes().chunks(size) {
            sender.send(Ok(Bytes::copy_from_slice(part))).await.unwrap();
        }
        let answer = gateway(&recorder, Disconnect::Drain, [streaming])
            .oneshot(request(CHAT_STREAM))
            .await
            .unwrap();
        assert_eq!(text(answer.into_body()).await, visible, "frames of {size} bytes");
        assert_eq!(
            recorder.only_finish().await.settlement.unwrap().amount,
            Credits::from_nanos(16_000)
        );
    }
}

#[tokio::test]
async fn a_stream_that_breaks_ends_with_an_error_event_and_what_was_delivered_is_paid() {
    for by_error in [true, false] {
        let recorder = Recorder::open();
        let (sender, streaming) = stream();
        send(&sender, DELTA).await;
        if by_error {
            sender.send(Err(std::io::Error::other("reset"))).await.unwrap();
        }
        drop(sender);
        let answer = gateway(&recorder, Disconnect::Drain, [streaming])
            .oneshot(request(CHAT_STREAM))
            .await
            .unwrap();
        let text = text(answer.into_body()).await;
        assert!(
            text.starts_with(DELTA) && text.contains("\"error\"") && !text.contains("[DONE]"),
            "{text}"
        );
        let finish = recorder.only_finish().await;
        assert_eq!(finish.ending, Ending::Failed);
        assert_counted_here(&finish, CHAT_STREAM, 2);
    }
}

#[tokio::test]
async fn a_stream_without_its_last_event_is_whole_if_its_answer_was() {
    let recorder = Recorder::open();
    let (sender, streaming) = stream();
    send(&sender, &[DELTA, STOP, USAGE].concat()).await;
    drop(sender);
    let answer = gateway(&recorder, Disconnect::Drain, [streaming])
        .oneshot(request(CHAT_STREAM))
        .await
        .unwrap();
    assert_eq!(text(answer.into_body()).await, [DELTA, STOP].concat());
    let finish = recorder.only_finish().await;
    assert_eq!((finish.ending, finish.estimated), (Ending::Complete, false));
    assert_eq!(finish.settlement.unwrap().amount, Credits::from_nanos(16_000));
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_stream_whose_finish_cannot_be_written_is_an_error_event() {
    let recorder = Recorder::open();
    recorder.fail(8);
    let (sender, streaming) = stream();
    send(&sender, &[DELTA, STOP, USAGE, DONE].concat()).await;
    let answer = gateway(&recorder, Disconnect::Drain, [streaming])
        .oneshot(request(CHAT_STREAM))
        .await
        .unwrap();
    let text = text(answer.into_body()).await;
    assert!(text.contains("\"unavailable\"") && !text.contains("[DONE]"), "{text}");
    let finish = recorder.only_finish().await;
    // The status in the head is out already.
    assert_eq!((finish.ending, finish.status), (Ending::Failed, 200));
    assert_eq!(finish.usage.total(), 13);
    assert_eq!(finish.settlement.unwrap().amount, Credits::from_nanos(16_000));
}

#[tokio::test]
async fn an_event_over_the_bound_ends_the_stream_with_an_error_event() {
    let recorder = Recorder::open();
    let (sender, streaming) = stream();
    send(&sender, DELTA).await;
    send(&sender, &"data: x".repeat(1000)).await;
    let answers = Arc::new(Mutex::new(Some(streaming)));
    let gateway = layer(&recorder).event_bytes_max(1000).layer_over(service_fn(
        move |request: Request<RequestBody>| {
            hold(&request, Disconnect::Drain);
            let answer = answers.lock().unwrap().take().unwrap();
            async move { Ok::<_, Infallible>(answer) }
        },
    ));
    let answer = gateway.oneshot(request(CHAT_STREAM)).await.unwrap();
    let text = text(answer.into_body()).await;
    assert!(text.starts_with(DELTA) && text.contains("\"error\""), "{text}");
    assert!(!sender.is_closed(), "it is read on");
    drop(sender);
    let finish = recorder.only_finish().await;
    assert_eq!(finish.ending, Ending::Failed);
    assert_counted_here(&finish, CHAT_STREAM, 2);
}

#[tokio::test]
async fn usage_on_every_chunk_counts_once() {
    let recorder = Recorder::open();
    let (sender, streaming) = stream();
    for output in 1..=3 {
        let chunk = format!(
            "data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"x\"}},\"finish_reason\":null}}],\"usage\":{{\"prompt_tokens\":10,\"completion_tokens\":{output}}}}}\n\n"
        );
        send(&sender, &chunk).await;
    }
    send(&sender, DONE).await;
    let answer = gateway(&recorder, Disconnect::Drain, [streaming])
        .oneshot(request(CHAT_STREAM))
        .await
        .unwrap();
    drop(text(answer.into_body()).await);
    assert_eq!(
        recorder.only_finish().await.settlement.unwrap().amount,
        Credits::from_nanos(16_000)
    );
}

#[tokio::test]
async fn what_a_broken_stream_reported_at_its_beginning_is_not_its_usage() {
    const START: &str = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"model\":\"small-1\",\"usage\":{\"input_tokens\":10,\"output_tokens\":1}}}\n\n";
    const TEXT: &str = "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"hi there, hi there\"}}\n\n";
    let recorder = Recorder::open();
    let (sender, streaming) = stream();
    let mut request = request(CHAT_STREAM);
    *request.uri_mut() = "/v1/messages".parse().unwrap();
    let gateway = gateway(&recorder, Disconnect::Drain, [streaming]);
    for event in [START, TEXT] {
        send(&sender, event).await;
    }
    drop(sender);
    drop(text(gateway.oneshot(request).await.unwrap().into_body()).await);
    let finish = recorder.only_finish().await;
    assert_eq!(finish.ending, Ending::Failed);
    assert!(finish.estimated && finish.usage.output > 1, "{finish:?}");
}

#[tokio::test]
async fn heartbeats_tell_what_has_gone_by_of_an_open_stream() {
    let (recorder, heartbeats) = (Recorder::open(), crate::call::Heartbeats::default());
    let (sender, streaming) = stream();
    let layer = layer(&recorder).heartbeats(heartbeats.clone());
    let answer = gateway_with(&layer, streaming).oneshot(request(CHAT_STREAM)).await.unwrap();
    let mut body = answer.into_body();
    let mut before = 0;
    for _ in 0..3 {
        send(&sender, DELTA).await;
        drop(body.frame().await.unwrap().unwrap());
        let beats: Vec<_> = heartbeats.now().into_values().flatten().collect();
        let [beat] = beats.as_slice() else { panic!("one call is open: {beats:?}") };
        assert!(beat.tokens > before && beat.used > Credits::ZERO, "{beat:?} after {before}");
        before = beat.tokens;
    }
    drop(body);
}

#[tokio::test]
async fn usage_that_came_before_a_stream_broke_is_not_that_of_the_whole() {
    const SO_FAR: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hi there, hi there\"}}],\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":1}}\n\n";
    let recorder = Recorder::open();
    let (sender, streaming) = stream();
    let gateway = gateway(&recorder, Disconnect::Drain, [streaming]);
    send(&sender, SO_FAR).await;
    sender.send(Err(std::io::Error::other("gone"))).await.unwrap();
    drop(text(gateway.oneshot(request(CHAT_STREAM)).await.unwrap().into_body()).await);
    let finish = recorder.only_finish().await;
    assert_eq!((finish.ending, finish.estimated), (Ending::Failed, true));
    assert!(finish.usage.output > 1, "{finish:?}");
}

#[tokio::test]
async fn an_error_in_an_answer_does_not_name_the_account_of_all_tenants() {
    const ERROR: &str = r#"{"error":{"message":"organization org-AbC123XYZ, key sk-proj-9ZZZ, request req_0a1b","type":"server_error","account":"org-AbC123XYZ"},"request_id":"req_0a1b"}"#;
    for streamed in [true, false] {
        let recorder = Recorder::open();
        let answer = if streamed {
            let (sender, streaming) = stream();
            send(&sender, &format!("{DELTA}data: {ERROR}\n\n")).await;
            streaming
        } else {
            json(ERROR)
        };
        let asked = if streamed { CHAT_STREAM } else { CHAT };
        let answer = gateway(&recorder, Disconnect::Drain, [answer]).oneshot(request(asked));
        let said = text(answer.await.unwrap().into_body()).await;
        assert!(said.contains("organization [redacted], key [redacted], request [redacted]"));
        for name in ["AbC123XYZ", "9ZZZ", "0a1b"] {
            assert!(!said.contains(name), "{said}");
        }
    }
}
