//! `POST /v1/messages`

use serde_json::{Value, json};

use super::{Answers, Events};
use crate::provider::mock::{
    ask::{self, Ask, BadField},
    options::Reported,
    plan::{Figures, Plan},
};

pub(super) static ANSWERS: Answers = Answers {
    read,
    said: ask::last_user_message,
    reported: Reported::Cumulative,
    whole,
    stream: Some(Events { opening, content, closing }),
};

fn read(_: &Value, ask: &mut Ask) -> Result<(), BadField> {
    if ask.output_cap.is_none() {
        return Err(BadField("max_tokens", "is required"));
    }
    Ok(())
}

fn whole(plan: &Plan) -> Value {
    let mut answer = json!({
        "id": id(plan),
        "type": "message",
        "role": "assistant",
        "model": plan.ask.model,
        "content": [{"type": "text", "text": plan.text(), "citations": null}],
        "stop_reason": stop_reason(plan),
        "stop_sequence": null,
    });
    if let (Value::Object(fields), true) = (&mut answer, plan.reported != Reported::None) {
        fields.insert("usage".into(), usage(plan.figures()));
    }
    answer
}

/// The events before the first content.
///
/// With `x-mock-usage: final` the first event's usage is all zero, as at some compatible servers.
fn opening(plan: &Plan) -> String {
    let mut message = json!({
        "id": id(plan),
        "type": "message",
        "role": "assistant",
        "model": plan.ask.model,
        "content": [],
        "stop_reason": null,
        "stop_sequence": null,
    });
    let so_far = match plan.reported {
        Reported::None => None,
        Reported::Final => Some(Figures::default()),
        // The vendor counts the first output token before it sends any content.
        Reported::Cumulative => {
            Some(Figures { output: plan.output.min(1), ..plan.figures_after(0) })
        }
    };
    if let (Value::Object(fields), Some(figures)) = (&mut message, so_far) {
        fields.insert("usage".into(), usage(figures));
    }
    let mut events = event("message_start", &json!({"type": "message_start", "message": message}));
    events.push_str(&event(
        "content_block_start",
        &json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
    ));
    events.push_str(&event("ping", &json!({"type": "ping"})));
    events
}

/// The event of chunk number `chunk`, counted from 0.
fn content(plan: &Plan, chunk: usize) -> String {
    let delta = json!({"type": "text_delta", "text": plan.chunk_text(chunk)});
    event(
        "content_block_delta",
        &json!({"type": "content_block_delta", "index": 0, "delta": delta}),
    )
}

/// The events after the last content, with the usage of the whole answer.
fn closing(plan: &Plan) -> String {
    let mut events =
        event("content_block_stop", &json!({"type": "content_block_stop", "index": 0}));
    let mut delta = json!({
        "type": "message_delta",
        "delta": {"stop_reason": stop_reason(plan), "stop_sequence": null},
    });
    if let (Value::Object(fields), true) = (&mut delta, plan.reported != Reported::None) {
        fields.insert("usage".into(), usage(plan.figures()));
    }
    events.push_str(&event("message_delta", &delta));
    events.push_str(&event("message_stop", &json!({"type": "message_stop"})));
    events
}

/// In Anthropic's usage, `input_tokens` does not include cached input.
fn usage(figures: Figures) -> Value {
    let uncached = figures.input.saturating_sub(figures.cached).saturating_sub(figures.cache_write);
    json!({
        "input_tokens": uncached,
        "cache_creation_input_tokens": figures.cache_write,
        "cache_read_input_tokens": figures.cached,
        "cache_creation": {"ephemeral_5m_input_tokens": figures.cache_write, "ephemeral_1h_input_tokens": 0},
        "output_tokens": figures.output,
        "output_tokens_details": {"thinking_tokens": figures.reasoning},
        "service_tier": "standard",
    })
}

fn event(name: &str, document: &Value) -> String {
    format!("event: {name}\ndata: {document}\n\n")
}

fn id(plan: &Plan) -> String {
    format!("msg_{}", plan.id)
}

const fn stop_reason(plan: &Plan) -> &'static str {
    if plan.capped { "max_tokens" } else { "end_turn" }
}
