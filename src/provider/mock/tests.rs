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
async fn more_cached_than_input_tokens_are_refused() {
    let options = [("x-mock-input-tokens", "1"), ("x-mock-cached-tokens", "2")];
    let answer = ask(&MockProvider::new(), CHAT, &options, &chat()).await;
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
    assert!(text(answer).await.contains("x-mock-cached-tokens"));
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
async fn a_stream_has_the_number_of_chunks_that_is_asked_for() {
    for chunks in ["1", "7", "100"] {
        let events = events(CHAT, &[("x-mock-chunks", chunks)], &chat_stream()).await;
        let content = events.iter().filter(|event| event["choices"][0]["delta"]["content"] != "");
        // The closing chunk has no content at all, the usage chunk no choice.
        let content = content.filter(|event| event["choices"][0]["delta"].get("content").is_some());
        let said: String = content
            .map(|event| event["choices"][0]["delta"]["content"].as_str().unwrap())
            .collect();
        assert_eq!(said, "one two ".repeat(8).trim_end());
        let deltas =
            events.iter().filter(|event| event["choices"][0]["delta"].get("content").is_some());
        assert_eq!(deltas.count().to_string(), (chunks.parse::<usize>().unwrap() + 1).to_string());
    }
}

#[tokio::test]
async fn only_a_caller_that_asks_gets_the_usage_chunk() {
    let with = events(CHAT, &[], &chat_stream()).await;
    let (last, before) = with.split_last().unwrap();
    assert_eq!(last["choices"], json!([]));
    assert_eq!(last["usage"]["completion_tokens"], 16);
    assert!(before.iter().all(|event| event["usage"].is_null() && event.get("usage").is_some()));

    let mut body = chat_stream();
    body["stream_options"] = Value::Null;
    let without = events(CHAT, &[], &body).await;
    assert!(without.iter().all(|event| event.get("usage").is_none()));
    assert_eq!(without.len(), with.len() - 1);
}

#[tokio::test]
async fn usage_is_reported_as_the_header_says() {
    let none = events(CHAT, &[("x-mock-usage", "none")], &chat_stream()).await;
    assert!(none.iter().all(|event| event["usage"].is_null()));
    assert!(document(CHAT, &[("x-mock-usage", "none")], &chat()).await.get("usage").is_none());

    let cumulative = events(CHAT, &[("x-mock-usage", "cumulative")], &chat_stream()).await;
    let so_far: Vec<u64> = cumulative
        .iter()
        .map(|event| event["usage"]["completion_tokens"].as_u64().unwrap())
        .collect();
    assert_eq!(so_far, [0, 4, 8, 12, 16, 16, 16]);

    let stream = events(MESSAGES, &[("x-mock-usage", "final")], &message(true)).await;
    assert_eq!(stream[0]["message"]["usage"]["input_tokens"], 0);
    let delta = stream.iter().find(|event| event["type"] == "message_delta").unwrap();
    assert!(delta["usage"]["input_tokens"].as_u64().unwrap() > 0);
    let stream = events(MESSAGES, &[("x-mock-usage", "none")], &message(true)).await;
    assert!(stream.iter().all(|event| event.get("usage").is_none()));
    assert!(stream[0]["message"].get("usage").is_none());
}

#[tokio::test]
async fn a_message_stream_has_the_events_of_the_vendor_in_their_order() {
    let stream = events(MESSAGES, &[("x-mock-chunks", "2")], &message(true)).await;
    let kinds: Vec<&str> = stream.iter().map(|event| event["type"].as_str().unwrap()).collect();
    let expected = [
        "message_start",
        "content_block_start",
        "ping",
        "content_block_delta",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ];
    assert_eq!(kinds, expected);
    assert!(stream[0]["message"]["usage"]["input_tokens"].as_u64().unwrap() > 0);
    assert_eq!(stream[6]["usage"]["output_tokens"], 16);
}

#[tokio::test(start_paused = true)]
async fn latency_and_chunk_delay_are_kept() {
    let started = Instant::now();
    let options =
        [("x-mock-latency-ms", "500"), ("x-mock-chunks", "3"), ("x-mock-chunk-delay-ms", "100")];
    let answer = ask(&MockProvider::new(), CHAT, &options, &chat_stream()).await;
    assert_eq!(started.elapsed(), Duration::from_millis(500));
    text(answer).await;
    assert!((800..810).contains(&started.elapsed().as_millis()), "{:?}", started.elapsed());
}

#[tokio::test]
async fn an_error_is_in_the_dialect_of_its_path() {
    let answer = ask(&MockProvider::new(), CHAT, &[("x-mock-status", "429")], &chat()).await;
    assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(answer.headers()[header::RETRY_AFTER], "1");
    let answer: Value = serde_json::from_str(&text(answer).await).unwrap();
    assert_eq!(answer["error"]["type"], "rate_limit_error");

    let options = [("x-mock-status", "529"), ("x-mock-retry-after", "7")];
    let answer = ask(&MockProvider::new(), MESSAGES, &options, &message(false)).await;
    assert_eq!(answer.headers()[header::RETRY_AFTER], "7");
    let answer: Value = serde_json::from_str(&text(answer).await).unwrap();
    assert_eq!(answer["error"]["type"], "overloaded_error");
}

#[tokio::test]
async fn a_stream_breaks_off_where_it_is_asked_to() {
    for chunks in 0..3 {
        let mock = MockProvider::new();
        let options = [("x-mock-break-after", &*chunks.to_string()), ("x-request-id", "a")];
        let answer = ask(&mock, CHAT, &options, &chat_stream()).await;
        let (frames, broke) = frames(answer.into_body()).await;
        assert_eq!((frames.len(), broke), (chunks + 1, Some(MockBroke)));
        let served = mock.served("a");
        assert_eq!(
            (served.completed, served.output_tokens),
            (0, 4 * u64::try_from(chunks).unwrap())
        );
    }
}

#[tokio::test]
async fn a_document_breaks_off_in_its_middle_and_promises_no_length() {
    let answer = ask(&MockProvider::new(), CHAT, &[("x-mock-break-after", "0")], &chat()).await;
    assert_eq!(answer.body().size_hint().exact(), None);
    assert_eq!(frames(answer.into_body()).await.1, Some(MockBroke));
}

#[tokio::test]
async fn garbage_has_the_right_content_type_and_the_wrong_content() {
    for body in [chat(), chat_stream()] {
        let answer = ask(&MockProvider::new(), CHAT, &[("x-mock-garbage", "true")], &body).await;
        assert_ne!(answer.headers()[header::CONTENT_TYPE], "text/html; charset=utf-8");
        let bytes = answer.into_body().collect().await.unwrap().to_bytes();
        assert!(
            serde_json::from_slice::<Value>(&bytes).is_err()
                && std::str::from_utf8(&bytes).is_err()
        );
    }
    let options = [("x-mock-garbage", "html"), ("x-mock-status", "502")];
    let answer = ask(&MockProvider::new(), CHAT, &options, &chat()).await;
    assert_eq!(answer.headers()[header::CONTENT_TYPE], "text/html; charset=utf-8");
    assert_eq!(answer.status(), StatusCode::BAD_GATEWAY);
}

#[tokio::test]
async fn a_split_stream_has_the_same_bytes_in_frames_of_that_length() {
    let whole = text(ask(&MockProvider::new(), MESSAGES, &[], &message(true)).await).await;
    for split in ["1", "7", "64", "1000000"] {
        let options = [("x-mock-split", split)];
        let answer = ask(&MockProvider::new(), MESSAGES, &options, &message(true)).await;
        let (lengths, _) = frames(answer.into_body()).await;
        let (last, others) = lengths.split_last().unwrap();
        let split: usize = split.parse().unwrap();
        assert!(others.iter().all(|length| *length == split) && *last <= split);
        let answer = ask(&MockProvider::new(), MESSAGES, &options, &message(true)).await;
        assert_eq!(text(answer).await, whole);
    }
}

#[tokio::test(start_paused = true)]
async fn a_hanging_answer_has_no_head_or_no_end() {
    let long = Duration::from_hours(1);
    let mock = MockProvider::new();
    for value in ["true", "head"] {
        let hangs = [("x-mock-hang", value)];
        assert!(tokio::time::timeout(long, ask(&mock, CHAT, &hangs, &chat())).await.is_err());
    }
    for body in [chat(), chat_stream()] {
        let answer = ask(&mock, CHAT, &[("x-mock-hang", "body")], &body).await;
        assert!(tokio::time::timeout(long, frames(answer.into_body())).await.is_err());
    }
}

#[tokio::test]
async fn a_header_that_is_not_understood_is_named() {
    let wrong = [
        ("x-mock-latency-ms", "soon"),
        ("x-mock-latency-ms", "600001"),
        ("x-mock-input-tokens", "-1"),
        ("x-mock-output-tokens", "1.5"),
        ("x-mock-cached-tokens", ""),
        ("x-mock-cache-write-tokens", "x"),
        ("x-mock-reasoning-tokens", "x"),
        ("x-mock-chunks", "0"),
        ("x-mock-chunk-delay-ms", "x"),
        ("x-mock-status", "600"),
        ("x-mock-status", "101"),
        ("x-mock-retry-after", "x"),
        ("x-mock-break-after", "soon"),
        ("x-mock-usage", "some"),
        ("x-mock-garbage", "yes"),
        ("x-mock-split", "0"),
        ("x-mock-hang", "up"),
        ("x-mock-latency", "1"),
    ];
    for (name, value) in wrong {
        let answer = ask(&MockProvider::new(), CHAT, &[(name, value)], &chat()).await;
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{name}: {value}");
        assert!(text(answer).await.contains(name));
    }
}

#[tokio::test]
async fn a_body_that_is_no_call_is_refused_naming_the_field() {
    let wrong = [
        (CHAT, json!("x"), "model"),
        (CHAT, json!({"model": "m"}), "messages"),
        (CHAT, json!({"model": "m", "messages": [], "n": 0}), "n"),
        (MESSAGES, json!({"model": "m", "messages": []}), "max_tokens"),
        (EMBEDDINGS, json!({"model": "m"}), "input"),
        (EMBEDDINGS, json!({"model": "m", "input": "x", "dimensions": 0}), "dimensions"),
    ];
    for (path, body, field) in wrong {
        let answer = ask(&MockProvider::new(), path, &[], &body).await;
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
        assert!(text(answer).await.contains(&format!("`{field}`")), "{field}");
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

#[cfg(feature = "server")]
mod server {
    use super::*;
    use crate::client::HttpClient;

    async fn running(
        mock: MockProvider,
    ) -> (String, tokio::sync::oneshot::Sender<()>, tokio::task::JoinHandle<std::io::Result<()>>)
    {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let serving = serve(mock, listener, async {
            drop(stopped.await);
        });
        (url, stop, tokio::spawn(serving))
    }

    #[tokio::test]
    async fn the_server_answers_and_tells_what_it_has_served() {
        let (url, stop, serving) = running(MockProvider::new()).await;
        let client = HttpClient::default();
        let request = Request::post(format!("{url}{CHAT}")).header("x-request-id", "a");
        let request = request.body(Full::<Bytes>::from(chat().to_string())).unwrap();
        let answer = client.fetch(request, 1 << 20, Duration::from_secs(10)).await.unwrap();
        assert_eq!(answer.headers()["openai-organization"], "mock-account");
        for path in ["/mock/served/a", "/mock/served"] {
            let request = Request::get(format!("{url}{path}")).body(Full::default()).unwrap();
            let served = client.fetch(request, 1 << 20, Duration::from_secs(10)).await.unwrap();
            let served: Served = serde_json::from_slice(served.body()).unwrap();
            assert_eq!((served.calls, served.completed, served.output_tokens), (1, 1, 16));
        }
        drop(client);
        stop.send(()).unwrap();
        serving.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn the_server_resets_the_connection_before_the_head() {
        let (url, _stop, _serving) = running(MockProvider::new()).await;
        let request = Request::post(format!("{url}{CHAT}")).header("x-mock-break-after", "nothing");
        let request = request.body(Full::<Bytes>::from(chat().to_string())).unwrap();
        let failed = HttpClient::default().send(request).await.unwrap_err();
        assert!(!failed.is_unsent());
    }
}
