//! One settlement rule: nothing that a tenant does to a call makes it cheaper than letting the call end. A hold is given
//! back only where the provider refused before any answer.

use super::*;
use crate::{
    call::KillSwitch,
    context::{Overdue, Unanswered},
    domain::{
        finish::Ending,
        switch::{Switch, Switches},
    },
};

const ORGANIZATION: OrganizationId = OrganizationId::new(Uuid::from_u128(1));
/// How long the provider takes for its head, and then for each part.
const STEP: Duration = Duration::from_secs(20);
/// What the call costs if nobody disturbs it.
const WHOLE_COST: Credits = Credits::from_nanos(16_000);

type FromProvider = Result<Response<TestBody>, Infallible>;

/// What a tenant can do to its own call.
#[derive(Clone, Copy, Debug)]
enum Act {
    HangUp,
    Cut,
    CutAndHangUp,
    ReadSlowly,
}

/// A provider that takes a step for its head and for each part of its answer.
fn in_steps(
    layer: &CallLayer,
    disconnect: Disconnect,
    streams: bool,
) -> impl Service<
    Request<Full<Bytes>>,
    Response = Response<CallBody<std::io::Error>>,
    Error = Infallible,
    Future: Send,
> + Clone
+ use<> {
    layer.layer_over(service_fn(move |request: Request<RequestBody>| {
        hold(&request, disconnect);
        async move {
            tokio::time::sleep(STEP).await;
            let (sender, mut answer) = stream();
            let parts: Vec<Bytes> = if streams {
                [DELTA, STOP, USAGE, DONE].map(Bytes::from).into()
            } else {
                answer.headers_mut().insert("content-type", "application/json".parse().unwrap());
                ANSWER.as_bytes().chunks(ANSWER.len() / 3).map(Bytes::from_static).collect()
            };
            drop(tokio::spawn(async move {
                for part in parts {
                    tokio::time::sleep(STEP).await;
                    if sender.send(Ok(part)).await.is_err() {
                        return;
                    }
                }
            }));
            Ok::<_, Infallible>(answer)
        }
    }))
}

/// How the call ends if the tenant does this so long after it was sent.
async fn disturbed(act: Act, disconnect: Disconnect, streams: bool, after: Duration) -> Finish {
    let (recorder, switch) = (Recorder::open(), KillSwitch::default());
    let layer = layer(&recorder).kill_switch(switch.clone());
    let gateway = in_steps(&layer, disconnect, streams);
    let body = if streams { CHAT_STREAM } else { CHAT };
    let client = tokio::spawn(async move {
        let mut body = gateway.oneshot(request(body)).await.unwrap().into_body();
        while body.frame().await.is_some() {
            if matches!(act, Act::ReadSlowly) {
                tokio::time::sleep(Duration::from_mins(40)).await;
            }
        }
    });
    tokio::time::sleep(after).await;
    if matches!(act, Act::Cut | Act::CutAndHangUp) {
        switch.cut(ORGANIZATION, &Switches::from_iter([Switch::Organization]));
        tokio::task::yield_now().await;
    }
    if matches!(act, Act::HangUp | Act::CutAndHangUp) {
        client.abort();
    }
    recorder.only_finish().await
}

#[tokio::test(start_paused = true)]
async fn nothing_that_a_tenant_does_to_a_call_makes_it_cheaper() {
    for act in [Act::HangUp, Act::Cut, Act::CutAndHangUp, Act::ReadSlowly] {
        for disconnect in [Disconnect::Drain, Disconnect::Cancel] {
            for streams in [false, true] {
                // Before the head, before the first part, after each part.
                for step in 0..5_u32 {
                    let after = STEP.saturating_mul(step).saturating_add(STEP / 2);
                    let finish = disturbed(act, disconnect, streams, after).await;
                    let charged = finish.settlement.unwrap().amount;
                    assert_eq!(
                        (charged, finish.estimated),
                        (WHOLE_COST, false),
                        "{act:?}, {disconnect:?}, streamed {streams}, after {after:?}: {finish:?}"
                    );
                }
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_cut_and_whose_provider_never_answers_costs_its_hold() {
    for body in [CHAT, CHAT_STREAM] {
        let (recorder, switch) = (Recorder::open(), KillSwitch::default());
        let gateway = layer(&recorder).kill_switch(switch.clone()).layer_over(service_fn(
            |request: Request<RequestBody>| {
                hold(&request, Disconnect::Cancel);
                std::future::pending::<FromProvider>()
            },
        ));
        let call = tokio::spawn(gateway.oneshot(request(body)));
        tokio::task::yield_now().await;
        switch.cut(ORGANIZATION, &Switches::from_iter([Switch::Organization]));
        assert_eq!(call.await.unwrap().unwrap().status(), 403);
        let finish = recorder.only_finish().await;
        assert_eq!((finish.ending, finish.status), (Ending::Cut, 403));
        assert_hold_charged(&finish);
    }
}

#[tokio::test(start_paused = true)]
async fn a_reasoning_model_that_is_given_up_costs_its_hold_though_its_words_were_few() {
    for (model, thoughts) in [("o3", false), ("gpt-5-mini", false), ("small", true)] {
        let recorder = Recorder::open();
        let (sender, streaming) = stream();
        if thoughts {
            let thought = DELTA.replace("\"content\"", "\"reasoning_content\"");
            sender.send(Ok(thought.into())).await.unwrap();
        }
        sender.send(Ok(DELTA.into())).await.unwrap();
        let gateway = gateway_with(&layer(&recorder).drain_max(MINUTE), streaming);
        let body = CHAT_STREAM.replace("\"small\"", &format!("{model:?}"));
        drop(gateway.oneshot(request(&body)).await.unwrap().into_body().frame().await);
        let finish = recorder.only_finish().await;
        assert_eq!(finish.ending, Ending::Abandoned);
        assert_hold_charged(&finish);
        drop(sender);
    }
}

/// A provider whose service gives up before the head, or after the first part, and then answers all the same.
async fn given_up(overdue: Overdue, body: &'static str) -> (u16, String, Finish) {
    let recorder = Recorder::open();
    let streams = body == CHAT_STREAM;
    let gateway = layer(&recorder).layer_over(service_fn(move |request: Request<RequestBody>| {
        hold(&request, Disconnect::Drain);
        let call = Call::of(&request).unwrap().clone();
        async move {
            if overdue == Overdue::Head {
                assert!(call.give_up(overdue), "it is listened to");
                tokio::time::sleep(STEP).await;
            }
            let (sender, mut answer) = stream();
            let parts = if streams {
                [DELTA.to_owned(), [STOP, USAGE, DONE].concat()]
            } else {
                answer.headers_mut().insert("content-type", "application/json".parse().unwrap());
                [ANSWER[..40].to_owned(), ANSWER[40..].to_owned()]
            };
            drop(tokio::spawn(async move {
                for part in parts {
                    sender.send(Ok(part.into())).await.unwrap();
                    tokio::time::sleep(STEP).await;
                    if overdue == Overdue::Piece {
                        call.give_up(overdue);
                        tokio::time::sleep(STEP).await;
                    }
                }
            }));
            Ok::<_, Infallible>(answer)
        }
    }));
    let answer = gateway.oneshot(request(body)).await.unwrap();
    let status = answer.status().as_u16();
    let text = text(answer.into_body()).await;
    assert_eq!(recorder.written(), 0, "the client does not wait for the usage");
    (status, text, recorder.only_finish().await)
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_provider_takes_too_long_costs_what_it_used() {
    for (overdue, body, told) in [
        (Overdue::Head, CHAT, 504),
        (Overdue::Head, CHAT_STREAM, 504),
        (Overdue::Piece, CHAT, 502),
        (Overdue::Piece, CHAT_STREAM, 200),
    ] {
        let (status, text, finish) = given_up(overdue, body).await;
        assert_eq!(status, told, "{overdue:?}");
        assert!(text.contains("\"error\"") && !text.contains("[DONE]"), "{text}");
        assert_eq!((finish.ending, finish.status), (Ending::Failed, told));
        let kept = finish.record.unwrap().response.unwrap();
        assert_eq!(kept, text, "what the client got");
        assert_eq!((finish.settlement.unwrap().amount, finish.estimated), (WHOLE_COST, false));
    }
}

#[tokio::test]
async fn a_stream_with_an_event_that_is_too_long_is_read_on_to_its_usage() {
    for at_once in [false, true] {
        let recorder = Recorder::open();
        let (sender, streaming) = stream();
        let long = DELTA.replace("hi there", &"x".repeat(1000));
        let parts = [DELTA, &long, STOP, USAGE, DONE];
        if at_once {
            sender.send(Ok(parts.concat().into())).await.unwrap();
        } else {
            for part in parts {
                sender.send(Ok(part.to_owned().into())).await.unwrap();
            }
        }
        let layer = layer(&recorder).event_bytes_max(500);
        let answer = gateway_with(&layer, streaming).oneshot(request(CHAT_STREAM)).await.unwrap();
        assert!(text(answer.into_body()).await.contains("provider_failed"));
        let finish = recorder.only_finish().await;
        assert_eq!((finish.ending, finish.estimated), (Ending::Failed, false), "{at_once}");
        assert_eq!(finish.settlement.unwrap().amount, WHOLE_COST);
    }
}

#[tokio::test]
async fn a_request_that_left_and_got_no_head_pays_its_input() {
    let recorder = Recorder::open();
    let mut answer = json("{}");
    *answer.status_mut() = http::StatusCode::BAD_GATEWAY;
    answer.extensions_mut().insert(Unanswered);
    let answer =
        gateway(&recorder, Disconnect::Drain, [answer]).oneshot(request(CHAT)).await.unwrap();
    assert_eq!(answer.status(), 502);
    let finish = recorder.only_finish().await;
    assert_eq!((finish.ending, finish.status), (Ending::Failed, 502));
    assert_counted_here(&finish, CHAT, 0);
}

#[tokio::test]
async fn an_answer_in_one_piece_that_is_withheld_costs_its_hold() {
    // Too long; broken off inside; no JSON.
    for case in 0..3 {
        let recorder = Recorder::open();
        let mut layer = layer(&recorder);
        let answer = match case {
            0 => {
                layer = layer.answer_bytes_max(ANSWER.len() - 1);
                json(ANSWER)
            }
            1 => {
                let (sender, mut broken) = stream();
                broken.headers_mut().insert("content-type", "application/json".parse().unwrap());
                sender.send(Ok(Bytes::from_static(b"{\"choices\":"))).await.unwrap();
                sender.send(Err(std::io::Error::other("reset"))).await.unwrap();
                broken
            }
            _ => json("<html>"),
        };
        let answer = gateway_with(&layer, answer).oneshot(request(CHAT)).await.unwrap();
        assert_eq!(answer.status(), 502);
        let finish = recorder.only_finish().await;
        assert_eq!((finish.ending, finish.status), (Ending::Failed, 502));
        assert_hold_charged(&finish);
    }
}

#[tokio::test]
async fn an_error_in_a_200_is_the_providers_refusal_and_costs_nothing() {
    const ERROR: &str = r#"{"error":{"message":"overloaded","code":502}}"#;
    let recorder = Recorder::open();
    let answer =
        gateway(&recorder, Disconnect::Drain, [json(ERROR)]).oneshot(request(CHAT)).await.unwrap();
    drop(text(answer.into_body()).await);
    let finish = recorder.only_finish().await;
    assert_eq!((finish.ending, finish.status), (Ending::Failed, 200));
    assert_not_paid(&finish);
}

#[tokio::test]
async fn a_stream_that_begins_with_an_error_costs_nothing_and_one_that_ends_with_it_is_paid() {
    const ERROR: &str = "data: {\"error\":{\"message\":\"overloaded\",\"code\":502}}\n\n";
    for (events, output) in [
        (vec![ERROR], None),
        (vec![": hello\n\n", ERROR, DONE], None),
        (vec![DELTA, ERROR, DONE], Some(2)),
    ] {
        let recorder = Recorder::open();
        let (sender, streaming) = stream();
        for event in &events {
            sender.send(Ok((*event).into())).await.unwrap();
        }
        drop(sender);
        let answer = gateway(&recorder, Disconnect::Drain, [streaming])
            .oneshot(request(CHAT_STREAM))
            .await
            .unwrap();
        assert!(text(answer.into_body()).await.contains("overloaded"));
        let finish = recorder.only_finish().await;
        assert_eq!(finish.ending, Ending::Failed);
        match output {
            Some(output) => assert_counted_here(&finish, CHAT_STREAM, output),
            None => assert_not_paid(&finish),
        }
    }
}
