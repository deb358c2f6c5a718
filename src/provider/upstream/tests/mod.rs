mod failures;
mod headers;
mod secrets;
mod streams;
mod unmarked;

use std::{sync::Arc, time::Duration};

use http::{StatusCode, Uri, header};
use http_body_util::BodyExt;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::Instant,
};
use tower::ServiceExt;

use super::*;
use crate::context::{Call, ServedBy};

const CHAT: &str = "/v1/chat/completions";
const MESSAGES: &str = "/v1/messages";

/// A task that ends with the test.
struct Running(tokio::task::JoinHandle<()>);
impl Drop for Running {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A provider as a bare TCP listener: each connection is handed to `serve`.
async fn provider<F, Fut>(serve: F) -> (String, Running)
where
    F: Fn(TcpStream) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let task = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    (url, Running(task))
}

/// A provider that answers every request with these bytes, and sends each request to the test.
async fn answering(answer: impl Into<String>) -> (String, Running, mpsc::Receiver<String>) {
    let (asked, asks) = mpsc::channel(16);
    let answer: Arc<str> = answer.into().into();
    let (url, running) = provider(move |mut stream| {
        let (asked, answer) = (asked.clone(), Arc::clone(&answer));
        async move {
            while let Some(request) = read_request(&mut stream).await {
                asked.send(request).await.unwrap();
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        }
    })
    .await;
    (url, running, asks)
}

/// The bytes of an answer: its head without the length, and its body.
fn answer(head: &str, body: &str) -> String {
    format!("HTTP/1.1 {head}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

/// One whole request, head in lower case; `None` when the connection is closed.
async fn read_request(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let head = head.to_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                return Some(format!("{head}\r\n\r\n{body}"));
            }
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}

fn config(dialect: Dialect, url: &str) -> UpstreamConfig {
    UpstreamConfig {
        forward_header_prefixes: vec!["x-mock-".into()],
        ..UpstreamConfig::new("test", dialect, url)
    }
}

fn to(dialect: Dialect, url: &str) -> Upstream {
    Upstream::new(config(dialect, url), HttpClient::default()).unwrap()
}

fn post(path: &str) -> http::request::Builder {
    Request::post(path).header(header::CONTENT_TYPE, "application/json")
}

fn empty(request: http::request::Builder) -> Request<Full<Bytes>> {
    request.body(Full::from("{}")).unwrap()
}

async fn ask(upstream: &Upstream, request: Request<Full<Bytes>>) -> Response<UpstreamBody> {
    let waited = Duration::from_secs(20);
    tokio::time::timeout(waited, upstream.clone().oneshot(request)).await.unwrap().unwrap()
}

async fn document(answer: Response<UpstreamBody>) -> Value {
    assert_eq!(answer.headers()[header::CONTENT_TYPE], "application/json");
    serde_json::from_slice(&answer.into_body().collect().await.unwrap().to_bytes()).unwrap()
}

#[test]
fn a_base_url_is_what_the_vendors_clients_are_told() {
    let uri = |dialect, base: &str, path: &str| {
        let base = UpstreamConfig::new("n", dialect, base).base().unwrap();
        base.uri(Endpoint::of_path(path), &path.parse().unwrap()).map(|uri| uri.to_string())
    };
    let cases = [
        (
            Dialect::OpenAi,
            "https://api.openai.com/v1",
            CHAT,
            "https://api.openai.com/v1/chat/completions",
        ),
        (
            Dialect::OpenAi,
            "https://api.openai.com/v1/",
            "/v1/embeddings",
            "https://api.openai.com/v1/embeddings",
        ),
        (
            Dialect::OpenAi,
            "http://127.0.0.1:1",
            "/openai/v1/models",
            "http://127.0.0.1:1/v1/models",
        ),
        (
            Dialect::OpenAi,
            "https://x.test/v1beta/openai",
            CHAT,
            "https://x.test/v1beta/openai/chat/completions",
        ),
        (
            Dialect::Anthropic,
            "https://api.anthropic.com",
            MESSAGES,
            "https://api.anthropic.com/v1/messages",
        ),
        (
            Dialect::Anthropic,
            "https://x.test/anthropic",
            MESSAGES,
            "https://x.test/anthropic/v1/messages",
        ),
        (Dialect::Anthropic, "https://x.test/a/v1", MESSAGES, "https://x.test/a/v1/messages"),
        (Dialect::OpenAi, "https://h", "/v1/models/org/m:1", "https://h/v1/models/org/m:1"),
    ];
    for (dialect, base, path, expected) in cases {
        assert_eq!(uri(dialect, base, path).as_deref(), Some(expected));
    }
    for path in [
        "/",
        "/v1/files",
        "/v1/models/../files",
        "/v1/models//x",
        "/v1/models/a%2fb",
        "/v1/modelsx",
    ] {
        assert_eq!(uri(Dialect::OpenAi, "https://h", path), None, "{path}");
    }
}

#[tokio::test]
async fn a_call_goes_to_the_endpoint_that_it_was_read_for_whatever_its_path() {
    let (url, _running, mut asks) = answering(answer("200 OK", "{}")).await;
    for path in ["/ask", "/v1/embeddings"] {
        let asked = post(path).extension(Call::for_model("small"));
        assert_eq!(ask(&to(Dialect::OpenAi, &url), empty(asked)).await.status(), StatusCode::OK);
        assert!(asks.recv().await.unwrap().starts_with("post /v1/chat/completions "), "{path}");
    }
}

#[tokio::test]
async fn a_body_is_edited_as_far_as_the_provider_understands() {
    let (url, _running, _asks) = answering(answer("200 OK", "{}")).await;
    for (cap_field, takes_stream_options, expected) in [
        // A server that nobody knows gets what all compatible servers know.
        (None, true, (true, false)),
        (Some(CapField::MaxTokens), false, (true, true)),
        (Some(CapField::MaxCompletionTokens), true, (false, false)),
    ] {
        let config =
            UpstreamConfig { cap_field, takes_stream_options, ..config(Dialect::OpenAi, &url) };
        let upstream = Upstream::new(config, HttpClient::default()).unwrap();
        let call = Call::for_model("small");
        let asked = empty(post("/v1/chat/completions").extension(call.clone()));
        assert_eq!(ask(&upstream, asked).await.status(), StatusCode::OK);
        let edits = call.edits();
        assert_eq!((edits.compatible_cap, edits.no_stream_options), expected, "{cap_field:?}");
        assert_eq!(edits.standard_tier, None);
    }
}

#[test]
fn only_known_query_parameters_are_passed_on() {
    let base = UpstreamConfig::new("n", Dialect::Anthropic, "https://h").base().unwrap();
    let uri = |asked| base.uri(Some(Endpoint::Messages), &Uri::from_static(asked)).unwrap();
    let passed = uri("/v1/messages?beta=true&key=secret&limit=2&betas=1");
    assert_eq!(passed, "https://h/v1/messages?beta=true&limit=2");
    assert_eq!(uri("/v1/messages?key=1"), "https://h/v1/messages");
}

#[test]
fn a_base_url_that_cannot_work_is_refused() {
    for url in [
        "",
        "/v1",
        "api.openai.com/v1",
        "ftp://h/v1",
        "http://u:p@h/",
        "http://h/?a=1",
        "http://h/#x",
    ] {
        let refused = UpstreamConfig::new("n", Dialect::OpenAi, url).base().unwrap_err();
        assert_eq!(refused, UpstreamError::BaseUrl("n".into()), "{url}");
    }
}

#[test]
fn plain_http_beyond_this_machine_must_be_allowed_by_name() {
    for (url, here) in [
        ("http://127.0.0.1:9/x", true),
        ("http://localhost", true),
        ("http://[::1]:9", true),
        ("http://h", false),
        ("HTTP://h", false),
        ("http://localhost.h", false),
        ("http://127.0.0.1.h", false),
        ("http://0.0.0.0", false),
    ] {
        let mut config = UpstreamConfig::new("n", Dialect::OpenAi, url);
        let refused = config.base().err();
        assert_eq!(refused, (!here).then(|| UpstreamError::PlainHttp("n".into())), "{url}");
        config.allow_http = true;
        config.base().unwrap();
    }
}

#[tokio::test]
async fn connections_are_used_again() {
    let connections = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    let (url, _running) = provider(move |mut stream| {
        counted.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        async move {
            while read_request(&mut stream).await.is_some() {
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").await.unwrap();
            }
        }
    })
    .await;
    let upstream = to(Dialect::OpenAi, &url);
    for _ in 0..5 {
        let answer = ask(&upstream, empty(post(CHAT))).await;
        assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "{}");
    }
    assert_eq!(connections.load(std::sync::atomic::Ordering::SeqCst), 1);
}
