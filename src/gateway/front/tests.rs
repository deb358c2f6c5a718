//! The stack around the routes, tested with arbitrary routes.

use std::{
    future::pending,
    io,
    pin::{Pin, pin},
    sync::{
        Arc, LazyLock, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use async_compression::tokio::{
    bufread::{BrotliDecoder, GzipDecoder, ZstdDecoder},
    write::{BrotliEncoder, GzipEncoder, ZstdEncoder},
};
use futures_util::{FutureExt, StreamExt, stream};
use http::{HeaderValue, Method};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tower::{Layer, ServiceExt, service_fn};
use tracing_subscriber::{fmt::MakeWriter, layer::SubscriberExt};

use super::*;
use crate::{
    body::RequestBody,
    call::{CallBody, CallLayer},
    gateway::cors::cors,
};

type Unsent = Full<Bytes>;

const MAX: usize = 100_000;

fn post(path: &str) -> Request<Unsent> {
    Request::post(path).body(Full::default()).unwrap()
}

// --- the access line ---

/// The log of this thread while the guard of `here` lives, one JSON object a line.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        io::Write::write(&mut *self.0.lock().unwrap(), text)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Lines {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

impl Lines {
    fn here() -> (Self, tracing::subscriber::DefaultGuard) {
        // With a single subscriber, `tracing` caches a span's interest from the thread that reaches the span first. If
        // that thread runs another test without a subscriber, the span is off for all. A second one prevents this.
        static ANOTHER: LazyLock<tracing::Dispatch> =
            LazyLock::new(|| tracing::Dispatch::new(tracing_subscriber::registry()));
        LazyLock::force(&ANOTHER);
        let lines = Self::default();
        let layer = tracing_subscriber::fmt::layer().with_writer(lines.clone());
        let layer = layer.json().flatten_event(true).with_current_span(true);
        let guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(layer));
        (lines, guard)
    }

    /// The access lines so far: status, end, request id, route.
    fn access(&self) -> Vec<(u64, String, String, String)> {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let lines = lines.filter(|line| line["target"] == "tollgate::access");
        let word = |value: &Value| value.as_str().unwrap().to_owned();
        lines
            .map(|line| {
                let span = &line["span"];
                let status = line["status"].as_u64().unwrap();
                (status, word(&line["end"]), word(&span["request_id"]), word(&span["route"]))
            })
            .collect()
    }
}

fn named() -> Request<Unsent> {
    let mut request = post("/v1/models/secret-model");
    request.headers_mut().insert("x-request-id", "mine".parse().unwrap());
    request
}

fn line(status: u64, end: &str) -> Vec<(u64, String, String, String)> {
    vec![(status, end.to_owned(), "mine".to_owned(), "/v1/models/{id}".to_owned())]
}

#[tokio::test]
async fn an_answer_that_came_to_its_end_has_one_line_and_not_before() {
    let (lines, _here) = Lines::here();
    let stack = front(
        service_fn(|_: Request<_>| async { Ok(Response::new(Full::<Bytes>::from("hello"))) }),
        None,
        MAX,
    );
    let answer = stack.oneshot(named()).await.unwrap();
    assert_eq!(lines.access(), []);
    drop(answer.into_body().collect().await.unwrap());
    assert_eq!(lines.access(), line(200, "complete"));
}

#[tokio::test]
async fn a_server_that_stops_reading_at_the_last_frame_has_read_the_whole_answer() {
    let (lines, _here) = Lines::here();
    let stack = front(
        service_fn(|_: Request<_>| async { Ok(Response::new(Full::<Bytes>::from("hello"))) }),
        None,
        MAX,
    );
    let mut body = pin!(stack.oneshot(named()).await.unwrap().into_body());
    assert_eq!(body.size_hint().exact(), Some(5));
    body.frame().await.unwrap().unwrap();
    assert!(body.is_end_stream());
    assert_eq!(lines.access(), line(200, "complete"));
}

#[tokio::test]
async fn a_client_that_leaves_before_its_answer_has_a_line_without_a_status() {
    let (lines, _here) = Lines::here();
    let stack = front(
        service_fn(|_: Request<_>| pending::<Result<Response<Full<Bytes>>, Infallible>>()),
        None,
        MAX,
    );
    let asking = stack.oneshot(named());
    assert!(asking.now_or_never().is_none());
    assert_eq!(lines.access(), line(0, "abandoned"));
}

#[tokio::test]
async fn a_client_that_leaves_in_the_middle_of_its_answer_has_one_line() {
    let (lines, _here) = Lines::here();
    let stack = front(
        service_fn(|_: Request<_>| async {
            let first = Ok::<_, Infallible>(Frame::data(Bytes::from("a")));
            Ok(Response::new(StreamBody::new(stream::iter([first]).chain(stream::pending()))))
        }),
        None,
        MAX,
    );
    let mut body = Box::pin(stack.oneshot(named()).await.unwrap().into_body());
    body.frame().await.unwrap().unwrap();
    assert_eq!(lines.access(), []);
    drop(body);
    assert_eq!(lines.access(), line(200, "abandoned"));
}

#[tokio::test]
async fn an_answer_that_breaks_off_has_one_line() {
    let (lines, _here) = Lines::here();
    let stack = front(
        service_fn(|_: Request<_>| async {
            let frames = [Ok(Frame::data(Bytes::from("a"))), Err(io::Error::other("broken"))];
            Ok(Response::new(StreamBody::new(stream::iter(frames))))
        }),
        None,
        MAX,
    );
    assert!(stack.oneshot(named()).await.unwrap().into_body().collect().await.is_err());
    assert_eq!(lines.access(), line(200, "broken"));
}

// --- secrets ---

#[tokio::test]
async fn a_header_with_a_secret_is_not_printed_behind_the_stack() {
    let stack = front(
        service_fn(|request: Request<_>| async move {
            Ok(Response::new(Full::<Bytes>::from(format!("{:?}", request.headers()))))
        }),
        None,
        MAX,
    );
    let secret = "hunter2";
    let mut request = post("/v1/messages");
    for name in
        ["authorization", "proxy-authorization", "cookie", "x-api-key", "api-key", "x-goog-api-key"]
    {
        request.headers_mut().append(name, secret.parse().unwrap());
        request.headers_mut().append(name, secret.parse().unwrap());
    }
    request.headers_mut().insert("user-agent", "walnut".parse().unwrap());
    let body = stack.oneshot(request).await.unwrap().into_body().collect().await.unwrap();
    let printed = String::from_utf8(body.to_bytes().to_vec()).unwrap();
    assert!(printed.contains("walnut") && printed.contains("x-api-key"), "{printed}");
    assert!(!printed.contains(secret), "{printed}");
}

// --- panics ---

async fn refused<B>(answer: Response<B>) -> (u16, Value)
where
    B: Body<Error: std::fmt::Debug>,
{
    let (head, body) = answer.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (head.status.as_u16(), serde_json::from_slice(&body).unwrap())
}

#[tokio::test]
async fn a_panic_before_the_answer_is_500_in_the_callers_dialect_and_has_its_line() {
    let (lines, _here) = Lines::here();
    let at_once = service_fn(|_: Request<_>| -> std::future::Ready<Result<Response<Unsent>, _>> {
        panic!("walnut")
    });
    let (status, error) = refused(front(at_once, None, MAX).oneshot(named()).await.unwrap()).await;
    assert_eq!((status, error["error"]["code"].as_str()), (500, Some("internal_error")));
    assert_eq!(lines.access(), line(500, "complete"));

    let later = service_fn(|request: Request<_>| async move {
        tokio::task::yield_now().await;
        assert!(request.headers().is_empty(), "walnut");
        Ok(Response::new(Unsent::default()))
    });
    let mut request = post("/v1/messages");
    request.headers_mut().insert("x-request-id", "mine".parse().unwrap());
    let answer = front(later, None, MAX).oneshot(request).await.unwrap();
    assert_eq!(
        (&answer.headers()["x-request-id"], &answer.headers()["request-id"]),
        (&"mine".parse().unwrap(), &"mine".parse().unwrap())
    );
    let (status, error) = refused(answer).await;
    assert_eq!((status, error["type"].as_str()), (500, Some("error")));
    assert_eq!(error["request_id"], "mine");
    assert!(!error.to_string().contains("walnut"));
}

#[tokio::test]
async fn an_error_of_the_routes_is_their_own_word() {
    let stack = front(
        service_fn(|_: Request<_>| async {
            let answer = Response::builder().status(500);
            Ok(answer.body(Full::<Bytes>::from(r#"{"error":"of the provider"}"#)).unwrap())
        }),
        None,
        MAX,
    );
    let (status, error) = refused(stack.oneshot(named()).await.unwrap()).await;
    assert_eq!((status, error["error"].as_str()), (500, Some("of the provider")));
}

/// tower-http's layer does not catch panics in bodies: the panic ends the server's task and with it the connection.
/// So only the connection may be lost, and the access line must be written nevertheless.
#[tokio::test]
async fn a_panic_in_the_middle_of_the_answer_goes_up_and_has_its_line() {
    let (lines, _here) = Lines::here();
    let stack = front(
        service_fn(|_: Request<_>| async {
            let first = Ok::<_, Infallible>(Frame::data(Bytes::from("a")));
            let frames = stream::iter([first]).chain(stream::once(async { panic!("walnut") }));
            Ok(Response::new(StreamBody::new(frames)))
        }),
        None,
        MAX,
    );
    let answer = stack.oneshot(named()).await.unwrap();
    let reading = tokio::spawn(answer.into_body().collect());
    assert!(reading.await.unwrap_err().is_panic());
    // The task runs on this thread, so its line is captured here.
    assert_eq!(lines.access(), line(200, "abandoned"));
}

// --- CORS ---

fn from(origin: &'static str, method: Method) -> Request<Unsent> {
    let mut request = post("/v1/chat/completions");
    *request.method_mut() = method;
    request.headers_mut().insert("origin", HeaderValue::from_static(origin));
    request
}

fn preflight(origin: &'static str) -> Request<Unsent> {
    let mut request = from(origin, Method::OPTIONS);
    let headers = request.headers_mut();
    headers.insert("access-control-request-method", HeaderValue::from_static("POST"));
    let wanted = HeaderValue::from_static("authorization,x-stainless-os");
    headers.insert("access-control-request-headers", wanted);
    request
}

/// The stack's answer to this request, with these origins allowed.
async fn answered(origins: &[&str], request: Request<Unsent>) -> Response<()> {
    let origins = origins.iter().map(|origin| origin.parse().unwrap()).collect();
    let routes = service_fn(|request: Request<_>| async move {
        let status = if request.method() == Method::OPTIONS { 405 } else { 401 };
        Ok(Response::builder().status(status).body(Unsent::default()).unwrap())
    });
    front(routes, cors(origins), MAX).oneshot(request).await.unwrap().map(drop)
}

const APP: &str = "https://app.example.com";

#[tokio::test]
async fn without_origins_a_preflight_is_a_request_like_any_other_and_no_page_may_read_an_answer() {
    for origins in [&[][..], &["*"]] {
        let answer = answered(origins, preflight(APP)).await;
        assert_eq!(answer.status(), 405);
        assert!(!answer.headers().contains_key("access-control-allow-origin"));
    }
}

#[tokio::test]
async fn a_listed_page_is_told_what_it_may_send_before_it_has_a_token() {
    let answer = answered(&[APP, "http://localhost:3000"], preflight(APP)).await;
    assert_eq!(answer.status(), 200);
    let of = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
    assert_eq!(of("access-control-allow-origin"), APP);
    assert_eq!(of("access-control-allow-headers"), "authorization,x-stainless-os");
    assert!(of("access-control-allow-methods").contains("POST"));
    assert!(of("x-request-id").len() == 36, "it is named like every request");
    assert!(!answer.headers().contains_key("access-control-allow-credentials"));
}

#[tokio::test]
async fn a_listed_page_may_read_an_answer_and_its_request_id_also_of_a_refusal() {
    let answer = answered(&[APP], from(APP, Method::POST)).await;
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["access-control-allow-origin"]),
        (401, &HeaderValue::from_static(APP))
    );
    let exposed = answer.headers()["access-control-expose-headers"].to_str().unwrap();
    assert!(exposed.contains("x-request-id") && exposed.contains("retry-after"), "{exposed}");
    assert!(!answer.headers().contains_key("access-control-allow-credentials"));
    let varies = answer.headers().get_all("vary").iter();
    assert!(varies.map(|vary| vary.to_str().unwrap()).any(|vary| vary.contains("origin")));
}

#[tokio::test]
async fn another_page_is_allowed_nothing() {
    for other in ["https://app.example.com.evil.example", "http://app.example.com", "null"] {
        for request in [preflight(other), from(other, Method::POST)] {
            let answer = answered(&[APP], request).await;
            assert!(!answer.headers().contains_key("access-control-allow-origin"), "{other}");
        }
    }
}

// --- compressed requests ---

/// The layer that reads calls, with a service behind it that says how long the body was.
fn reading() -> impl Service<
    Request<Plain<Counted>>,
    Response = Response<CallBody<Infallible>>,
    Error = Infallible,
    Future: Send,
> + Clone
+ Send {
    CallLayer::metering().body_bytes_max(MAX).layer(service_fn(
        |request: Request<RequestBody>| async move {
            let length = request.into_body().into_bytes().len();
            let answer = Response::builder().header("content-type", "application/json");
            Ok(answer.body(Full::<Bytes>::from(length.to_string())).unwrap())
        },
    ))
}

/// A body in pieces that counts the bytes that were read.
struct Counted {
    rest: Bytes,
    taken: Arc<AtomicUsize>,
}

impl Body for Counted {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let piece = self.rest.len().min(1_000);
        let piece = self.rest.split_to(piece);
        self.taken.fetch_add(piece.len(), Ordering::SeqCst);
        Poll::Ready((!piece.is_empty()).then(|| Ok(Frame::data(piece))))
    }
}

/// Sends these bytes with this `content-encoding`. Returns the answer's status and text, and how many bytes were read.
async fn send(encoding: &str, path: &str, bytes: &[u8]) -> (u16, Value, usize) {
    let taken = Arc::new(AtomicUsize::new(0));
    let body = Counted { rest: Bytes::copy_from_slice(bytes), taken: Arc::clone(&taken) };
    let request = Request::post(path).header("content-encoding", encoding);
    let request = request.header("content-length", bytes.len()).body(body).unwrap();
    let answer = Box::pin(front(reading(), None, MAX).oneshot(request)).await.unwrap();
    let known = answer.headers().get("accept-encoding").cloned();
    assert_eq!(known.is_some(), answer.status() == 415);
    let (status, text) = refused(answer).await;
    (status, text, taken.load(Ordering::SeqCst))
}

/// A call of this many bytes.
fn call(length: usize) -> String {
    let call = |said: &str| {
        format!(r#"{{"model":"small","messages":[{{"role":"user","content":"{said}"}}]}}"#)
    };
    call(&"x".repeat(length.checked_sub(call("").len()).unwrap()))
}

async fn compressed(encoding: &str, bytes: &[u8]) -> Vec<u8> {
    let level = async_compression::Level::Fastest;
    let mut packed = Vec::new();
    let mut encoder: Pin<Box<dyn AsyncWrite>> = match encoding {
        "gzip" => Box::pin(GzipEncoder::with_quality(&mut packed, level)),
        "br" => Box::pin(BrotliEncoder::with_quality(&mut packed, level)),
        "zstd" => Box::pin(ZstdEncoder::with_quality(&mut packed, level)),
        _ => panic!("{encoding}"),
    };
    encoder.write_all(bytes).await.unwrap();
    encoder.shutdown().await.unwrap();
    drop(encoder);
    packed
}

const ENCODINGS: [&str; 3] = ["gzip", "br", "zstd"];

#[tokio::test]
async fn a_compressed_body_is_read_as_what_it_was_before() {
    for length in [100, MAX] {
        let plain = call(length);
        for encoding in ENCODINGS {
            let packed = compressed(encoding, plain.as_bytes()).await;
            let (status, read, _) = send(encoding, "/v1/chat/completions", &packed).await;
            assert_eq!((status, read.as_u64()), (200, u64::try_from(length).ok()), "{encoding}");
        }
        let (status, ..) = send("identity", "/v1/chat/completions", plain.as_bytes()).await;
        assert_eq!(status, 200);
    }
}

#[tokio::test]
async fn what_is_too_long_decompressed_is_refused_early() {
    // A body that is one byte too long, and one that decompresses to far too much.
    for encoding in ENCODINGS {
        let packed = compressed(encoding, call(MAX + 1).as_bytes()).await;
        assert_eq!(send(encoding, "/v1/chat/completions", &packed).await.0, 413, "{encoding}");
        let mut bomb = compressed(encoding, &vec![b' '; 80 * MAX]).await;
        if encoding == "zstd" {
            bomb = bomb.repeat(100);
        }
        let (status, error, taken) = send(encoding, "/v1/messages", &bomb).await;
        assert_eq!((status, error["type"].as_str()), (413, Some("error")), "{encoding}");
        // Reading stops after the first pieces.
        assert!(taken <= 2_000, "{encoding}: {taken} of {}", bomb.len());
    }
}

#[tokio::test]
async fn bytes_that_decompress_to_nothing_are_not_read_without_end() {
    // Frames of zstd that decoders skip, with nothing in them.
    let nothing = [0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0].repeat(MAX);
    let (status, _, taken) = send("zstd", "/v1/chat/completions", &nothing).await;
    assert_eq!(status, 413);
    assert!(taken <= MAX + 1_000, "{taken}");
}

#[tokio::test]
async fn an_encoding_that_is_not_known_is_415_in_the_callers_dialect() {
    for encoding in ["deflate", "compress", "gzip, gzip", "walnut", ""] {
        let (status, error, taken) = send(encoding, "/v1/messages", b"{}").await;
        assert_eq!((status, error["error"]["code"].as_str()), (415, Some("unknown_encoding")));
        assert_eq!((error["type"].as_str(), taken), (Some("error"), 0), "{encoding}");
        let (status, error, _) = send(encoding, "/v1/chat/completions", b"{}").await;
        assert_eq!((status, error["error"]["code"].as_str()), (415, Some("unknown_encoding")));
    }
}

#[tokio::test]
async fn a_body_that_is_not_what_its_encoding_says_is_no_call() {
    let plain = call(1_000);
    for encoding in ENCODINGS {
        let packed = compressed(encoding, plain.as_bytes()).await;
        for (what, bytes) in [("plain", plain.as_bytes()), ("cut off", &packed[..packed.len() - 2])]
        {
            let (status, ..) = send(encoding, "/v1/chat/completions", bytes).await;
            assert_eq!(status, 400, "{what} {encoding}");
        }
    }
}

// --- compressed answers ---

/// The answer of a service behind the stack, for a client that accepts these encodings.
async fn accepting(
    accepted: Option<&str>,
    answer: Response<&'static str>,
) -> (http::response::Parts, Bytes) {
    let (head, text) = answer.into_parts();
    let stack = front(
        service_fn(move |_: Request<_>| {
            let answer = Response::from_parts(head.clone(), Full::<Bytes>::from(text));
            async move { Ok(answer) }
        }),
        None,
        MAX,
    );
    let mut request = post("/v1/chat/completions");
    if let Some(accepted) = accepted {
        request.headers_mut().insert("accept-encoding", accepted.parse().unwrap());
    }
    let (head, body) = stack.oneshot(request).await.unwrap().into_parts();
    (head, body.collect().await.unwrap().to_bytes())
}

fn of(content_type: &str, length: usize) -> Response<&'static str> {
    let text: &'static str =
        Box::leak("walnut ".repeat(length).into_boxed_str()).get(..length).unwrap();
    let answer = Response::builder().header("content-type", content_type);
    answer.header("content-length", length).body(text).unwrap()
}

async fn decompressed(encoding: &str, bytes: &[u8]) -> Vec<u8> {
    let mut decoder: Pin<Box<dyn AsyncRead>> = match encoding {
        "gzip" => Box::pin(GzipDecoder::new(bytes)),
        "br" => Box::pin(BrotliDecoder::new(bytes)),
        "zstd" => Box::pin(ZstdDecoder::new(bytes)),
        _ => panic!("{encoding}"),
    };
    let mut text = Vec::new();
    decoder.read_to_end(&mut text).await.unwrap();
    text
}

#[tokio::test]
async fn a_long_answer_comes_as_the_client_accepts_it_and_is_the_same() {
    for encoding in ENCODINGS {
        let (head, body) = accepting(Some(encoding), of("application/json", 5_000)).await;
        assert_eq!(head.headers["content-encoding"], encoding);
        assert!(!head.headers.contains_key("content-length") && body.len() < 500);
        let text = decompressed(encoding, &body).await;
        assert_eq!(text, of("application/json", 5_000).body().as_bytes(), "{encoding}");
    }
}

#[tokio::test]
async fn an_answer_is_not_compressed_where_it_is_short_or_the_client_does_not_ask() {
    let long = || of("application/json", 1_024);
    let same = [
        (Some("gzip, br, zstd"), of("application/json", 1_023)),
        (None, long()),
        (Some("identity"), long()),
        (Some("gzip;q=0"), long()),
        (Some("deflate"), long()),
    ];
    for (accepted, answer) in same {
        let sent = *answer.body();
        let (head, body) = accepting(accepted, answer).await;
        assert!(!head.headers.contains_key("content-encoding"), "{accepted:?}");
        assert_eq!(head.headers["content-length"].to_str().unwrap(), sent.len().to_string());
        assert_eq!(body, sent);
    }
    let (head, _) = accepting(Some("gzip"), long()).await;
    assert_eq!(head.headers["content-encoding"], "gzip");
}

#[tokio::test]
async fn a_stream_of_events_is_never_compressed() {
    for spelling in ["text/event-stream", "text/event-stream; charset=utf-8", "Text/Event-Stream"] {
        let (head, body) = accepting(Some("gzip, br, zstd"), of(spelling, 5_000)).await;
        assert!(!head.headers.contains_key("content-encoding"), "{spelling}");
        assert_eq!(body.len(), 5_000);
    }
}

#[tokio::test]
async fn what_the_upstream_has_compressed_is_not_compressed_again() {
    let mut answer = of("application/json", 5_000);
    answer.headers_mut().insert("content-encoding", HeaderValue::from_static("gzip"));
    let (head, body) = accepting(Some("br"), answer).await;
    assert_eq!((&head.headers["content-encoding"], body.len()), (&"gzip".parse().unwrap(), 5_000));
}

/// tower-http's layer changes the status of a complete answer to 406; our layer restores the status.
#[tokio::test]
async fn a_client_that_accepts_nothing_gets_its_answer_all_the_same() {
    for accepted in ["identity;q=0", "*;q=0"] {
        let (head, body) = accepting(Some(accepted), of("application/json", 5_000)).await;
        assert_eq!((head.status.as_u16(), body.len()), (200, 5_000), "{accepted}");
    }
}
