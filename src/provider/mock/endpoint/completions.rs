//! `POST /v1/completions`

use serde_json::{Value, json};

use super::{Answers, Events};
use crate::provider::mock::{
    CREATED,
    ask::{Ask, BadField, flag},
    openai,
    options::Reported,
    plan::Plan,
};

/// The most prompts in one request.
const PROMPTS_MAX: usize = 2048;
/// The highest `best_of`, as at the vendor: answers to one prompt that are generated to return the best ones.
const BEST_OF_MAX: u64 = 20;

pub(super) static ANSWERS: Answers = Answers {
    read,
    said,
    reported: Reported::Final,
    whole,
    stream: Some(Events { opening, content, closing }),
};

/// Each text, and each list of tokens, is a prompt.
fn prompts(body: &Value) -> Vec<&Value> {
    match body.get("prompt") {
        Some(Value::Array(list)) if !list.iter().all(Value::is_number) => list.iter().collect(),
        Some(one) => vec![one],
        None => Vec::new(),
    }
}

fn read(body: &Value, ask: &mut Ask) -> Result<(), BadField> {
    let prompts = prompts(body);
    if prompts.len() > PROMPTS_MAX {
        return Err(BadField("prompt", "must have at most 2048 elements"));
    }
    let best_of = body.get("best_of").and_then(Value::as_u64).unwrap_or(ask.answers);
    if best_of < ask.answers || best_of > BEST_OF_MAX.max(ask.answers) {
        return Err(BadField("best_of", "must be from n to 20"));
    }
    if best_of > ask.answers && ask.stream {
        return Err(BadField("best_of", "cannot be streamed"));
    }
    if flag(body.get("echo")) {
        // A prompt of token ids is echoed as JSON, as the mock cannot decode tokens.
        let text =
            |prompt: &&Value| prompt.as_str().map_or_else(|| prompt.to_string(), str::to_owned);
        ask.echoed = prompts.iter().map(text).collect();
    }
    let count = u64::try_from(prompts.len()).unwrap_or(u64::MAX);
    ask.output_cap = ask.output_cap.or(Some(16));
    ask.written = best_of.saturating_mul(count);
    ask.answers = ask.answers.saturating_mul(count);
    Ok(())
}

fn said(body: &Value) -> Vec<&str> {
    prompts(body).into_iter().filter_map(Value::as_str).collect()
}

fn whole(plan: &Plan) -> Value {
    let mut answer = document(
        plan,
        &choices(plan, &openai::finish_reason(plan).into(), |index| {
            format!("{}{}", echoed(plan, index), plan.text())
        }),
    );
    openai::report(&mut answer, plan, plan.figures());
    answer
}

/// The events before the first content: the prompts, if the request asks to echo them.
fn opening(plan: &Plan) -> String {
    each_answer(plan, 0, &Value::Null, |index| echoed(plan, index).to_owned())
}

/// The events of chunk number `chunk`, counted from 0.
fn content(plan: &Plan, chunk: usize) -> String {
    let text = plan.chunk_text(chunk);
    each_answer(plan, chunk.saturating_add(1), &Value::Null, |_| text.clone())
}

/// The events after the last content.
fn closing(plan: &Plan) -> String {
    let finish_reason = openai::finish_reason(plan).into();
    let events = each_answer(plan, plan.chunks(), &finish_reason, |_| String::new());
    events + &openai::end(plan, document(plan, &[]))
}

/// One event for each answer that was asked for. After it, `done` chunks of content have been sent.
fn each_answer(
    plan: &Plan,
    done: usize,
    finish_reason: &Value,
    text: impl Fn(u64) -> String,
) -> String {
    let choices = choices(plan, finish_reason, text);
    let event = |choice| {
        let mut chunk = document(plan, &[choice]);
        openai::report_so_far(&mut chunk, plan, done);
        openai::event(&chunk)
    };
    choices.into_iter().map(event).collect()
}

fn choices(plan: &Plan, finish_reason: &Value, text: impl Fn(u64) -> String) -> Vec<Value> {
    let choice = |index| json!({"index": index, "text": text(index), "logprobs": null, "finish_reason": finish_reason});
    (0..plan.ask.answers).map(choice).collect()
}

/// The echoed prompt with which answer number `index` begins. Answers to the same prompt have consecutive numbers.
fn echoed(plan: &Plan, index: u64) -> &str {
    let prompts = u64::try_from(plan.ask.echoed.len()).unwrap_or(u64::MAX);
    let prompt = index.saturating_mul(prompts).checked_div(plan.ask.answers);
    let prompt = prompt.and_then(|prompt| usize::try_from(prompt).ok());
    prompt.and_then(|prompt| plan.ask.echoed.get(prompt)).map_or("", String::as_str)
}

/// An answer, or a chunk of a stream: both have the same fields.
fn document(plan: &Plan, choices: &[Value]) -> Value {
    json!({
        "id": format!("cmpl-{}", plan.id),
        "object": "text_completion",
        "created": CREATED,
        "model": plan.ask.model,
        "choices": choices,
        "system_fingerprint": "fp_mock",
    })
}
