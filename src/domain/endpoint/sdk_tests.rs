//! What is done with each field that the vendors' own clients can send: openai 3.57.0 and anthropic 2.14.0 for Python,
//! of November 2026 (the beta parameters of Anthropic's client included). A newer client's field gets a row here.

use serde_json::{Value, json};

use super::Endpoint;
use crate::domain::request::read;

use Verdict::{Bounded, Free, Header, Refused};

/// What is done with a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// Cannot raise the bill: passes.
    Free,
    /// What it costs is in the hold: passes.
    Bounded,
    /// No known bound, or not the caller's own: refused by name, unless it is empty.
    Refused,
    /// The client sends it as a header. In a body it is refused.
    Header,
}

/// A field, what is done with it, and a value that a client would send.
type Row = (&'static str, Verdict, Value);

fn chat_completions() -> Vec<Row> {
    let function = json!({"name": "f", "parameters": {}});
    vec![
        ("messages", Bounded, json!([{"role": "user", "content": "x"}])),
        ("model", Bounded, json!("gpt-4o")),
        ("audio", Refused, json!({"voice": "a", "format": "mp3"})),
        ("frequency_penalty", Free, json!(0.5)),
        ("function_call", Bounded, json!({"name": "f"})),
        ("functions", Bounded, json!([function])),
        ("logit_bias", Free, json!({"1": 5})),
        ("logprobs", Free, json!(true)),
        ("max_completion_tokens", Bounded, json!(9)),
        ("max_tokens", Bounded, json!(9)),
        ("metadata", Free, json!({"a": "b"})),
        ("modalities", Refused, json!(["text", "audio"])),
        ("modalities", Free, json!(["text"])),
        ("moderation", Refused, json!({"model": "m"})),
        ("n", Bounded, json!(2)),
        ("parallel_tool_calls", Free, json!(true)),
        ("prediction", Bounded, json!({"type": "content", "content": "x"})),
        ("presence_penalty", Free, json!(0.5)),
        ("prompt_cache_key", Free, json!("k")),
        ("prompt_cache_options", Free, json!({"mode": "explicit", "ttl": "30m"})),
        ("prompt_cache_retention", Free, json!("24h")),
        ("reasoning_effort", Bounded, json!("high")),
        ("response_format", Bounded, json!({"type": "json_object"})),
        ("safety_identifier", Free, json!("s")),
        ("seed", Free, json!(7)),
        ("service_tier", Refused, json!("flex")),
        ("service_tier", Refused, json!("scale")),
        ("service_tier", Refused, json!("priority")),
        ("service_tier", Refused, json!("fast")),
        ("service_tier", Free, json!("default")),
        ("stop", Free, json!(["x"])),
        ("store", Refused, json!(true)),
        ("store", Free, json!(false)),
        ("stream", Free, json!(true)),
        ("stream_options", Free, json!({"include_usage": true, "include_obfuscation": false})),
        ("temperature", Free, json!(1)),
        (
            "tool_choice",
            Bounded,
            json!({"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": []}}),
        ),
        (
            "tools",
            Bounded,
            json!([{"type": "function", "function": function}, {"type": "custom", "custom": {"name": "c"}}]),
        ),
        ("top_logprobs", Free, json!(20)),
        ("top_p", Free, json!(0.5)),
        ("user", Free, json!("u")),
        ("verbosity", Bounded, json!("low")),
        ("web_search_options", Refused, json!({"search_context_size": "low"})),
    ]
}

fn completions() -> Vec<Row> {
    vec![
        ("model", Bounded, json!("gpt-3.5-turbo-instruct")),
        ("prompt", Bounded, json!("x")),
        ("best_of", Bounded, json!(2)),
        ("echo", Bounded, json!(true)),
        ("frequency_penalty", Free, json!(0.5)),
        ("logit_bias", Free, json!({"1": 5})),
        ("logprobs", Free, json!(5)),
        ("max_tokens", Bounded, json!(9)),
        ("n", Bounded, json!(2)),
        ("presence_penalty", Free, json!(0.5)),
        ("seed", Free, json!(7)),
        ("stop", Free, json!("x")),
        ("stream", Free, json!(true)),
        ("stream_options", Free, json!({"include_usage": true})),
        ("suffix", Bounded, json!("x")),
        ("temperature", Free, json!(1)),
        ("top_p", Free, json!(0.5)),
        ("user", Free, json!("u")),
    ]
}

fn embeddings() -> Vec<Row> {
    vec![
        ("input", Bounded, json!(["x"])),
        ("model", Bounded, json!("text-embedding-3-small")),
        ("dimensions", Free, json!(256)),
        ("encoding_format", Free, json!("base64")),
        ("user", Free, json!("u")),
    ]
}

fn messages() -> Vec<Row> {
    let ephemeral = json!({"type": "ephemeral", "ttl": "1h"});
    vec![
        ("max_tokens", Bounded, json!(9)),
        ("messages", Bounded, json!([{"role": "user", "content": "x"}])),
        ("model", Bounded, json!("claude-sonnet-5")),
        ("betas", Header, json!(["compact-2026-01-12"])),
        ("billing_policy", Refused, json!({"type": "x"})),
        ("cache_control", Bounded, ephemeral),
        ("compaction", Refused, json!({"type": "x"})),
        ("container", Refused, json!("c")),
        ("context_management", Free, json!({"edits": [{"type": "clear_thinking_20251015"}]})),
        ("context_management", Refused, json!({"edits": [{"type": "compact_20260112"}]})),
        ("diagnostics", Refused, json!({"previous_message_id": "msg_1"})),
        ("diagnostics", Free, json!({"previous_message_id": null})),
        ("fallback_credit_token", Refused, json!("t")),
        ("fallbacks", Refused, json!("default")),
        ("inference_geo", Refused, json!("us")),
        ("inference_geo", Free, json!("global")),
        ("mcp_servers", Refused, json!([{"type": "url", "url": "u", "name": "n"}])),
        ("metadata", Free, json!({"user_id": "u"})),
        (
            "output_config",
            Bounded,
            json!({"effort": "high", "format": {"type": "json_schema", "schema": {}}, "task_budget": {"type": "tokens", "total": 9}}),
        ),
        // Older versions, and the helper that parses answers, send the format under this name.
        ("output_format", Bounded, json!({"type": "json_schema", "schema": {}})),
        ("service_tier", Free, json!("auto")),
        ("service_tier", Free, json!("standard_only")),
        ("speed", Refused, json!("fast")),
        ("speed", Free, json!("standard")),
        ("stop_sequences", Free, json!(["x"])),
        ("stream", Free, json!(true)),
        ("system", Bounded, json!([{"type": "text", "text": "x"}])),
        // Older versions send these three.
        ("temperature", Free, json!(1)),
        ("top_k", Free, json!(5)),
        ("top_p", Free, json!(0.5)),
        (
            "thinking",
            Bounded,
            json!({"type": "enabled", "budget_tokens": 2_048, "display": "omitted", "block_binding": null}),
        ),
        ("thinking", Bounded, json!({"type": "adaptive", "display": "summarized"})),
        ("thread", Refused, json!({"type": "create"})),
        (
            "tool_choice",
            Bounded,
            json!({"type": "tool", "name": "f", "disable_parallel_tool_use": true}),
        ),
        ("tools", Bounded, json!([{"name": "f", "input_schema": {"type": "object"}}])),
        ("tools", Refused, json!([{"type": "web_search_20260318", "name": "web_search"}])),
        ("user_profile_id", Refused, json!("u")),
        ("workspace_id", Refused, json!("w")),
    ]
}

fn rows(endpoint: Endpoint) -> Vec<Row> {
    match endpoint {
        Endpoint::ChatCompletions => chat_completions(),
        Endpoint::Completions => completions(),
        Endpoint::Embeddings => embeddings(),
        Endpoint::Messages => messages(),
    }
}

#[test]
fn each_field_of_the_vendors_clients_passes_or_is_refused_by_name_as_the_list_says() {
    for &endpoint in Endpoint::ALL {
        let rows = rows(endpoint);
        for (name, verdict, value) in &rows {
            // The first value of each required field, and this one.
            let mut body = json!({"model": "m"});
            let prompt = endpoint.spec().prompt.field();
            let (_, _, first) = rows.iter().find(|(name, ..)| *name == prompt).unwrap();
            body[prompt] = first.clone();
            body[*name] = value.clone();
            let found = read(endpoint, body.to_string().as_bytes());
            match verdict {
                Free | Bounded => assert!(found.is_ok(), "{endpoint:?} {name} {value}: {found:?}"),
                Refused | Header => {
                    let field = found.unwrap_err().field;
                    assert_eq!(field.as_deref(), Some(*name), "{endpoint:?} {value}");
                }
            }
        }
    }
}

#[test]
fn a_client_that_sends_null_for_every_field_that_it_does_not_use_is_served() {
    for &endpoint in Endpoint::ALL {
        let prompt = endpoint.spec().prompt.field();
        let mut body = json!({});
        for (name, ..) in rows(endpoint) {
            body[name] = Value::Null;
        }
        for (name, _, value) in rows(endpoint) {
            if name == "model" || name == prompt {
                body[name] = value;
            }
        }
        if endpoint == Endpoint::Messages {
            body["system"] = json!("x");
        }
        let found = read(endpoint, body.to_string().as_bytes());
        assert!(found.is_ok(), "{endpoint:?}: {found:?}");
    }
}
