//! What a request's body asks for, as far as the mock cares.

use serde_json::Value;

use super::options::Reported;
use crate::domain::endpoint::Endpoint;

/// What one request asks for.
#[derive(Clone, Debug)]
pub(super) struct Ask {
    pub(super) endpoint: Endpoint,
    pub(super) model: String,
    /// The answer is to be streamed, and its endpoint can.
    pub(super) stream: bool,
    /// Which usage a stream reports by default.
    pub(super) reported: Reported,
    pub(super) include_usage: bool,
    pub(super) output_cap: Option<u64>,
    /// Answers that are returned.
    pub(super) answers: u64,
    /// Answers that are written, and paid for.
    pub(super) written: u64,
    /// A quarter of the prompt's bytes, at least one: the mock's tokenizer. Less where the gateway knows
    /// that the prompt is less: a provider that reports more than can be true is a fault of its own.
    pub(super) input_tokens: u64,
    /// The words of the last user message: the answer says them again and again.
    pub(super) echo: Vec<String>,
    /// What each prompt's answers begin with.
    pub(super) echoed: Vec<String>,
    pub(super) embed: Embed,
}

/// What `/v1/embeddings` adds.
#[derive(Clone, Debug, Default)]
pub(super) struct Embed {
    /// Each input's JSON text: what its vector is made from.
    pub(super) inputs: Vec<String>,
    pub(super) dimensions: usize,
    pub(super) base64: bool,
}

/// The field at fault and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BadField(pub(super) &'static str, pub(super) &'static str);

pub(super) fn flag(value: Option<&Value>) -> bool {
    value.and_then(Value::as_bool).unwrap_or(false)
}

/// The texts of the last user message.
pub(super) fn last_user_message(body: &Value) -> Vec<&str> {
    let messages = body.get("messages").and_then(Value::as_array);
    let last = messages
        .and_then(|list| {
            list.iter().rev().find(|one| one.get("role").and_then(Value::as_str) == Some("user"))
        })
        .and_then(|message| message.get("content"));
    match last {
        Some(Value::String(text)) => vec![text],
        Some(Value::Array(parts)) => {
            parts.iter().filter_map(|part| part.get("text")?.as_str()).collect()
        }
        _ => Vec::new(),
    }
}
