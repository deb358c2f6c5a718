//! Which fields, keys and parts pass, which are bounded, and which are refused by name.

use serde_json::{Value, json};

use super::*;
use crate::domain::{dialect::Dialect, output, policy::AllowList};

const CHAT: Endpoint = Endpoint::ChatCompletions;
const MESSAGES: Endpoint = Endpoint::Messages;

fn with(endpoint: Endpoint, fields: &Value) -> Result<CallFacts, InvalidBody> {
    let mut body = json!({"model": "m"});
    body[endpoint.spec().prompt.field()] = match endpoint {
        Endpoint::Completions | Endpoint::Embeddings => json!("hello"),
        Endpoint::ChatCompletions | Endpoint::Messages => {
            json!([{"role": "user", "content": "hello"}])
        }
    };
    for (name, value) in fields.as_object().unwrap() {
        body[name] = value.clone();
    }
    read(endpoint, body.to_string().as_bytes())
}

fn part(endpoint: Endpoint, part: &Value) -> Result<CallFacts, InvalidBody> {
    with(endpoint, &json!({"messages": [{"role": "user", "content": [part]}]}))
}

fn refused(result: Result<CallFacts, InvalidBody>) -> (String, String) {
    let InvalidBody { field, message } = result.expect_err("refused");
    (field.expect("a field is named"), message)
}

#[test]
fn a_field_that_nobody_here_knows_is_refused_by_name_at_every_endpoint() {
    for &endpoint in Endpoint::ALL {
        for (name, value) in [
            ("enable_search", json!(true)),
            ("extra_body", json!({"enable_search": true})),
            ("provider", json!({"order": ["a"]})),
            ("preset", json!("a")),
            ("user_config", json!({"model_list": []})),
            ("deferred", json!(true)),
            ("something_new", json!("")),
            ("chat_template", json!("{{ messages }}")),
            ("prompt_logprobs", json!(5)),
            ("vector_store_ids", json!(["vs_1"])),
            ("file_ids", json!(["file_1"])),
            ("moderation", json!({"model": "omni-moderation"})),
            ("workspace_id", json!("w")),
        ] {
            let (field, message) = refused(with(endpoint, &json!({name: value})));
            assert_eq!(field, name, "{endpoint:?}");
            assert!(message.starts_with(name), "{message}");
            // A client that sends every field that it knows sends `null` for what it does not use.
            assert!(with(endpoint, &json!({name: null})).is_ok(), "{endpoint:?} {name}");
        }
    }
    let (_, message) = refused(with(CHAT, &json!({"something_new": 1})));
    assert!(message.contains("operator") && message.contains("allow_fields"), "{message}");
    let long = "x".repeat(10_000);
    let (field, message) = refused(with(CHAT, &json!({long: 1})));
    assert!(field.len() <= 64 && message.len() < 400);
}

#[test]
fn an_operator_allows_a_field_for_the_models_of_one_upstream_and_what_it_costs_in_text_counts() {
    let allowed = AllowedFields::default().route(
        Dialect::OpenAi,
        AllowList::Only(vec!["qwen-*".into()]),
        vec!["enable_search".into(), "store".into()],
    );
    let read = |model: &str, fields: Value| {
        let mut body = json!({"model": model, "messages": []});
        body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        read_with(CHAT, body.to_string().as_bytes(), &allowed)
    };
    let without = read("qwen-max", json!({})).unwrap().input_bound;
    let with = read("qwen-max", json!({"enable_search": true, "store": true})).unwrap();
    assert!(with.input_bound > without);
    assert_eq!(refused(read("gpt-4o", json!({"enable_search": true}))).0, "enable_search");
    assert_eq!(refused(read("gpt-4o", json!({"store": true}))).0, "store");
    assert_eq!(refused(read("qwen-max", json!({"other": true}))).0, "other");
    // A field that names another model is refused even if somebody has made a list with it.
    assert_eq!(refused(read("qwen-max", json!({"models": ["a"]}))).0, "models");
    // What is allowed is one spelling.
    assert_eq!(refused(read("qwen-max", json!({"Enable_Search": true}))).0, "Enable_Search");
}

#[test]
fn a_key_that_differs_from_a_known_one_only_by_case_is_refused_at_every_level() {
    let message = |message: Value| json!({"messages": [message]});
    let user = |part: Value| message(json!({"role": "user", "content": [part]}));
    for (endpoint, fields, known) in [
        (CHAT, json!({"Model": "large"}), "model"),
        (CHAT, json!({"MAX_TOKENS": 100_000}), "max_tokens"),
        (CHAT, json!({"N": 64}), "n"),
        (CHAT, json!({"me\u{17f}sages": []}), "messages"),
        (CHAT, json!({"max_to\u{212a}ens": 100_000}), "max_tokens"),
        (CHAT, json!({"Store": null}), "store"),
        (CHAT, json!({"Models": ["a"]}), "models"),
        (MESSAGES, json!({"System": "x"}), "system"),
        (MESSAGES, json!({"Max_tokens": 9}), "max_tokens"),
        (Endpoint::Completions, json!({"Best_of": 9}), "best_of"),
        (Endpoint::Embeddings, json!({"Input": "x"}), "input"),
        (CHAT, message(json!({"role": "user", "Content": "x"})), "content"),
        (CHAT, message(json!({"Role": "user", "content": "x"})), "role"),
        (CHAT, message(json!({"role": "assistant", "Audio": {"id": "a"}})), "audio"),
        (CHAT, user(json!({"type": "text", "text": "x", "Type": "input_audio"})), "type"),
        (CHAT, user(json!({"Type": "video_url", "text": "x"})), "type"),
        (CHAT, user(json!({"type": "text", "Text": "x"})), "text"),
        (CHAT, user(json!({"type": "image_url", "image_url": {"URL": "x"}})), "url"),
        (MESSAGES, user(json!({"type": "image", "source": {"type": "url", "Url": "x"}})), "url"),
        (CHAT, json!({"tools": [{"type": "function", "Type": "web_search"}]}), "type"),
        (CHAT, json!({"tools": [{"Type": "web_search"}]}), "type"),
        (MESSAGES, json!({"tools": [{"name": "f", "Type": "web_search_20250305"}]}), "type"),
        (CHAT, json!({"response_format": {"type": "text", "JSON_Schema": {}}}), "json_schema"),
        (CHAT, json!({"stream_options": {"Include_Usage": true}}), "include_usage"),
        (CHAT, json!({"prompt_cache_options": {"Mode": "implicit"}}), "mode"),
        (CHAT, json!({"prediction": {"type": "content", "Content": "x"}}), "content"),
        (MESSAGES, json!({"thinking": {"type": "enabled", "Budget_Tokens": 9}}), "budget_tokens"),
    ] {
        let (_, message) = refused(with(endpoint, &fields));
        assert!(
            message.contains(&format!("differs from {known} only by case")),
            "{fields}: {message}"
        );
    }
    // Foreign keys are nobody's business where nothing is read.
    for fields in [
        json!({"metadata": {"Model": "a", "model": "b"}}),
        json!({"tools": [{"type": "function", "function": {"name": "f", "parameters": {"Type": "x"}}}]}),
    ] {
        assert!(with(CHAT, &fields).is_ok(), "{fields}");
    }
}

#[test]
fn a_part_has_a_type_and_only_the_keys_of_its_type() {
    for wrong in [
        json!({"image_url": {"url": "u"}}),
        json!({"video_url": {"url": "u"}}),
        json!({"input_audio": {"data": "AAAA"}}),
        json!({"text": "x"}),
        json!({"type": "text", "text": "x", "video_url": {"url": "u"}}),
        json!({"type": "text", "text": "x", "uuid": "u"}),
        json!({"type": "image_url", "image_url": {"url": "u"}, "uuid": "u"}),
        json!({"type": "image_url", "image_url": {"url": "u", "frames": 900}}),
        json!({"type": "refusal", "refusal": "x", "image_url": {"url": "u"}}),
        json!({"type": "tool_result", "content": []}),
        json!({}),
    ] {
        assert_eq!(refused(part(CHAT, &wrong)).0, "messages", "{wrong}");
    }
    for wrong in [
        json!({"text": "x"}),
        json!({"type": "text", "text": "x", "source": {"type": "url", "url": "u"}}),
        json!({"type": "image", "source": {"type": "url", "url": "u", "data": "AAAA"}}),
        json!({"type": "image", "source": {"url": "u"}}),
        json!({"type": "document", "source": {"type": "text", "data": "x", "file_id": "f"}}),
        json!({"type": "tool_result", "tool_use_id": "t", "content": [{"text": "x"}]}),
        json!({"type": "tool_result", "tool_use_id": "t", "file_id": "f"}),
        json!({"type": "image_url", "image_url": {"url": "u"}}),
    ] {
        assert_eq!(refused(part(MESSAGES, &wrong)).0, "messages", "{wrong}");
    }
    let (field, message) = refused(with(MESSAGES, &json!({"system": [{"text": "x"}]})));
    assert_eq!(field, "system");
    assert!(message.contains("no type"), "{message}");
    let (_, message) = refused(part(CHAT, &json!({"type": "text", "text": "x", "uuid": "u"})));
    assert!(message.contains("uuid") && message.contains("text"), "{message}");
}

#[test]
fn the_newest_blocks_that_are_only_text_to_the_price_pass() {
    let cached = json!({"type": "ephemeral", "ttl": "1h"});
    for block in [
        json!({"type": "text", "text": "x", "citations": [{"type": "char_location"}], "cache_control": cached}),
        json!({"type": "text", "text": "x", "citations": null, "parsed_output": null}),
        json!({"type": "image", "source": {"type": "url", "url": "u"}, "transformations": {"oversized_image": "error"}}),
        json!({"type": "tool_use", "id": "t", "name": "f", "input": {"Type": "x"}, "caller": {"type": "direct"}, "toolset_name": null}),
        json!({"type": "tool_result", "tool_use_id": "t", "is_error": false, "toolset_name": "browser", "content": [
            {"type": "browser_state", "tabs": [{"tab_id": "1", "title": "x", "url": "u", "active": true}], "state_changes": null},
            {"type": "tool_reference", "tool_name": "f"},
        ]}),
        json!({"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "x"}, "title": "x", "context": "y", "citations": {"enabled": true}}),
        json!({"type": "search_result", "source": "s", "title": "t", "content": [{"type": "text", "text": "x"}], "citations": {"enabled": true}}),
        json!({"type": "thinking", "thinking": "x", "signature": "s"}),
        json!({"type": "redacted_thinking", "data": "x"}),
        json!({"type": "fallback", "from": {"model": "a"}, "to": {"model": "b"}}),
    ] {
        assert!(part(MESSAGES, &block).is_ok(), "{block}: {:?}", part(MESSAGES, &block));
    }
    for block in [
        json!({"type": "text", "text": "x", "prompt_cache_breakpoint": {"mode": "explicit", "ttl": "12h"}}),
        json!({"type": "image_url", "image_url": {"url": "u", "detail": "original"}, "prompt_cache_breakpoint": {"mode": "explicit"}}),
    ] {
        assert!(part(CHAT, &block).is_ok(), "{block}: {:?}", part(CHAT, &block));
    }
}

#[test]
fn a_tool_that_is_named_again_counts_once_more() {
    let tools = json!([{"name": "f", "description": "word ".repeat(400), "input_schema": {}}]);
    let bound = |references: usize| {
        let parts = vec![json!({"type": "tool_reference", "tool_name": "f"}); references];
        let result = json!({"type": "tool_result", "tool_use_id": "t", "content": parts});
        let body = json!({"tools": tools, "messages": [{"role": "user", "content": [result]}]});
        with(MESSAGES, &body).unwrap().input_bound
    };
    assert!(bound(3) >= bound(0).saturating_add(3 * 2_000));
}

#[test]
fn a_tool_has_a_type_where_the_dialect_asks_for_one_and_no_key_that_names_a_hosted_tool() {
    for tool in [
        json!({"google_search": {}}),
        json!({"function": {"name": "f"}}),
        json!({"type": null, "function": {"name": "f"}}),
        json!({"type": "function", "function": {"name": "f"}, "google_search": {}}),
    ] {
        assert_eq!(refused(with(CHAT, &json!({"tools": [tool]}))).0, "tools", "{tool}");
    }
    let tool = json!({"name": "f", "input_schema": {}, "server_url": "https://example.com"});
    assert_eq!(refused(with(MESSAGES, &json!({"tools": [tool]}))).0, "tools");
    for tool in [
        json!({"name": "f", "input_schema": {}, "strict": true, "defer_loading": true, "eager_input_streaming": null, "input_examples": [{}], "allowed_callers": ["direct"]}),
        json!({"type": "computer_20251124", "name": "computer", "display_width_px": 9, "display_height_px": 9, "display_number": 1, "enable_zoom": true}),
        json!({"type": "text_editor_20250728", "name": "x", "max_characters": 9}),
    ] {
        assert!(with(MESSAGES, &json!({"tools": [tool]})).is_ok(), "{tool}");
    }
    let bound = |kind: &str| {
        with(MESSAGES, &json!({"tools": [{"type": kind, "configs": null}]})).unwrap().input_bound
    };
    for set in ["browser_toolset_20260801", "computer_toolset_20260801"] {
        assert!(bound(set) > 64 * 1_024, "a set is many tools");
    }
}

/// The hold of a call, in output tokens.
fn output_bound(facts: &CallFacts) -> u64 {
    let bound = output::bound(facts, None, None, NonZeroU32::MIN);
    output::output_tokens(facts, bound).unwrap()
}

#[test]
fn the_tokens_of_a_prediction_are_held_as_output_of_each_answer_and_as_input() {
    let text = "word ".repeat(1_000);
    let body = |content: &Value| json!({"model": "gpt-4o", "max_tokens": 16, "n": 2, "prediction": {"type": "content", "content": content}});
    let without = with(CHAT, &json!({"model": "gpt-4o", "max_tokens": 16, "n": 2})).unwrap();
    for content in [json!(text), json!([{"type": "text", "text": text}])] {
        let facts = with(CHAT, &body(&content)).unwrap();
        assert!((1_000..1_100).contains(&facts.output_added), "{}", facts.output_added);
        assert_eq!(output_bound(&facts), 2 * (16 + facts.output_added));
        assert!(facts.input_bound >= without.input_bound + 1_000);
    }
    assert_eq!(with(CHAT, &json!({"prediction": null})).unwrap().output_added, 0);
    for wrong in [
        json!("x"),
        json!({"type": "content", "content": "x", "file_id": "f"}),
        json!({"type": "content", "content": [{"type": "file", "file": {"file_id": "f"}}]}),
    ] {
        assert_eq!(refused(with(CHAT, &json!({"prediction": wrong}))).0, "prediction", "{wrong}");
    }
}

#[test]
fn thinking_above_the_cap_is_held_too() {
    let bound = |budget: u64, cap: u64| {
        let thinking = json!({"type": "enabled", "budget_tokens": budget, "display": "omitted"});
        let facts = with(MESSAGES, &json!({"max_tokens": cap, "thinking": thinking})).unwrap();
        output_bound(&facts)
    };
    assert_eq!([bound(900, 1_000), bound(31_999, 1_000)], [1_000, 31_999]);
    let without = with(MESSAGES, &json!({"thinking": {"type": "enabled", "budget_tokens": 9}}));
    assert_eq!(without.unwrap().output_added, 9);
    for thinking in [json!(null), json!({"type": "adaptive"}), json!({"type": "disabled"})] {
        assert_eq!(with(MESSAGES, &json!({"thinking": thinking})).unwrap().output_added, 0);
    }
    for thinking in [json!(7), json!({"type": "enabled", "budget_tokens": -1})] {
        assert_eq!(refused(with(MESSAGES, &json!({"thinking": thinking}))).0, "thinking");
    }
}

#[test]
fn only_edits_of_the_context_that_remove_something_pass() {
    let edits = |edits: Value| with(MESSAGES, &json!({"context_management": {"edits": edits}}));
    let clear = json!({"type": "clear_thinking_20251015", "keep": "all"});
    let tools = json!({"type": "clear_tool_uses_20250919", "trigger": {"type": "input_tokens", "value": 9}, "clear_tool_inputs": null});
    let compact = json!({"type": "compact_20260112"});
    for fine in [json!([]), json!(null), json!([clear]), json!([clear, tools])] {
        assert!(edits(fine.clone()).is_ok(), "{fine}");
    }
    for wrong in [json!([compact]), json!([clear, compact]), json!([{}]), json!(["x"]), json!({})] {
        assert_eq!(refused(edits(wrong.clone())).0, "context_management", "{wrong}");
    }
    let other = json!({"context_management": {"edits": [], "compaction": {"a": 1}}});
    assert_eq!(refused(with(MESSAGES, &other)).0, "context_management");
}

#[test]
fn what_names_an_object_of_the_shared_account_or_somebody_who_pays_is_refused() {
    for (endpoint, fields) in [
        (
            CHAT,
            json!({"prompt_cache_options": {"mode": "explicit", "comparison_response_id": "r"}}),
        ),
        (CHAT, json!({"prompt": {"id": "pmpt_1"}})),
        (CHAT, json!({"previous_response_id": "r"})),
        (CHAT, json!({"conversation": "c"})),
        (CHAT, json!({"store": true})),
        (MESSAGES, json!({"diagnostics": {"previous_message_id": "msg_1"}})),
        (MESSAGES, json!({"thread": {"type": "create"}})),
        (MESSAGES, json!({"container": {"id": "c"}})),
        (MESSAGES, json!({"billing_policy": {"type": "x"}})),
        (MESSAGES, json!({"fallback_credit_token": "t"})),
        (MESSAGES, json!({"user_profile_id": "u"})),
        (MESSAGES, json!({"compaction": {"type": "x"}})),
        (MESSAGES, json!({"fallbacks": "default"})),
    ] {
        let name = fields.as_object().unwrap().keys().next().unwrap();
        assert_eq!(refused(with(endpoint, &fields)).0, *name, "{fields}");
    }
    assert!(with(MESSAGES, &json!({"diagnostics": {"previous_message_id": null}})).is_ok());
    assert!(
        with(CHAT, &json!({"prompt_cache_options": {"mode": "explicit", "ttl": "30m"}})).is_ok()
    );
}

/// The model is looked for first, wherever it is, and then the body is read.
#[test]
fn a_body_of_escaped_keys_is_decoded_twice_at_most() {
    let keys: Vec<String> = (0..24).map(|index| format!("\"\\u0061{index:05}\":0")).collect();
    let object = format!("{{{}}}", keys.join(","));
    let objects = vec![object; 100].join(",");
    let body = format!(r#"{{"metadata":[{objects}],"messages":[],"model":"m"}}"#);
    let decoded = crate::domain::json::counted::while_reading(|| {
        read(CHAT, body.as_bytes()).unwrap();
    });
    assert!((2_400..=4_800).contains(&decoded), "{decoded}");
}

#[test]
fn a_body_without_a_tier_asks_for_the_standard_one_where_the_account_would_decide() {
    let edits = Edits { standard_tier: Some("default"), ..Edits::default() };
    for (before, after) in [
        (r#"{"model":"m"}"#, r#"{"service_tier":"default","model":"m"}"#),
        (r#"{"service_tier":null,"model":"m"}"#, r#"{"service_tier":"default","model":"m"}"#),
        (r#"{"service_tier":"auto"}"#, r#"{"service_tier":"default"}"#),
        (r#"{"service_tier": "default" }"#, r#"{"service_tier": "default" }"#),
        (r#"{"a":{"service_tier":1}}"#, r#"{"service_tier":"default","a":{"service_tier":1}}"#),
    ] {
        let edited = apply_edits(&bytes::Bytes::from_static(before.as_bytes()), CHAT, edits);
        assert_eq!(edited, after, "{before}");
    }
}
