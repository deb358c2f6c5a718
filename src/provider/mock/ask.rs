//! What a request's body asks for, as far as the mock cares.

use serde_json::Value;

use super::endpoint::{Answers, Events};
use crate::domain::{endpoint::Endpoint, request};

/// Words of the prompt that are said back, at most, and characters of each.
const ECHO_WORDS_MAX: usize = 64;
const ECHO_WORD_CHARS_MAX: usize = 16;
/// Answers to one request, at most, as at the vendors.
const ANSWERS_MAX: u64 = 128;

/// What one request asks for.
#[derive(Clone, Debug)]
pub(super) struct Ask {
    pub(super) endpoint: Endpoint,
    pub(super) model: String,
    /// The streamed answer, if one is asked for.
    pub(super) stream: Option<Events>,
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

impl Ask {
    pub(super) fn read(endpoint: Endpoint, body: &[u8]) -> Result<Self, BadField> {
        let raw = body;
        let body: Value =
            serde_json::from_slice(raw).map_err(|_| BadField("body", "is not JSON"))?;
        let model = text(&body, "model").ok_or(BadField("model", "is required"))?;
        let answers_of = Answers::of(endpoint);
        let prompt = endpoint.spec().prompt.field();
        if body.get(prompt).is_none_or(Value::is_null) {
            return Err(BadField(prompt, "is required"));
        }
        let output_cap = ["max_tokens", "max_completion_tokens"]
            .iter()
            .filter_map(|name| body.get(*name)?.as_u64())
            .max();
        let answers = body.get("n").and_then(Value::as_u64).unwrap_or(1);
        if !(1..=ANSWERS_MAX).contains(&answers) {
            return Err(BadField("n", "is out of range"));
        }
        let mut ask = Self {
            endpoint,
            model,
            stream: answers_of.stream.filter(|_| flag(body.get("stream"))),
            include_usage: flag(
                body.get("stream_options").and_then(|options| options.get("include_usage")),
            ),
            output_cap,
            answers,
            written: answers,
            input_tokens: input_tokens(endpoint, raw, &body),
            echo: words_of(&(answers_of.said)(&body)),
            echoed: Vec::new(),
            embed: Embed::default(),
        };
        (answers_of.read)(&body, &mut ask)?;
        Ok(ask)
    }
}

fn text(body: &Value, name: &str) -> Option<String> {
    body.get(name)?.as_str().map(str::to_owned)
}

pub(super) fn flag(value: Option<&Value>) -> bool {
    value.and_then(Value::as_bool).unwrap_or(false)
}

fn input_tokens(endpoint: Endpoint, raw: &[u8], body: &Value) -> u64 {
    let prompt = ["system", endpoint.spec().prompt.field(), "suffix", "tools"];
    let bytes = prompt
        .iter()
        .filter_map(|name| body.get(*name))
        .map(text_bytes)
        .fold(0, u64::saturating_add);
    let counted = request::read(endpoint, raw).map_or(u64::MAX, |facts| facts.input_estimate);
    bytes.div_ceil(4).min(counted).max(1)
}

/// The bytes of all strings in a value; a number (an embedded token) counts as one token.
fn text_bytes(value: &Value) -> u64 {
    match value {
        Value::String(text) => u64::try_from(text.len()).unwrap_or(u64::MAX),
        Value::Number(_) => 4,
        Value::Array(list) => list.iter().map(text_bytes).fold(0, u64::saturating_add),
        Value::Object(fields) => fields.values().map(text_bytes).fold(0, u64::saturating_add),
        Value::Null | Value::Bool(_) => 0,
    }
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

fn words_of(texts: &[&str]) -> Vec<String> {
    let words = texts.iter().flat_map(|text| text.split_whitespace());
    words
        .take(ECHO_WORDS_MAX)
        .map(|word| word.chars().take(ECHO_WORD_CHARS_MAX).collect())
        .collect()
}
