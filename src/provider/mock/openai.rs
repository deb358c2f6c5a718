//! The common parts of answers in the shapes of `OpenAI`.

use serde_json::{Value, json};

use super::{
    CREATED,
    options::Reported,
    plan::{Figures, Plan},
};

/// The answer to `GET /v1/models`.
pub(super) fn models(names: &[String]) -> Value {
    json!({"object": "list", "data": names.iter().map(|name| model(name)).collect::<Vec<_>>()})
}

/// The answer to `GET /v1/models/{name}`.
pub(super) fn model(name: &str) -> Value {
    json!({"id": name, "object": "model", "created": CREATED, "owned_by": "mock"})
}

pub(super) fn report(answer: &mut Value, plan: &Plan, figures: Figures) {
    if plan.reported != Reported::None {
        set(answer, "usage", usage(figures));
    }
}

/// Sets the usage in a chunk of a stream. After this chunk, `done` chunks of content have been sent.
pub(super) fn report_so_far(chunk: &mut Value, plan: &Plan, done: usize) {
    if plan.ask.include_usage {
        let so_far = match plan.reported {
            Reported::Cumulative => usage(plan.figures_after(done)),
            Reported::None | Reported::Final => Value::Null,
        };
        set(chunk, "usage", so_far);
    }
}

/// The last events of a stream: the usage in a chunk without choices, if the request asks for it, and `[DONE]`.
pub(super) fn end(plan: &Plan, mut empty_chunk: Value) -> String {
    let mut events = String::new();
    if plan.ask.include_usage && plan.reported != Reported::None {
        set(&mut empty_chunk, "usage", usage(plan.figures()));
        events.push_str(&event(&empty_chunk));
    }
    events.push_str("data: [DONE]\n\n");
    events
}

fn usage(figures: Figures) -> Value {
    let mut input = json!({"cached_tokens": figures.cached, "audio_tokens": 0});
    if figures.cache_write > 0 {
        set(&mut input, "cache_write_tokens", figures.cache_write.into());
    }
    json!({
        "prompt_tokens": figures.input,
        "completion_tokens": figures.output,
        "total_tokens": figures.input.saturating_add(figures.output),
        "prompt_tokens_details": input,
        "completion_tokens_details": {
            "reasoning_tokens": figures.reasoning,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    })
}

pub(super) fn event(document: &Value) -> String {
    format!("data: {document}\n\n")
}

pub(super) fn set(document: &mut Value, name: &str, value: Value) {
    if let Value::Object(fields) = document {
        fields.insert(name.to_owned(), value);
    }
}

pub(super) const fn finish_reason(plan: &Plan) -> &'static str {
    if plan.capped { "length" } else { "stop" }
}
