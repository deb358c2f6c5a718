//! The parts of a request's body that the mock uses.

use serde_json::Value;

use super::options::Reported;
use crate::domain::endpoint::Endpoint;

/// What one request asks for.
#[derive(Clone, Debug)]
pub(super) struct Ask {
    pub(super) endpoint: Endpoint,
    pub(super) model: String,
    /// The request asks for a stream, and the endpoint can stream.
    pub(super) stream: bool,
    /// Which usage a stream reports by default.
    pub(super) reported: Reported,
    pub(super) include_usage: bool,
    pub(super) output_cap: Option<u64>,
    /// How many answers are returned.
    pub(super) answers: u64,
    /// How many answers are generated and billed.
    pub(super) written: u64,
    /// The mock's token count: a quarter of the prompt's bytes, at least one, but no more than the gateway counts. A
    /// provider that reports more tokens than the prompt can have would be a fault to test separately.
    pub(super) input_tokens: u64,
    /// The words of the last user message: the answer repeats them.
    pub(super) echo: Vec<String>,
    /// For `echo`: the text of each prompt, with which its answers begin.
    pub(super) echoed: Vec<String>,
    pub(super) embed: Embed,
}

/// The fields that only `/v1/embeddings` has.
#[derive(Clone, Debug, Default)]
pub(super) struct Embed {
    /// The JSON text of each input, from which its vector is made.
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
