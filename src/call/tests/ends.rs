//! Answers that are not streams: the call ends before the answer is sent.

use http::StatusCode;
use tokio_test::{assert_pending, task};

use super::*;
use crate::{domain::finish::Ending, refusal::Refusal};

#[tokio::test]
async fn an_answer_waits_until_its_finish_is_durable() {
    let recorder = Recorder::closed();
    let gateway = gateway(&recorder, Disconnect::Drain, [json(ANSWER)]);
    let mut answer = task::spawn(gateway.oneshot(request(CHAT)));
    assert_pending!(answer.poll());
    tokio::task::yield_now().await;
    assert_pending!(answer.poll());
    recorder.let_through();
    let body = answer.await.unwrap().into_body();
    // So that the server declares its length.
    assert_eq!(body.size_hint().exact(), u64::try_from(ANSWER.len()).ok());
    assert_eq!(text(body).await, ANSWER);

    let finish = recorder.only_finish().await;
    assert_eq!((finish.ending, finish.status, finish.estimated), (Ending::Complete, 200, false));
    assert_eq!((finish.usage.input, finish.usage.output), (10, 3));
    // 10 × 1,000 + 3 × 2,000 nano-dollars
    assert_eq!(finish.settlement.unwrap().amount, Credits::from_nanos(16_000));
    assert_eq!(finish.answered_by.as_deref(), Some("small-1"));
    let record = finish.record.unwrap();
    assert_eq!((record.request.as_deref(), record.response.as_deref()), (Some(CHAT), Some(ANSWER)));
}

#[tokio::test]
async fn whoever_answers_the_price_is_that_of_the_model_that_was_asked_for() {
    const OTHER: &str = r#"{"id":"c","model":"large-9","choices":[{"message":{"content":"hi"}}],"usage":{"prompt_tokens":10,"completion_tokens":3}}"#;
    let recorder = Recorder::open();
    let gateway = gateway(&recorder, Disconnect::Drain, [json(OTHER)]);
    let answer = gateway.oneshot(request(CHAT)).await.unwrap();
    assert_eq!(text(answer.into_body()).await, OTHER);
    let finish = recorder.only_finish().await;
    assert_eq!((finish.model.as_str(), finish.answered_by.as_deref()), ("small", Some("large-9")));
    let settlement = finish.settlement.unwrap();
    assert_eq!(
        (settlement.amount, settlement.price_id),
        (Credits::from_nanos(16_000), price().price_id)
    );
}

#[tokio::test(start_paused = true)]
async fn an_answer_whose_finish_cannot_be_written_is_withheld_and_the_finish_retried_until_it_is() {
    let recorder = Recorder::open();
    recorder.fail(8);
    let gateway = gateway(&recorder, Disconnect::Drain, [json(ANSWER)]);
    let answer = gateway.oneshot(request(CHAT)).await.unwrap();
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(!text(answer.into_body()).await.contains("hi there"));
    let finish = recorder.only_finish().await;
    // The client did not get the answer, and the row says so. What the provider did is charged all the same.
    assert_eq!((finish.ending, finish.status), (Ending::Failed, 503));
    assert_eq!(finish.settlement.unwrap().amount, Credits::from_nanos(16_000));
}

#[tokio::test(start_paused = true)]
async fn an_attempt_to_write_that_has_begun_decides_what_the_client_gets() {
    // Seconds until the journal answers, and the status. The row says the same, unless the journal took far too long.
    for (answers, status) in [(4, 200), (9, 200), (11, 503)] {
        let recorder = Recorder::closed();
        let gateway = gateway_with(&layer(&recorder), json(ANSWER));
        let begun = Instant::now();
        let call = tokio::spawn(async move {
            let answer = gateway.oneshot(request(CHAT)).await.unwrap();
            (answer.status(), begun.elapsed())
        });
        tokio::time::sleep(Duration::from_secs(answers)).await;
        recorder.let_through();
        let (told, after) = call.await.unwrap();
        assert_eq!((told.as_u16(), after.as_secs()), (status, answers.min(10)));
        assert_eq!(recorder.only_finish().await.ending, Ending::Complete);
    }
}

#[tokio::test]
async fn a_provider_that_refuses_is_not_paid() {
    for status in [400, 429, 500, 503] {
        let recorder = Recorder::open();
        let mut refusal = json(r#"{"error":{"message":"no"}}"#);
        *refusal.status_mut() = StatusCode::from_u16(status).unwrap();
        let answer =
            gateway(&recorder, Disconnect::Drain, [refusal]).oneshot(request(CHAT)).await.unwrap();
        assert_eq!(answer.status(), status);
        let finish = recorder.only_finish().await;
        assert_eq!((finish.ending, finish.status), (Ending::Failed, status));
        assert_not_paid(&finish);
    }
}

#[tokio::test]
async fn a_refusal_by_a_layer_inside_writes_nothing() {
    let recorder = Recorder::open();
    let gateway =
        layer(&recorder).layer_over(service_fn(|request: Request<RequestBody>| async move {
            Ok::<_, Infallible>(
                Refusal::ModelNotAllowed("small".into()).answer::<_, Full<Bytes>>(&request),
            )
        }));
    let answer = gateway.oneshot(request(CHAT)).await.unwrap();
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);
    tokio::task::yield_now().await;
    assert_eq!(recorder.written(), 0);
}

#[tokio::test]
async fn an_answer_without_usage_is_counted_here_and_never_free() {
    let recorder = Recorder::open();
    let answer = r#"{"choices":[{"message":{"content":"hi there"},"finish_reason":"stop"}]}"#;
    let gateway = gateway(&recorder, Disconnect::Drain, [json(answer)]);
    let answered = gateway.oneshot(request(CHAT)).await.unwrap();
    assert_eq!(text(answered.into_body()).await, answer);
    let finish = recorder.only_finish().await;
    assert_eq!(finish.ending, Ending::Complete);
    assert_counted_here(&finish, CHAT, 2);
}

#[tokio::test]
async fn a_success_that_is_no_json_is_withheld_as_502_and_costs_its_hold() {
    for garbage in ["<html>not an answer", "{\"choices\":[", "", "\u{0}"] {
        let recorder = Recorder::open();
        let gateway = gateway(&recorder, Disconnect::Drain, [json(garbage)]);
        let answered = gateway.oneshot(request(CHAT)).await.unwrap();
        assert_eq!(answered.status(), StatusCode::BAD_GATEWAY, "{garbage}");
        let finish = recorder.only_finish().await;
        assert_eq!((finish.ending, finish.status), (Ending::Failed, 502));
        assert_hold_charged(&finish);
    }
}

#[tokio::test]
async fn an_absurd_usage_is_clamped_to_the_hold() {
    for usage in [
        r#"{"prompt_tokens":10,"completion_tokens":-3}"#,
        r#"{"prompt_tokens":10,"completion_tokens":9223372036854775807}"#,
    ] {
        let recorder = Recorder::open();
        let answer = format!(
            r#"{{"choices":[{{"message":{{"content":"hi"}},"finish_reason":"stop"}}],"usage":{usage}}}"#
        );
        let answer = json(Box::leak(answer.into_boxed_str()));
        drop(gateway(&recorder, Disconnect::Drain, [answer]).oneshot(request(CHAT)).await.unwrap());
        let finish = recorder.only_finish().await;
        assert!(finish.clamped && finish.estimated, "{usage}");
        let settlement = finish.settlement.unwrap();
        assert_eq!((settlement.amount, settlement.tokens), (Credits::from_nanos(1_000_000), 500));
    }
}

/// The finish of a call whose answer reports this usage.
async fn finish_of(usage: &str) -> Finish {
    let recorder = Recorder::open();
    let answer = format!(
        r#"{{"choices":[{{"message":{{"content":"hi there"}},"finish_reason":"stop"}}],"usage":{usage}}}"#
    );
    let answer = json(Box::leak(answer.into_boxed_str()));
    drop(gateway(&recorder, Disconnect::Drain, [answer]).oneshot(request(CHAT)).await.unwrap());
    recorder.only_finish().await
}

#[tokio::test]
async fn figures_of_another_call_are_clamped_to_the_hold_and_counted_here() {
    for usage in [
        r#"{"prompt_tokens":19000000,"completion_tokens":3}"#,
        r#"{"prompt_tokens":10,"completion_tokens":400000}"#,
    ] {
        let finish = finish_of(usage).await;
        assert!(finish.clamped && finish.estimated, "{usage}");
        let settlement = finish.settlement.unwrap();
        assert_eq!((settlement.amount, settlement.tokens), (Credits::from_nanos(1_000_000), 500));
        // "hi there", and a request of some dozen tokens.
        assert_eq!(finish.usage.output, 2);
        assert!((1..100).contains(&finish.usage.input), "{usage}");
    }
}

#[tokio::test]
async fn an_odd_figure_beside_good_ones_does_not_make_the_hold_the_price() {
    let thousand = |input: i64, output: i64| Credits::from_nanos(input * 1_000 + output * 2_000);
    for (usage, amount, estimated) in [
        (
            r#"{"prompt_tokens":10.0,"completion_tokens":5.0,"total_tokens":15.0}"#,
            thousand(10, 5),
            false,
        ),
        (r#"{"prompt_tokens":10,"completion_tokens":5,"total_tokens":14}"#, thousand(10, 5), true),
        (r#"{"prompt_tokens":10,"completion_tokens":5,"total_tokens":-1}"#, thousand(10, 5), true),
        (
            r#"{"prompt_tokens":10,"completion_tokens":5,"total_tokens":900000000}"#,
            thousand(10, 5),
            true,
        ),
        (
            r#"{"prompt_tokens":10,"completion_tokens":5,"completion_tokens_details":{"reasoning_tokens":9}}"#,
            thousand(10, 5),
            true,
        ),
        (
            r#"{"prompt_tokens":10,"completion_tokens":5,"prompt_tokens_details":{"cached_tokens":11}}"#,
            thousand(10, 5),
            true,
        ),
    ] {
        let finish = finish_of(usage).await;
        assert_eq!((finish.clamped, finish.estimated), (false, estimated), "{usage}");
        assert_eq!(finish.settlement.unwrap().amount, amount, "{usage}");
    }
    // Thoughts that only the total has are paid for.
    let usage = r#"{"prompt_tokens":20,"completion_tokens":24,"total_tokens":116}"#;
    let finish = finish_of(usage).await;
    assert_eq!((finish.clamped, finish.estimated, finish.usage.reasoning), (false, false, 72));
    assert_eq!(finish.settlement.unwrap().tokens, 116);
}

#[tokio::test]
async fn usage_above_the_hold_that_can_be_true_is_charged_as_it_is() {
    let finish = finish_of(r#"{"prompt_tokens":2000,"completion_tokens":5000}"#).await;
    assert!(!finish.clamped && !finish.estimated);
    let settlement = finish.settlement.unwrap();
    assert_eq!(settlement.amount, Credits::from_nanos(2_000 * 1_000 + 5_000 * 2_000));
    assert_eq!(settlement.tokens, 7_000);
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_a_502_and_costs_its_hold() {
    let recorder = Recorder::open();
    let (sender, mut broken) = stream();
    broken.headers_mut().insert("content-type", "application/json".parse().unwrap());
    sender.send(Ok(Bytes::from_static(b"{\"choices\":"))).await.unwrap();
    sender.send(Err(std::io::Error::other("reset"))).await.unwrap();
    let answer =
        gateway(&recorder, Disconnect::Drain, [broken]).oneshot(request(CHAT)).await.unwrap();
    assert_eq!(answer.status(), StatusCode::BAD_GATEWAY);
    let finish = recorder.only_finish().await;
    assert_eq!((finish.ending, finish.status), (Ending::Failed, 502));
    assert_hold_charged(&finish);
}

#[tokio::test]
async fn an_inner_error_passes_through_and_the_hold_is_released() {
    let recorder = Recorder::open();
    let gateway =
        layer(&recorder).layer_over(service_fn(|request: Request<RequestBody>| async move {
            hold(&request, Disconnect::Drain);
            Err::<Response<TestBody>, _>("the inner service's own error")
        }));
    assert_eq!(gateway.oneshot(request(CHAT)).await.err(), Some("the inner service's own error"));
    let finish = recorder.only_finish().await;
    assert_eq!((finish.ending, finish.status), (Ending::Failed, 502));
    assert_not_paid(&finish);
}

#[tokio::test]
async fn what_waits_for_the_end_is_told_once_with_the_true_usage() {
    let recorder = Recorder::open();
    let told = Arc::new(Mutex::new(Vec::new()));
    let telling = Arc::clone(&told);
    let gateway = layer(&recorder).layer_over(service_fn(move |request: Request<RequestBody>| {
        let telling = Arc::clone(&telling);
        Call::of(&request).unwrap().at_end(move |report: &crate::context::Report| {
            telling.lock().unwrap().push(report.usage.total());
        });
        async move { Ok::<_, Infallible>(json(ANSWER)) }
    }));
    drop(gateway.oneshot(request(CHAT)).await.unwrap());
    assert_eq!(*told.lock().unwrap(), [13]);
}

#[tokio::test]
async fn closing_waits_for_open_calls_and_their_finishes() {
    let recorder = Recorder::closed();
    let finisher = Finisher::new(Arc::clone(&recorder), 4);
    let gateway = CallLayer::new(finisher.clone()).layer_over(service_fn(
        |request: Request<RequestBody>| async move {
            hold(&request, Disconnect::Drain);
            Ok::<_, Infallible>(json(ANSWER))
        },
    ));
    let mut answer = task::spawn(gateway.clone().oneshot(request(CHAT)));
    assert_pending!(answer.poll());
    let mut closing = task::spawn(finisher.close());
    assert_pending!(closing.poll());
    tokio::task::yield_now().await;
    assert_pending!(closing.poll());

    recorder.let_through();
    assert_eq!(answer.await.unwrap().status(), StatusCode::OK);
    closing.await;
    assert_eq!(recorder.written(), 1);
    let late = gateway.oneshot(request(CHAT)).await.unwrap();
    assert_eq!(late.status(), StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn what_is_cut_of_a_request_or_of_an_answer_is_marked() {
    for (bytes_max, truncated) in
        [(ANSWER.len(), false), (ANSWER.len() - 1, true), (CHAT.len() - 1, true)]
    {
        assert!(CHAT.len() < ANSWER.len() - 1, "the answer is the longer one");
        let recorder = Recorder::open();
        let provider = service_fn(move |request: Request<RequestBody>| {
            hold(&request, Disconnect::Drain);
            let keeping = Keeping { keep: Keep::Full, capture_bytes_max: bytes_max };
            Call::of(&request).unwrap().keep(keeping);
            async { Ok::<_, Infallible>(json(ANSWER)) }
        });
        let answer = layer(&recorder).layer_over(provider).oneshot(request(CHAT)).await.unwrap();
        assert_eq!(text(answer.into_body()).await, ANSWER);
        let record = recorder.only_finish().await.record.unwrap();
        let kept = |text: &str| Some(text[..bytes_max.min(text.len())].to_owned());
        assert_eq!((record.request, record.response), (kept(CHAT), kept(ANSWER)));
        assert_eq!(record.truncated, truncated, "{bytes_max}");
    }
}

/// The finish of a call that is recorded, with a hold only if `held`.
async fn kept(held: bool, mut answer: Response<TestBody>, by_layer: bool) -> Finish {
    let recorder = Recorder::open();
    if by_layer {
        let refused = crate::refusal::Refused { code: "x" };
        answer.extensions_mut().insert(refused);
    }
    let answer = Arc::new(Mutex::new(Some(answer)));
    let provider = service_fn(move |request: Request<RequestBody>| {
        let call = Call::of(&request).unwrap();
        if held {
            set_hold(call, Disconnect::Drain);
        }
        call.keep(Keeping { keep: Keep::Full, capture_bytes_max: 1 << 20 });
        let answer = answer.lock().unwrap().take().unwrap();
        async move { Ok::<_, Infallible>(answer) }
    });
    let answer = layer(&recorder).layer_over(provider).oneshot(request(CHAT)).await.unwrap();
    drop(text(answer.into_body()).await);
    recorder.only_finish().await
}

#[tokio::test]
async fn a_call_is_refused_where_a_layer_refused_it_before_it_was_held_for_and_else_it_has_failed()
{
    for (held, by_layer, ending) in [
        (false, true, Ending::Refused),
        (false, false, Ending::Failed),
        (true, true, Ending::Failed),
        (true, false, Ending::Failed),
    ] {
        let mut answer = json("{}");
        *answer.status_mut() = StatusCode::TOO_MANY_REQUESTS;
        let finish = kept(held, answer, by_layer).await;
        assert_eq!(finish.ending, ending, "held {held}, by a layer {by_layer}");
    }
}
