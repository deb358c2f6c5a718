//! `POST /v1/chat/completions`

use serde_json::{Value, json};

use super::{Answers, Events};
use crate::provider::mock::{CREATED, ask, openai, options::Reported, plan::Plan};

pub(super) static ANSWERS: Answers = Answers {
    read: |_, _| Ok(()),
    said: ask::last_user_message,
    reported: Reported::Final,
    whole,
    stream: Some(Events { opening, content, closing }),
};

fn whole(plan: &Plan) -> Value {
    let text = plan.text();
    let choices: Vec<Value> = (0..plan.ask.answers)
        .map(|index| {
            json!({
                "index": index,
                "message": {"role": "assistant", "content": text, "refusal": null, "annotations": []},
                "logprobs": null,
                "finish_reason": openai::finish_reason(plan),
            })
        })
        .collect();
    let mut answer = json!({
        "id": id(plan),
        "object": "chat.completion",
        "created": CREATED,
        "model": plan.ask.model,
        "choices": choices,
        "service_tier": "default",
        "system_fingerprint": "fp_mock",
    });
    openai::report(&mut answer, plan, plan.figures());
    answer
}

/// The events before the first content.
fn opening(plan: &Plan) -> String {
    each_answer(
        plan,
        0,
        &json!({"role": "assistant", "content": "", "refusal": null}),
        &Value::Null,
    )
}

/// The events of chunk number `chunk`, counted from 0.
fn content(plan: &Plan, chunk: usize) -> String {
    let delta = json!({"content": plan.chunk_text(chunk)});
    each_answer(plan, chunk.saturating_add(1), &delta, &Value::Null)
}

/// The events after the last content.
fn closing(plan: &Plan) -> String {
    let finish_reason = openai::finish_reason(plan).into();
    let events = each_answer(plan, plan.chunks(), &json!({}), &finish_reason);
    events + &openai::end(plan, chunk_of(plan, &json!([])))
}

/// One event for each answer that was asked for. After it, `done` chunks of content have been sent.
fn each_answer(plan: &Plan, done: usize, delta: &Value, finish_reason: &Value) -> String {
    let mut events = String::new();
    for index in 0..plan.ask.answers {
        let choice = json!({"index": index, "delta": delta, "logprobs": null, "finish_reason": finish_reason});
        let mut chunk = chunk_of(plan, &json!([choice]));
        openai::report_so_far(&mut chunk, plan, done);
        events.push_str(&openai::event(&chunk));
    }
    events
}

fn chunk_of(plan: &Plan, choices: &Value) -> Value {
    json!({
        "id": id(plan),
        "object": "chat.completion.chunk",
        "created": CREATED,
        "model": plan.ask.model,
        "service_tier": "default",
        "system_fingerprint": "fp_mock",
        "choices": choices,
    })
}

fn id(plan: &Plan) -> String {
    format!("chatcmpl-{}", plan.id)
}
