mod completions;
mod endpoints;
mod faults;
#[cfg(feature = "server")]
mod server;
mod streams;

use std::time::Duration;

use http::{StatusCode, header};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use tokio::time::Instant;
use tower::ServiceExt;

use super::*;

const CHAT: &str = "/v1/chat/completions";
const MESSAGES: &str = "/v1/messages";
const EMBEDDINGS: &str = "/v1/embeddings";

type Options<'a> = &'a [(&'a str, &'a str)];

async fn ask(
    mock: &MockProvider,
    path: &str,
    options: Options<'_>,
    body: &Value,
) -> Response<MockBody> {
    let mut request = Request::post(path);
    for (name, value) in options {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::<Bytes>::from(body.to_string())).unwrap();
    mock.clone().oneshot(request).await.unwrap()
}

async fn text(answer: Response<MockBody>) -> String {
    let bytes = answer.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

async fn document(path: &str, options: Options<'_>, body: &Value) -> Value {
    let answer = ask(&MockProvider::new(), path, options, body).await;
    assert_eq!(answer.status(), StatusCode::OK);
    serde_json::from_str(&text(answer).await).unwrap()
}

/// The documents of a stream's events, without `[DONE]`.
async fn events(path: &str, options: Options<'_>, body: &Value) -> Vec<Value> {
    let answer = ask(&MockProvider::new(), path, options, body).await;
    assert_eq!(answer.headers()[header::CONTENT_TYPE], "text/event-stream; charset=utf-8");
    documents(&text(answer).await)
}

fn documents(stream: &str) -> Vec<Value> {
    let data = stream.lines().filter_map(|line| line.strip_prefix("data: "));
    data.filter(|data| *data != "[DONE]").map(|data| serde_json::from_str(data).unwrap()).collect()
}

fn chat() -> Value {
    json!({"model": "gpt-4o", "messages": [{"role": "user", "content": "one two"}]})
}

fn chat_stream() -> Value {
    json!({"model": "gpt-4o", "messages": [{"role": "user", "content": "one two"}], "stream": true,
        "stream_options": {"include_usage": true}})
}

fn message(stream: bool) -> Value {
    json!({"model": "claude", "max_tokens": 99, "stream": stream, "system": "be brief",
        "messages": [{"role": "user", "content": [{"type": "text", "text": "one two"}]}]})
}

async fn frames(mut body: MockBody) -> (Vec<usize>, Option<MockBroke>) {
    let mut lengths = Vec::new();
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => lengths.push(frame.into_data().unwrap().len()),
            Err(broke) => return (lengths, Some(broke)),
        }
    }
    (lengths, None)
}

#[tokio::test]
async fn the_same_request_gets_the_same_answer() {
    for (path, body) in [(CHAT, chat()), (CHAT, chat_stream()), (MESSAGES, message(true))] {
        let mut answers = Vec::new();
        for _ in 0..2 {
            answers.push(text(ask(&MockProvider::new(), path, &[], &body).await).await);
        }
        assert_eq!(answers[0], answers[1]);
    }
}

#[tokio::test]
async fn an_answer_says_the_last_user_message_again_and_again() {
    let answer = document(CHAT, &[("x-mock-output-tokens", "5")], &chat()).await;
    assert_eq!(answer["choices"][0]["message"]["content"], "one two one two one");
    assert_eq!(answer["choices"][0]["finish_reason"], "stop");
    let answer = document(MESSAGES, &[("x-mock-output-tokens", "3")], &message(false)).await;
    assert_eq!(answer["content"][0]["text"], "one two one");
    assert_eq!(answer["stop_reason"], "end_turn");
}

#[tokio::test]
async fn figures_are_those_that_the_headers_name() {
    let options = [
        ("x-mock-input-tokens", "100"),
        ("x-mock-output-tokens", "20"),
        ("x-mock-cached-tokens", "40"),
        ("x-mock-reasoning-tokens", "15"),
    ];
    let usage = document(CHAT, &options, &chat()).await["usage"].clone();
    assert_eq!(usage["prompt_tokens"], 100);
    assert_eq!(usage["completion_tokens"], 20);
    assert_eq!(usage["total_tokens"], 120);
    assert_eq!(usage["prompt_tokens_details"]["cached_tokens"], 40);
    assert_eq!(usage["completion_tokens_details"]["reasoning_tokens"], 15);

    let options = [options.as_slice(), &[("x-mock-cache-write-tokens", "10")]].concat();
    let usage = document(MESSAGES, &options, &message(false)).await["usage"].clone();
    assert_eq!(usage["input_tokens"], 50);
    assert_eq!(usage["cache_read_input_tokens"], 40);
    assert_eq!(usage["cache_creation_input_tokens"], 10);
    assert_eq!(usage["output_tokens"], 20);
}

#[tokio::test]
async fn the_output_cap_wins_over_the_header() {
    let mut body = chat();
    body["max_completion_tokens"] = 3.into();
    let answer = document(CHAT, &[("x-mock-output-tokens", "50")], &body).await;
    assert_eq!(answer["usage"]["completion_tokens"], 3);
    assert_eq!(answer["choices"][0]["finish_reason"], "length");
    let mut body = message(false);
    body["max_tokens"] = 2.into();
    let answer = document(MESSAGES, &[], &body).await;
    assert_eq!(answer["usage"]["output_tokens"], 2);
    assert_eq!(answer["stop_reason"], "max_tokens");
}

#[tokio::test]
async fn each_of_several_answers_is_paid_for() {
    let mut body = chat();
    body["n"] = 3.into();
    let answer = document(CHAT, &[("x-mock-output-tokens", "7")], &body).await;
    assert_eq!(answer["choices"].as_array().unwrap().len(), 3);
    assert_eq!(answer["usage"]["completion_tokens"], 21);
}

#[tokio::test]
async fn a_prompt_of_n_bytes_is_a_quarter_of_n_tokens() {
    let body = json!({"model": "m", "messages": [{"role": "user", "content": "x".repeat(4000)}]});
    // The role's four bytes count as well.
    assert_eq!(document(CHAT, &[], &body).await["usage"]["prompt_tokens"], 1001);
}

#[tokio::test]
async fn a_prompt_is_no_more_tokens_than_it_can_be_at_the_models_vendor() {
    let words = "international ".repeat(100);
    let picture = json!({"type": "image_url", "image_url": {"url": format!("data:image/png;base64,{}", "A".repeat(100_000))}});
    let text = json!({"type": "text", "text": words});
    for (content, range) in [(json!(words), 100..120), (json!([text, picture]), 1_400..1_600)] {
        let body = json!({"model": "gpt-4o", "messages": [{"role": "user", "content": content}]});
        let answer = document(CHAT, &[], &body).await;
        let tokens = answer["usage"]["prompt_tokens"].as_u64().unwrap();
        assert!(range.contains(&tokens), "{tokens}");
    }
}

#[tokio::test]
async fn both_encodings_of_an_embedding_hold_the_same_numbers() {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let mut body = json!({"model": "m", "input": ["a", "b"], "dimensions": 5});
    let floats = document(EMBEDDINGS, &[], &body).await;
    body["encoding_format"] = "base64".into();
    let packed = document(EMBEDDINGS, &[], &body).await;
    assert_ne!(floats["data"][0]["embedding"], floats["data"][1]["embedding"]);
    for index in 0..2 {
        let bytes = STANDARD.decode(packed["data"][index]["embedding"].as_str().unwrap()).unwrap();
        let numbers: Vec<f32> = bytes
            .chunks_exact(4)
            .map(|four| f32::from_le_bytes(four.try_into().unwrap()))
            .collect();
        let plain: Vec<f32> =
            serde_json::from_value(floats["data"][index]["embedding"].clone()).unwrap();
        assert_eq!(numbers, plain);
        assert_eq!(numbers.len(), 5);
    }
    assert_eq!(floats["usage"]["total_tokens"], floats["usage"]["prompt_tokens"]);
    let tokens = json!({"model": "m", "input": [1, 2, 3]});
    let one = document(EMBEDDINGS, &[], &tokens).await;
    assert_eq!(
        (one["data"].as_array().unwrap().len(), one["usage"]["prompt_tokens"].as_u64()),
        (1, Some(3))
    );
}

#[tokio::test]
async fn models_are_listed_in_both_dialects() {
    let mock = MockProvider::new().with_models(["a", "b"]);
    let get = async |path: &str, version: Option<&str>| {
        let mut request = Request::get(path);
        if let Some(version) = version {
            request = request.header("anthropic-version", version);
        }
        let answer =
            mock.clone().oneshot(request.body(Full::<Bytes>::default()).unwrap()).await.unwrap();
        let status = answer.status();
        (status, serde_json::from_str::<Value>(&text(answer).await).unwrap())
    };
    let (_, list) = get("/v1/models", None).await;
    assert_eq!((&list["object"], &list["data"][1]["id"]), (&json!("list"), &json!("b")));
    let (_, list) = get("/v1/models", Some("2023-06-01")).await;
    assert_eq!((&list["has_more"], &list["last_id"]), (&json!(false), &json!("b")));
    assert_eq!(get("/v1/models/a", None).await.1["id"], "a");
    assert_eq!(get("/v1/models/c", None).await.0, StatusCode::NOT_FOUND);
    assert_eq!(mock.served_total(), Served::default());
}

#[tokio::test]
async fn what_was_served_is_counted_by_request_id() {
    let mock = MockProvider::new();
    let figures =
        [("x-mock-input-tokens", "10"), ("x-mock-output-tokens", "6"), ("x-request-id", "a")];
    text(ask(&mock, CHAT, &figures, &chat()).await).await;
    text(ask(&mock, CHAT, &figures, &chat_stream()).await).await;
    drop(ask(&mock, CHAT, &figures, &chat_stream()).await);
    drop(ask(&mock, CHAT, &[("x-mock-status", "500"), ("x-request-id", "b")], &chat()).await);
    let expected =
        Served { calls: 3, completed: 2, input_tokens: 30, output_tokens: 12, ..Served::default() };
    assert_eq!(mock.served("a"), expected);
    assert_eq!(mock.served("b"), Served { calls: 1, ..Served::default() });
    assert_eq!(mock.served("c"), Served::default());
    assert_eq!(mock.served_total().calls, 4);
}
