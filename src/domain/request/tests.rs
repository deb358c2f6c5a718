#![expect(clippy::arithmetic_side_effects, reason = "sums of small test data")]

use std::num::NonZeroU32;

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::domain::{dialect::Dialect, policy::AllowList, tokens};

const CHAT: Endpoint = Endpoint::ChatCompletions;

fn read_value(endpoint: Endpoint, body: &Value) -> Result<CallFacts, InvalidBody> {
    read(endpoint, &serde_json::to_vec(body).unwrap())
}

/// A chat call with these fields besides model and messages.
fn chat(fields: &str) -> Result<CallFacts, InvalidBody> {
    let comma = if fields.is_empty() { "" } else { "," };
    read(CHAT, format!(r#"{{"model":"small","messages":[]{comma}{fields}}}"#).as_bytes())
}

fn refused_field(result: Result<CallFacts, InvalidBody>) -> String {
    result.expect_err("refused").field.expect("a field is named")
}

#[test]
fn a_chat_call_is_read() {
    let facts = chat(
        r#""stream":true,"stream_options":{"include_usage":true},"max_tokens":5,"max_completion_tokens":9,"n":3,"best_of":2"#,
    )
    .unwrap();
    assert_eq!(facts.model, "small");
    assert!(facts.stream && facts.wants_usage && facts.may_write_cache);
    assert_eq!((facts.output_cap, facts.answers), (Some(9), 6));
    let facts = chat(r#""stream":null,"stream_options":null,"max_tokens":null,"n":null"#).unwrap();
    assert!(!facts.stream && !facts.wants_usage);
    assert_eq!((facts.output_cap, facts.answers), (None, 1));
}

#[test]
fn a_body_that_is_no_call_is_refused() {
    for body in ["", "[]", "null", "\"model\"", "{", "{}x"] {
        assert!(read(CHAT, body.as_bytes()).is_err(), "{body}");
    }
    assert_eq!(refused_field(read(CHAT, br#"{"messages":[]}"#)), "model");
    assert_eq!(refused_field(read(CHAT, br#"{"model":"small"}"#)), "messages");
    assert_eq!(refused_field(read(CHAT, br#"{"model":"small","messages":"hi"}"#)), "messages");
    assert_eq!(refused_field(read(Endpoint::Embeddings, br#"{"model":"small"}"#)), "input");
    assert!(read(CHAT, b"{\"model\":\"small\",\"messages\":[{\"content\":\"\xff\"}]}").is_err());
}

#[test]
fn a_field_that_appears_twice_is_refused_wherever_it_is() {
    assert_eq!(refused_field(chat(r#""model":"large""#)), "model");
    assert_eq!(refused_field(chat(r#""max_tokens":1,"max_tokens":100000"#)), "max_tokens");
    assert_eq!(refused_field(chat(r#""metadata":{"a":1,"a":2}"#)), "a");
    assert_eq!(
        refused_field(chat(r#""stream_options":{"include_usage":true,"include_usage":false}"#)),
        "include_usage"
    );
}

#[test]
fn a_model_must_be_a_sensible_name() {
    let long = "m".repeat(257);
    for model in [
        json!(""),
        json!(7),
        json!(null),
        json!(long),
        json!("a\nb"),
        json!("a\u{0}"),
        json!(["small"]),
    ] {
        assert_eq!(
            refused_field(read_value(CHAT, &json!({"model": model, "messages": []}))),
            "model"
        );
    }
    assert!(read_value(CHAT, &json!({"model": "m".repeat(256), "messages": []})).is_ok());
    // Keys and names may be written with escapes.
    assert_eq!(read(CHAT, br#"{"mod\u0065l":"sm\u0061ll","messages":[]}"#).unwrap().model, "small");
}

#[test]
fn a_cap_must_be_a_positive_whole_number() {
    for name in ["max_tokens", "max_completion_tokens", "max_output_tokens", "n", "best_of"] {
        for value in
            ["0", "-1", "1.5", "1.0", "1e3", "\"5\"", "true", "[]", "{}", "99999999999999999999999"]
        {
            assert_eq!(refused_field(chat(&format!("\"{name}\":{value}"))), name, "{value}");
        }
    }
    assert_eq!(refused_field(chat(r#""n":129"#)), "n");
    assert_eq!(chat(r#""max_tokens":4294967295"#).unwrap().output_cap, Some(u64::from(u32::MAX)));
}

#[test]
fn a_cap_that_the_provider_overlooks_is_refused_and_binds_no_hold() {
    assert_eq!(refused_field(chat(r#""max_output_tokens":1"#)), "max_output_tokens");
    assert_eq!(chat(r#""max_output_tokens":null"#).unwrap().output_cap, None);
    for name in ["max_completion_tokens", "max_output_tokens"] {
        let body = json!({"model": "small", "messages": [], "max_tokens": 5, name: 9});
        assert_eq!(refused_field(read_value(Endpoint::Messages, &body)), name);
    }
}

#[test]
fn fields_with_a_price_that_is_unknown_or_a_state_that_is_shared_are_refused_by_name() {
    for fields in [
        r#""store":true"#,
        r#""background":true"#,
        r#""previous_response_id":"resp_1""#,
        r#""conversation":{"id":"c"}"#,
        r#""service_tier":"priority""#,
        r#""service_tier":"flex""#,
        r#""service_tier":1"#,
        r#""speed":"fast""#,
        r#""inference_geo":"us""#,
        r#""modalities":["text","audio"]"#,
        r#""modalities":"audio""#,
        r#""audio":{"voice":"a"}"#,
        r#""web_search_options":{}"#,
        r#""search_parameters":{}"#,
        r#""mcp_servers":[{}]"#,
        r#""container":"c""#,
        r#""plugins":[1]"#,
        r#""models":["large"]"#,
        r#""data_sources":[{}]"#,
        r#""api_key":"k""#,
        r#""tools":[{"type":"web_search"}]"#,
        r#""stream":"true""#,
        r#""stream_options":[]"#,
    ] {
        let name = fields.split('"').nth(1).unwrap();
        assert_eq!(refused_field(chat(fields)), name, "{fields}");
    }
}

#[test]
fn the_same_fields_pass_where_they_say_nothing() {
    for fields in [
        r#""store":false"#,
        r#""store":null"#,
        r#""background":false"#,
        r#""previous_response_id":null"#,
        r#""service_tier":"auto""#,
        r#""service_tier":"default""#,
        r#""service_tier":"standard_only""#,
        r#""service_tier":null"#,
        r#""modalities":["text"]"#,
        r#""audio":null"#,
        r#""mcp_servers":[]"#,
        r#""tools":[{"type":"function","function":{"name":"f"}},{"type":"custom"}]"#,
        r#""tools":null"#,
        r#""prediction":{"type":"content","content":"x"}"#,
        r#""something_new":null"#,
    ] {
        assert!(chat(fields).is_ok(), "{fields}");
    }
}

#[test]
fn tools_that_the_provider_runs_are_refused_and_tools_that_the_client_runs_are_not() {
    let with = |tool: Value| {
        read_value(Endpoint::Messages, &json!({"model": "m", "messages": [], "tools": [tool]}))
    };
    for kind in
        ["web_search_20250305", "code_execution_20250522", "web_fetch_20250910", "mcp_toolset"]
    {
        assert_eq!(refused_field(with(json!({"type": kind, "name": "x"}))), "tools");
    }
    for kind in
        ["custom", "bash_20250124", "text_editor_20250728", "computer_20250124", "memory_20250818"]
    {
        assert!(with(json!({"type": kind, "name": "x"})).is_ok(), "{kind}");
    }
    for kind in [json!({"name": "x"}), json!({"type": null, "name": "x", "input_schema": {}})] {
        assert!(with(kind.clone()).is_ok(), "{kind}");
    }
}

#[test]
fn a_part_without_a_known_bound_is_refused() {
    for (endpoint, part) in [
        (CHAT, json!({"type": "input_audio", "input_audio": {"data": "AAAA"}})),
        (CHAT, json!({"type": "file", "file": {"file_id": "f"}})),
        (CHAT, json!({"type": "video_url", "video_url": {"url": "https://example.com"}})),
        (
            Endpoint::Messages,
            json!({"type": "document", "source": {"type": "base64", "data": "AAAA"}}),
        ),
        (Endpoint::Messages, json!({"type": "document", "source": {"type": "url", "url": "u"}})),
        (Endpoint::Messages, json!({"type": "image", "source": {"type": "file", "file_id": "f"}})),
        (Endpoint::Messages, json!({"type": "container_upload", "file_id": "f"})),
        (
            Endpoint::Messages,
            json!({"type": "tool_result", "content": [{"type": "container_upload"}]}),
        ),
    ] {
        let body = json!({"model": "m", "messages": [{"role": "user", "content": [part]}]});
        assert_eq!(refused_field(read_value(endpoint, &body)), "messages", "{body}");
    }
    let spoken = json!({"model": "m", "messages": [{"role": "assistant", "audio": {"id": "a"}}]});
    assert_eq!(refused_field(read_value(CHAT, &spoken)), "messages");
}

#[test]
fn an_image_is_bound_by_a_constant_and_not_by_its_bytes() {
    let url = format!("data:image/png;base64,{}", "A".repeat(1_000_000));
    let part = json!({"image_url": {"url": url, "detail": "high"}, "type": "image_url"});
    let facts =
        read_value(CHAT, &json!({"model": "m", "messages": [{"content": [part]}]})).unwrap();
    assert!((48_169..50_000).contains(&facts.input_bound));

    let image =
        json!({"type": "image", "source": {"type": "base64", "data": "A".repeat(1_000_000)}});
    let result = json!({"type": "tool_result", "tool_use_id": "t", "content": [image]});
    let document = json!({"type": "document", "source": {"type": "content", "content": [image]}});
    let facts = read_value(
        Endpoint::Messages,
        &json!({"model": "m", "messages": [{"content": [result, image, document]}]}),
    )
    .unwrap();
    assert!((4_784 * 3..17_000).contains(&facts.input_bound));

    // A part that only looks like an image is refused: a server may read it as one.
    let text = json!({"type": "text", "text": "x", "source": {"data": "A".repeat(100_000)}});
    let body = json!({"model": "m", "messages": [{"content": [text]}]});
    assert_eq!(refused_field(read_value(Endpoint::Messages, &body)), "messages");
}

/// A body with one user message that has one part.
fn with_part(endpoint: Endpoint, model: &str, part: &Value) -> Result<CallFacts, InvalidBody> {
    let message = json!({"role": "user", "content": [part]});
    read_value(endpoint, &json!({"messages": [message], "model": model}))
}

#[test]
fn each_kind_of_part_is_bound_or_refused() {
    let data = "A".repeat(100_000);
    let base64 = json!({"type": "base64", "media_type": "image/png", "data": data});
    let url = json!({"type": "url", "url": "https://example.com/x"});
    let file = json!({"type": "file", "file_id": "file_1"});
    let text = json!({"type": "text", "media_type": "text/plain", "data": data});
    let chat = |part: &Value| with_part(CHAT, "gpt-4o", part);
    let message = |part: &Value| with_part(Endpoint::Messages, "claude-sonnet-5", part);

    // The bound of text is its tokens or bytes, that of an image its rule.
    let of_text = json!({"type": "text", "text": "A picture of a cat"});
    let refusal = json!({"type": "refusal", "refusal": "I can't say."});
    let image =
        json!({"type": "image_url", "image_url": {"url": format!("data:image/png;base64,{data}")}});
    for (part, bound) in [(&of_text, 5..30), (&refusal, 5..40), (&image, 1_445..1_500)] {
        let found = chat(part).unwrap().input_bound;
        assert!(bound.contains(&found), "{part:.60}: {found}");
    }
    let thinking = json!({"type": "thinking", "thinking": "hm", "signature": "c2ln"});
    let hidden = json!({"type": "redacted_thinking", "data": "ZGF0YQ"});
    let asks = json!({"type": "tool_use", "id": "t", "name": "f", "input": {"a": [1, "x"]}});
    let told = json!({"type": "tool_result", "tool_use_id": "t", "content": [of_text]});
    let shown = json!({"type": "tool_result", "tool_use_id": "t", "content": [{"type": "image", "source": base64}]});
    let found = json!({"type": "search_result", "source": "https://example.com", "title": "x", "content": [of_text]});
    let image = |source: &Value| json!({"type": "image", "source": source});
    let document = |source: &Value| json!({"type": "document", "source": source, "title": "x"});
    let blocks = json!({"type": "content", "content": [of_text]});
    for (part, bound) in [
        (of_text.clone(), 18..200),
        (thinking, 20..200),
        (hidden, 20..200),
        (asks, 20..200),
        (told, 20..200),
        (shown, 4_784..5_000),
        (found, 20..300),
        (image(&base64), 4_784..5_000),
        (image(&url), 4_784..5_000),
        (document(&text), 100_000..100_300),
        (document(&blocks), 20..300),
    ] {
        let found = message(&part).unwrap().input_bound;
        assert!(bound.contains(&found), "{part:.60}: {found}");
    }

    // Parts without a documented bound, and unknown parts, are refused by name.
    for kind in ["input_audio", "file", "video_url", "input_image", "image", "document", "later"] {
        assert_eq!(refused_field(chat(&json!({"type": kind, "x": data}))), "messages", "{kind}");
    }
    for kind in [
        "image_file",
        "container_upload",
        "server_tool_use",
        "web_search_tool_result",
        "web_fetch_tool_result",
        "code_execution_tool_result",
        "mcp_tool_use",
        "mcp_tool_result",
        "later",
    ] {
        assert_eq!(refused_field(message(&json!({"type": kind, "x": data}))), "messages", "{kind}");
    }
    for part in [image(&file), document(&base64), document(&url), document(&file)] {
        assert_eq!(refused_field(message(&part)), "messages", "{part:.60}");
    }
    for input in [json!([{"type": "text", "text": "x"}]), json!({"image": data}), json!([of_text])]
    {
        let body = json!({"model": "text-embedding-3-small", "input": input});
        assert_eq!(refused_field(read_value(Endpoint::Embeddings, &body)), "input");
    }
}

#[test]
fn an_image_is_bound_by_its_model_and_by_the_detail_that_is_asked_for() {
    let bound = |model: &str, image: Value| {
        let part = json!({"image_url": image, "type": "image_url"});
        with_part(CHAT, model, &part).unwrap().input_bound
    };
    let url = "https://example.com/cat.png";
    let low = bound("gpt-4o", json!({"url": url, "detail": "low"}));
    assert!((85..130).contains(&low), "{low}");
    for image in [json!({"url": url}), json!({"url": url, "detail": "high"}), json!(url)] {
        assert!((1_445..1_490).contains(&bound("gpt-4o", image)));
    }
    assert!((2_833..2_880).contains(&bound("gpt-4o-mini", json!({"url": url, "detail": "low"}))));
    assert!((48_169..48_400).contains(&bound("gpt-9", json!({"url": url, "detail": "low"}))));
    // An unknown detail gets the highest bound.
    assert!(bound("gpt-4o", json!({"url": url, "detail": "original"})) > 48_000);
    assert!(bound("gpt-4o", json!({"url": url, "detail": null})) >= 1_445);
    let small = with_part(
        Endpoint::Messages,
        "claude-haiku-4-5",
        &json!({"type": "image", "source": {"type": "url", "url": url}}),
    );
    assert!((1_600..1_800).contains(&small.unwrap().input_bound));
}

#[test]
fn the_models_tokenizer_counts_wherever_in_the_body_the_model_is_named() {
    let text = "Nobody complained about the wait. ".repeat(50);
    let messages = json!([{"role": "user", "content": text}]).to_string();
    let before = format!(r#"{{"model":"gpt-4o","messages":{messages}}}"#);
    let behind = format!(r#"{{"messages":{messages},"mod\u0065l":"gpt-4\u006f"}}"#);
    let unknown = format!(r#"{{"messages":{messages},"model":"small"}}"#);
    let bound = |body: &str| read(CHAT, body.as_bytes()).unwrap().input_bound;
    assert_eq!(bound(&before), bound(&behind));
    assert!((300..350).contains(&bound(&behind)), "{}", bound(&behind));
    assert!(bound(&unknown) > 1_700);
    // Messages are never counted by a table of another vendor.
    let message = read(Endpoint::Messages, before.as_bytes()).unwrap();
    assert!(message.input_bound > 1_700);
    // A `model` key inside another field does not count.
    let inner =
        format!(r#"{{"metadata":{{"model":"gpt-4o"}},"messages":{messages},"model":"small"}}"#);
    assert!(bound(&inner) > 1_700);
}

#[test]
fn settings_count_nothing_where_they_are_known_and_a_field_that_an_operator_allows_counts() {
    let everywhere = vec!["something_new".to_owned()];
    let allowed = AllowedFields::default().route(Dialect::OpenAi, AllowList::All, everywhere);
    let bound = |model: &str, fields: &str| {
        let body = format!(r#"{{"model":"{model}","messages":[],{fields}}}"#);
        read_with(CHAT, body.as_bytes(), &allowed).unwrap().input_bound
    };
    let long = "word ".repeat(1_000);
    let settings = format!(r#""temperature":0.5,"user":"{long}","metadata":{{"a":"{long}"}}"#);
    assert!(bound("gpt-4o", &settings) < 20);
    assert!(bound("gpt-4o", &format!(r#""something_new":"{long}""#)) > 1_000);
    assert!(bound("small", &settings) > 10_000);
    assert_eq!(refused_field(chat(r#""metadata":{"a":1,"a":2}"#)), "a");
}

/// The bound and the estimate of each form of a body, exact to the token, because holds depend on them.
#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn what_each_form_of_a_body_is_bound_by_is_known_to_the_token() {
    let known = |fields: &Value| {
        let mut body =
            json!({"model": "gpt-4o", "messages": [{"role": "user", "content": "hello"}]});
        body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        read_value(CHAT, &body)
    };
    let unknown = |fields: &Value| {
        let mut body =
            json!({"model": "small", "messages": [{"role": "user", "content": "hello"}]});
        body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        read_value(CHAT, &body)
    };
    let message = |fields: &Value| {
        let mut body =
            json!({"model": "claude-sonnet-5", "messages": [{"role": "user", "content": "hello"}]});
        body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        read_value(Endpoint::Messages, &body)
    };
    let embedding = |fields: &Value| {
        let mut body = json!({"model": "text-embedding-3-small"});
        body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        read_value(Endpoint::Embeddings, &body)
    };
    let bound = |facts: Result<CallFacts, InvalidBody>| {
        let facts = facts.unwrap();
        (facts.input_bound, facts.input_estimate)
    };
    let function = json!({"name": "f", "description": "Says \"a\\b\".\nTwice.", "parameters": {"type": "object", "properties": {"x": {"type": ["string", "null"], "enum": [1, null, true, "y"]}}}});
    let parts = json!([{"type": "text", "text": "hello"}, {"type": "text", "text": " world"}, {"type": "text", "text": "!"}]);
    for (form, found, expected) in [
        ("known", bound(known(&json!({}))), (17, 5)),
        (
            "known, no content",
            bound(known(&json!({"messages": [{"role": "assistant", "content": null}]}))),
            (22, 4),
        ),
        (
            "known, odd content",
            bound(known(
                &json!({"messages": [{"role": 7, "content": 12.5, "name": "ann", "audio": null}]}),
            )),
            (43, 11),
        ),
        (
            "known, parts",
            bound(known(&json!({"messages": [{"role": "user", "content": parts}]}))),
            (49, 7),
        ),
        (
            "known, mixed parts",
            bound(known(
                &json!({"messages": [{"role": "user", "content": ["hello", {"type": "text", "text": 7}, {"type": "text", "text": "x"}]}]}),
            )),
            (36, 8),
        ),
        (
            "known, tools",
            bound(known(&json!({"tools": [{"type": "function", "function": function}]}))),
            (161, 29),
        ),
        ("known, functions", bound(known(&json!({"functions": [function]}))), (161, 29)),
        (
            "known, a schema",
            bound(known(
                &json!({"response_format": {"type": "json_schema", "json_schema": function}}),
            )),
            (173, 35),
        ),
        (
            "known, settings",
            bound(known(&json!({"temperature": 1, "stop": ["x"], "user": "ann"}))),
            (17, 5),
        ),
        (
            "known, another field",
            bound(known(&json!({"tool_choice": {"a": "hello", "b": [1, false]}}))),
            (48, 5),
        ),
        ("unknown", bound(unknown(&json!({}))), (102, 5)),
        (
            "unknown, no content",
            bound(unknown(&json!({"messages": [{"role": "assistant", "content": null}]}))),
            (105, 5),
        ),
        (
            "unknown, parts",
            bound(unknown(&json!({"messages": [{"role": "user", "content": parts}]}))),
            (190, 16),
        ),
        (
            "unknown, tools",
            bound(unknown(&json!({"tools": [{"type": "function", "function": function}]}))),
            (1316, 32),
        ),
        (
            "unknown, settings",
            bound(unknown(&json!({"temperature": 1, "stop": ["x"], "user": "ann"}))),
            (145, 5),
        ),
        ("message", bound(message(&json!({}))), (102, 5)),
        ("message, system", bound(message(&json!({"system": "Be short."}))), (114, 8)),
        (
            "message, system in parts",
            bound(message(&json!({"system": [{"type": "text", "text": "Be short."}]}))),
            (141, 11),
        ),
        (
            "message, tools",
            bound(message(
                &json!({"tools": [{"name": "f", "description": "Twice.", "input_schema": {"type": "object"}}]}),
            )),
            (1197, 16),
        ),
        (
            "message, a format",
            bound(message(
                &json!({"output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}}}),
            )),
            (1206, 18),
        ),
        (
            "message, parts",
            bound(message(&json!({"messages": [{"role": "user", "content": parts}]}))),
            (190, 16),
        ),
        (
            "message, a document",
            bound(message(
                &json!({"messages": [{"role": "user", "content": [{"type": "document", "source": {"type": "content", "content": parts}}]}]}),
            )),
            (253, 25),
        ),
        (
            "message, a result",
            bound(message(
                &json!({"messages": [{"role": "user", "content": [{"type": "search_result", "source": "https://example.com", "title": "x", "content": parts}]}]}),
            )),
            (272, 30),
        ),
        ("embedding", bound(embedding(&json!({"input": "hello"}))), (2, 1)),
        ("embedding, several", bound(embedding(&json!({"input": ["hello", "world"]}))), (3, 2)),
        ("embedding, tokens", bound(embedding(&json!({"input": [1, 2, 3]}))), (4, 3)),
    ] {
        assert_eq!(found, expected, "{form}");
    }
}

#[test]
fn an_estimate_is_never_nothing() {
    for (endpoint, body) in [
        (CHAT, json!({"model": "small", "messages": []})),
        (CHAT, json!({"model": "gpt-4o", "messages": []})),
        (Endpoint::Messages, json!({"model": "m", "messages": []})),
        (Endpoint::Embeddings, json!({"model": "m", "input": []})),
        (Endpoint::Embeddings, json!({"model": "text-embedding-3-small", "input": ""})),
    ] {
        let facts = read_value(endpoint, &body).unwrap();
        assert!(facts.input_estimate >= 1 && facts.input_bound >= facts.input_estimate, "{body}");
    }
}

#[test]
fn a_message_writes_to_the_cache_only_if_it_says_so() {
    let block = |cache: Value| json!({"type": "text", "text": "x", "cache_control": cache});
    let marked = |body: Value| read_value(Endpoint::Messages, &body).unwrap().may_write_cache;
    let ephemeral = json!({"type": "ephemeral"});
    assert!(!marked(
        json!({"model": "m", "messages": [{"role": "user", "content": "cache_control"}]})
    ));
    assert!(!marked(json!({"model": "m", "messages": [], "system": [block(Value::Null)]})));
    assert!(marked(json!({"model": "m", "messages": [], "system": [block(ephemeral.clone())]})));
    assert!(marked(json!({"model": "m", "messages": [{"content": [block(ephemeral.clone())]}]})));
    assert!(marked(
        json!({"model": "m", "messages": [], "tools": [{"name": "t", "cache_control": ephemeral.clone()}]})
    ));
    assert!(marked(json!({"model": "m", "messages": [], "cache_control": ephemeral})));
}

#[test]
fn an_embedding_counts_texts_by_their_bytes_and_tokens_as_they_are() {
    let read =
        |input: Value| read_value(Endpoint::Embeddings, &json!({"model": "m", "input": input}));
    let overhead = tokens::CALL_TOKENS_MAX;
    let facts = read(json!([1, 200_000, 3])).unwrap();
    assert_eq!((facts.input_bound, facts.input_estimate), (overhead + 3, 3));
    assert_eq!(read(json!([[1, 2], [3]])).unwrap().input_estimate, 3);
    assert_eq!(read(json!(["abcd", "efgh"])).unwrap().input_estimate, 2);
    assert!(read(json!("€".repeat(10))).unwrap().input_bound >= 30);
    for wrong in [json!(null), json!(7), json!({}), json!([[["a"]]]), json!([null]), json!([["a"]])]
    {
        assert_eq!(refused_field(read(wrong)), "input");
    }
}

#[test]
fn without_edits_the_body_is_the_same_memory() {
    let body = Bytes::from_static(br#"{"model":"small","messages":[]}"#);
    for (endpoint, edits) in [
        (CHAT, Edits::default()),
        (Endpoint::Messages, Edits { include_usage: true, ..Edits::default() }),
        (
            Endpoint::Embeddings,
            Edits { include_usage: true, output_cap: NonZeroU32::new(7), ..Edits::default() },
        ),
    ] {
        assert_eq!(apply_edits(&body, endpoint, edits).as_ptr(), body.as_ptr());
    }
}

#[test]
fn edits_merge_into_what_is_there() {
    let usage = Edits { include_usage: true, output_cap: None, ..Edits::default() };
    let cap = Edits { include_usage: false, output_cap: NonZeroU32::new(7), ..Edits::default() };
    for (endpoint, edits, before, after) in [
        (CHAT, usage, r#" {"a":1}"#, r#" {"stream_options":{"include_usage":true},"a":1}"#),
        (
            CHAT,
            usage,
            r#"{"stream_options": null }"#,
            r#"{"stream_options": {"include_usage":true} }"#,
        ),
        (CHAT, usage, r#"{"stream_options":{ }}"#, r#"{"stream_options":{"include_usage":true }}"#),
        (
            CHAT,
            usage,
            r#"{"stream_options":{"x":1}}"#,
            r#"{"stream_options":{"include_usage":true,"x":1}}"#,
        ),
        (
            CHAT,
            usage,
            r#"{"stream_options":{"x":1,"include_usage": false }}"#,
            r#"{"stream_options":{"x":1,"include_usage": true }}"#,
        ),
        (
            CHAT,
            usage,
            r#"{"stream_options":{"include_usage":true}}"#,
            r#"{"stream_options":{"include_usage":true}}"#,
        ),
        (
            CHAT,
            usage,
            r#"{"stream_opt\u0069ons":null}"#,
            r#"{"stream_opt\u0069ons":{"include_usage":true}}"#,
        ),
        (CHAT, cap, r#"{"a":1}"#, r#"{"max_completion_tokens":7,"a":1}"#),
        (
            CHAT,
            cap,
            r#"{"max_completion_tokens":null,"max_tokens":null}"#,
            r#"{"max_completion_tokens":7,"max_tokens":null}"#,
        ),
        (
            Endpoint::Messages,
            cap,
            r#"{"a":{"max_tokens":1}}"#,
            r#"{"max_tokens":7,"a":{"max_tokens":1}}"#,
        ),
    ] {
        assert_eq!(
            apply_edits(&Bytes::from_static(before.as_bytes()), endpoint, edits),
            after,
            "{before}"
        );
    }
    let both = Edits { include_usage: true, output_cap: NonZeroU32::new(7), ..Edits::default() };
    let edited = apply_edits(
        &Bytes::from_static(br#"{"model":"m","max_completion_tokens":null,"stream_options":{}}"#),
        CHAT,
        both,
    );
    assert_eq!(
        edited,
        r#"{"model":"m","max_completion_tokens":7,"stream_options":{"include_usage":true}}"#
    );
}

#[test]
fn a_cap_that_compatible_servers_may_overlook_is_known() {
    for (caps, newer) in [
        ("", None),
        (r#""max_tokens":9,"#, None),
        (r#""max_completion_tokens":12,"#, Some(12)),
        (r#""max_completion_tokens":12,"max_tokens":null,"#, Some(12)),
        (r#""max_completion_tokens":null,"#, None),
        (r#""max_tokens":9,"max_completion_tokens":12,"#, None),
    ] {
        let body = format!(r#"{{{caps}"model":"m","messages":[]}}"#);
        let facts = read(CHAT, body.as_bytes()).unwrap();
        assert_eq!(facts.newer_cap, newer, "{caps}");
    }
    let facts = read(Endpoint::Messages, br#"{"model":"m","max_tokens":9,"messages":[]}"#).unwrap();
    assert_eq!((facts.output_cap, facts.newer_cap), (Some(9), None));
}

#[test]
fn a_cap_is_written_where_the_provider_reads_it() {
    let ours = Edits {
        output_cap: NonZeroU32::new(7),
        compatible_cap: true,
        include_usage: true,
        no_stream_options: true,
        ..Edits::default()
    };
    for (endpoint, edits, before, after) in [
        (CHAT, ours, r#"{"model":"m"}"#, r#"{"max_tokens":7,"model":"m"}"#),
        (CHAT, ours, r#"{"max_tokens":null,"model":"m"}"#, r#"{"max_tokens":7,"model":"m"}"#),
        (
            CHAT,
            ours,
            r#"{"model":"m", "max_completion_tokens" : 7}"#,
            r#"{"max_tokens":7,"model":"m", "max_completion_tokens" : 7}"#,
        ),
        // An endpoint with one field has no other.
        (Endpoint::Messages, ours, r#"{"model":"m"}"#, r#"{"max_tokens":7,"model":"m"}"#),
    ] {
        let body = Bytes::from_static(before.as_bytes());
        assert_eq!(apply_edits(&body, endpoint, edits), after, "{before}");
    }
}

/// Bodies of chat calls, in which the fields that the edits look for are present, absent or empty.
fn bodies() -> impl Strategy<Value = Value> {
    let options = prop::option::of(prop::sample::select(vec![
        json!(null),
        json!({}),
        json!({"include_usage": false}),
        json!({"include_usage": null, "x": 1}),
        json!({"x": {"include_usage": 0}}),
    ]));
    let text = ".{0,60}";
    (options, any::<bool>(), prop::collection::vec(text, 0..4), text, text).prop_map(
        |(options, null_cap, texts, key, value)| {
            let messages: Vec<Value> =
                texts.iter().map(|text| json!({"role": "user", "content": text})).collect();
            let mut body =
                json!({"model": "small", "messages": messages, "metadata": {key: value}});
            if let Some(options) = options {
                body["stream_options"] = options;
            }
            if null_cap {
                body["max_completion_tokens"] = Value::Null;
            }
            body
        },
    )
}

proptest! {
    #[test]
    fn an_edit_changes_what_it_names_and_no_other_value(body in bodies(), pretty: bool, include_usage: bool, cap in prop::option::of(1_u32..)) {
        let text = if pretty { serde_json::to_vec_pretty(&body) } else { serde_json::to_vec(&body) }.unwrap();
        let text = Bytes::from(text);
        prop_assert!(read(CHAT, &text).is_ok());
        let edited = apply_edits(&text, CHAT, Edits { include_usage, output_cap: cap.and_then(NonZeroU32::new), ..Edits::default() });
        let facts = read(CHAT, &edited).unwrap();
        prop_assert_eq!(facts.wants_usage, include_usage);
        prop_assert_eq!(facts.output_cap, cap.map(u64::from));

        let mut expected = body;
        if include_usage {
            if !expected["stream_options"].is_object() {
                expected["stream_options"] = json!({});
            }
            expected["stream_options"]["include_usage"] = json!(true);
        }
        if let Some(cap) = cap {
            expected["max_completion_tokens"] = json!(cap);
        }
        prop_assert_eq!(serde_json::from_slice::<Value>(&edited).unwrap(), expected);
    }

    #[test]
    fn the_bound_covers_every_byte_of_text_and_the_estimate(texts in prop::collection::vec(any::<String>(), 0..6), system in any::<String>()) {
        let messages: Vec<Value> = texts.iter().map(|text| json!({"role": "user", "content": [{"type": "text", "text": text}]})).collect();
        let facts = read_value(Endpoint::Messages, &json!({"model": "m", "system": system, "messages": messages})).unwrap();
        let bytes = texts.iter().map(String::len).sum::<usize>() + system.len();
        prop_assert!(facts.input_bound >= u64::try_from(bytes).unwrap());
        prop_assert!(facts.input_bound >= facts.input_estimate);
    }

    #[test]
    fn no_bytes_make_it_panic(body in prop::collection::vec(any::<u8>(), 0..200), text in r#"[\[\]{}:,"a-z0-9\\ ]{0,60}"#) {
        for &endpoint in Endpoint::ALL {
            let edits = Edits { include_usage: true, output_cap: NonZeroU32::new(7), ..Edits::default() };
            for body in [&body[..], text.as_bytes()] {
                drop(read(endpoint, body));
                drop(apply_edits(&Bytes::copy_from_slice(body), endpoint, edits));
            }
        }
    }
}
