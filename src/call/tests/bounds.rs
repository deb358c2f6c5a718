//! Every bound of the layer, by default and when set: exact to the byte, and on a paused clock to the millisecond.

use http::StatusCode;

use super::*;
use crate::domain::finish::Ending;

fn new(recorder: &Arc<Recorder>) -> CallLayer {
    CallLayer::new(Finisher::new(Arc::clone(recorder), 16))
}

/// A body in frames of this many bytes, each after a pause.
fn slowly(
    text: &str,
    frame: usize,
    pause: Duration,
) -> impl Body<Data = Bytes, Error = Infallible> + Send + use<> {
    let parts: Vec<_> = text.as_bytes().chunks(frame).map(Bytes::copy_from_slice).collect();
    let parts = futures_util::stream::iter(parts).then(move |part| async move {
        tokio::time::sleep(pause).await;
        Ok::<_, Infallible>(Frame::data(part))
    });
    StreamBody::new(Box::pin(parts))
}

#[tokio::test(start_paused = true)]
async fn a_request_body_is_waited_for_a_minute_however_often_a_byte_comes() {
    let second = Duration::from_secs(1);
    for (set, wait) in [(None, MINUTE), (Some(7 * second), 7 * second)] {
        let layer = set_in(CallLayer::metering(), set, CallLayer::body_wait);
        let gateway = layer.layer_over(service_fn(|_: Request<RequestBody>| async {
            Ok::<_, Infallible>(json("{}"))
        }));
        // Two pieces that arrive a second before the time is over, and a byte each second.
        let (two, pause) = (CHAT.len().div_ceil(2), wait.saturating_sub(second) / 2);
        let in_time = request("").map(|_| slowly(CHAT, two, pause));
        assert_eq!(gateway.clone().oneshot(in_time).await.unwrap().status(), StatusCode::OK);
        let begun = Instant::now();
        let dripping = request("").map(|_| slowly(CHAT, 1, second));
        let answer = gateway.oneshot(dripping).await.unwrap();
        assert_eq!(answer.status(), StatusCode::REQUEST_TIMEOUT);
        assert_took(begun, wait);
    }
}

#[tokio::test]
async fn a_request_body_of_exactly_the_bound_is_read_and_one_byte_more_is_refused() {
    for (bytes_max, expected) in
        [(CHAT.len(), StatusCode::OK), (CHAT.len() - 1, StatusCode::PAYLOAD_TOO_LARGE)]
    {
        let layer = CallLayer::metering().body_bytes_max(bytes_max);
        let gateway = layer.layer_over(service_fn(|_: Request<RequestBody>| async {
            Ok::<_, Infallible>(json("{}"))
        }));
        let declared = gateway.clone().oneshot(request(CHAT)).await.unwrap();
        assert_eq!(declared.status(), expected, "declared");
        let undeclared = request("").map(|_| slowly(CHAT, 20, Duration::ZERO));
        assert_eq!(gateway.oneshot(undeclared).await.unwrap().status(), expected, "undeclared");
    }
}

#[tokio::test]
async fn by_default_a_request_body_may_have_ten_mebibytes() {
    for (bytes, expected) in
        [(4 << 20, StatusCode::BAD_REQUEST), ((4 << 20) + 1, StatusCode::PAYLOAD_TOO_LARGE)]
    {
        let gateway =
            CallLayer::metering().layer_over(service_fn(|_: Request<RequestBody>| async {
                Ok::<_, Infallible>(json("{}"))
            }));
        // A body of blanks: it is read whole, and then refused as invalid.
        let answer = gateway.oneshot(request(&" ".repeat(bytes))).await.unwrap();
        assert_eq!(answer.status(), expected, "{bytes}");
    }
}

/// An answer that is no stream, in frames.
fn in_frames(
    frames: impl IntoIterator<Item = Bytes, IntoIter: Send + 'static>,
) -> Response<TestBody> {
    let frames = frames.into_iter().map(|frame| Ok::<_, std::io::Error>(Frame::data(frame)));
    json("").map(|_| StreamBody::new(futures_util::stream::iter(frames)).boxed_unsync())
}

#[tokio::test]
async fn an_answer_of_exactly_the_bound_is_passed_on_and_one_byte_more_is_withheld() {
    for frame in [1, 7, ANSWER.len()] {
        for (bytes_max, whole) in [(ANSWER.len(), true), (ANSWER.len() - 1, false)] {
            let recorder = Recorder::open();
            let answer: Vec<_> =
                ANSWER.as_bytes().chunks(frame).map(Bytes::copy_from_slice).collect();
            let layer = new(&recorder).answer_bytes_max(bytes_max);
            let answer =
                gateway_with(&layer, in_frames(answer)).oneshot(request(CHAT)).await.unwrap();
            let status = if whole { StatusCode::OK } else { StatusCode::BAD_GATEWAY };
            assert_eq!(answer.status(), status, "frames of {frame}");
            let text = text(answer.into_body()).await;
            assert_eq!(text == ANSWER, whole, "{text}");
            assert_eq!(text.contains("hi there"), whole, "{text}");
            let finish = recorder.only_finish().await;
            let settlement = finish.settlement.unwrap();
            let expected = if whole { 16_000 } else { 1_000_000 };
            assert_eq!(
                (finish.status, settlement.amount, settlement.release),
                (status.as_u16(), Credits::from_nanos(expected), false)
            );
        }
    }
}

#[tokio::test]
async fn by_default_an_answer_that_is_no_stream_may_have_64_mebibytes() {
    for (last, expected) in [(0, StatusCode::BAD_REQUEST), (1, StatusCode::BAD_GATEWAY)] {
        let recorder = Recorder::open();
        let mebibyte = Bytes::from(vec![b' '; 1 << 20]);
        let frames = std::iter::repeat_n(mebibyte.clone(), 64).chain([mebibyte.slice(..last)]);
        // An error answer, which is not parsed.
        let mut refusal = in_frames(frames);
        *refusal.status_mut() = StatusCode::BAD_REQUEST;
        let answer = gateway_with(&new(&recorder), refusal).oneshot(request(CHAT)).await.unwrap();
        assert_eq!(answer.status(), expected);
    }
}

#[tokio::test]
async fn an_event_of_exactly_the_bound_is_passed_on_and_one_byte_more_ends_the_stream() {
    for (bytes_max, whole) in [(DELTA.len(), true), (DELTA.len() - 1, false)] {
        let recorder = Recorder::open();
        let (sender, streaming) = stream();
        for event in [STOP, DELTA, DONE] {
            sender.send(Ok(event.into())).await.unwrap();
        }
        assert!(STOP.len() < DELTA.len());
        let layer = new(&recorder).event_bytes_max(bytes_max);
        let answer = gateway_with(&layer, streaming).oneshot(request(CHAT_STREAM)).await.unwrap();
        let text = text(answer.into_body()).await;
        assert!(text.starts_with(STOP), "{text}");
        assert_eq!(text.ends_with(DONE), whole, "{text}");
        let ending = if whole { Ending::Complete } else { Ending::Failed };
        assert_eq!(recorder.only_finish().await.ending, ending);
    }
}

#[tokio::test]
async fn by_default_an_event_may_have_four_mebibytes() {
    for (more, ending) in [(0, Ending::Complete), (1, Ending::Failed)] {
        let recorder = Recorder::open();
        let (sender, streaming) = stream();
        let comment = format!(":{}\n\n", " ".repeat((4 << 20) - 3 + more));
        sender.send(Ok(comment.into())).await.unwrap();
        sender.send(Ok([DELTA, STOP, USAGE, DONE].concat().into())).await.unwrap();
        let answer =
            gateway_with(&new(&recorder), streaming).oneshot(request(CHAT_STREAM)).await.unwrap();
        drop(text(answer.into_body()).await);
        assert_eq!(recorder.only_finish().await.ending, ending);
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_may_take_an_hour_from_when_its_call_came() {
    for (set, wait) in [(None, 60 * MINUTE), (Some(MINUTE), MINUTE)] {
        for streams in [false, true] {
            let recorder = Recorder::open();
            let (sender, mut answer) = stream();
            if !streams {
                answer.headers_mut().insert("content-type", "application/json".parse().unwrap());
            }
            let answer = Arc::new(Mutex::new(Some(answer)));
            // The head takes half of the time.
            let layer = set_in(new(&recorder), set, CallLayer::answer_wait);
            let gateway = layer.layer_over(service_fn(move |request: Request<RequestBody>| {
                hold(&request, Disconnect::Drain);
                let answer = answer.lock().unwrap().take().unwrap();
                async move {
                    tokio::time::sleep(wait / 2).await;
                    Ok::<_, Infallible>(answer)
                }
            }));
            sender.send(Ok(DELTA.into())).await.unwrap();
            let begun = Instant::now();
            let body = if streams { CHAT_STREAM } else { CHAT };
            let answer = gateway.oneshot(request(body)).await.unwrap();
            assert_eq!(answer.status() == StatusCode::OK, streams);
            let text = text(answer.into_body()).await;
            assert_took(begun, wait);
            assert!(text.contains("provider_failed"), "{text}");
            // What a slow client has left unread is read for a moment longer.
            assert!(!sender.is_closed());
            let finish = recorder.only_finish().await;
            assert_took(begun, wait + Duration::from_secs(10));
            assert!(sender.is_closed(), "the provider is hung up on");
            assert_eq!((finish.ending, finish.latency.as_secs()), (Ending::Failed, wait.as_secs()));
            if streams {
                assert_eq!(finish.first_byte.unwrap().as_secs(), wait.as_secs() / 2);
                assert_counted_here(&finish, body, 2);
            } else {
                assert_hold_charged(&finish);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_end_of_an_answer_waits_five_seconds_for_its_finish_which_is_written_all_the_same() {
    let second = Duration::from_secs(1);
    for (set, wait) in [(None, 5 * second), (Some(second), second)] {
        for streams in [false, true] {
            let recorder = Recorder::open();
            recorder.fail(8);
            let begun = Instant::now();
            let answer = if streams {
                let (sender, streaming) = stream();
                sender.send(Ok([DELTA, STOP, USAGE, DONE].concat().into())).await.unwrap();
                streaming
            } else {
                json(ANSWER)
            };
            let body = if streams { CHAT_STREAM } else { CHAT };
            let layer = set_in(new(&recorder), set, CallLayer::finish_wait);
            let gateway = gateway_with(&layer, answer);
            let answer = gateway.oneshot(request(body)).await.unwrap();
            let text = text(answer.into_body()).await;
            assert!(text.contains("\"unavailable\"") && !text.contains("[DONE]"), "{text}");
            assert_took(begun, wait);
            assert_eq!(recorder.written(), 0);
            let finish = recorder.only_finish().await;
            // 50, 100, 200, 400, 800 and 1,600 ms, then two pauses of 2 s.
            let pauses = begun.elapsed();
            let expected = Duration::from_millis(7_150);
            // Eight timers, each up to a millisecond late.
            assert!(
                pauses >= expected && pauses < expected + Duration::from_millis(20),
                "{pauses:?}"
            );
            assert_eq!(finish.settlement.unwrap().amount, Credits::from_nanos(16_000));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_finisher_that_cannot_write_is_given_up_when_its_time_is_over_and_not_before() {
    let recorder = Recorder::closed();
    let finisher = Finisher::new(Arc::clone(&recorder), 4);
    let gateway = gateway_with(&CallLayer::new(finisher.clone()), json(ANSWER));
    let call = tokio::spawn(gateway.oneshot(request(CHAT)));
    tokio::task::yield_now().await;
    let (begun, limit) = (Instant::now(), Duration::from_secs(10));
    assert!(!finisher.close_within(limit).await, "nothing is written");
    assert_took(begun, limit);
    // A retry finds the finish already written.
    recorder.let_through();
    assert!(finisher.close_within(limit).await);
    assert_took(begun, limit);
    assert_eq!(recorder.written(), 1);
    drop(call.await.unwrap());
}
