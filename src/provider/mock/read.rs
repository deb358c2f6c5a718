//! Reads a request's body.

use serde_json::Value;

use super::{
    ask::{Ask, BadField, Embed, flag},
    endpoint::Answers,
};
use crate::domain::{endpoint::Endpoint, request};

/// The most words of the prompt that are repeated, and the most characters of each.
const ECHO_WORDS_MAX: usize = 64;
const ECHO_WORD_CHARS_MAX: usize = 16;
/// The most answers to one request, as at the vendors.
const ANSWERS_MAX: u64 = 128;

/// Reads a request's body.
pub(super) fn read(endpoint: Endpoint, body: &[u8]) -> Result<Ask, BadField> {
    let raw = body;
    let body: Value = serde_json::from_slice(raw).map_err(|_| BadField("body", "is not JSON"))?;
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
    let mut ask = Ask {
        endpoint,
        model,
        stream: answers_of.stream.is_some() && flag(body.get("stream")),
        reported: answers_of.reported,
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

fn text(body: &Value, name: &str) -> Option<String> {
    body.get(name)?.as_str().map(str::to_owned)
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

/// The bytes of all strings in a value. A number (a token id) counts as four bytes, which are one token.
fn text_bytes(value: &Value) -> u64 {
    match value {
        Value::String(text) => u64::try_from(text.len()).unwrap_or(u64::MAX),
        Value::Number(_) => 4,
        Value::Array(list) => list.iter().map(text_bytes).fold(0, u64::saturating_add),
        Value::Object(fields) => fields.values().map(text_bytes).fold(0, u64::saturating_add),
        Value::Null | Value::Bool(_) => 0,
    }
}

fn words_of(texts: &[&str]) -> Vec<String> {
    let words = texts.iter().flat_map(|text| text.split_whitespace());
    words
        .take(ECHO_WORDS_MAX)
        .map(|word| word.chars().take(ECHO_WORD_CHARS_MAX).collect())
        .collect()
}
