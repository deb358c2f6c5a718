//! What the stack does around its routes, whatever these are.

use std::{
    future::pending,
    io,
    pin::pin,
    sync::{Arc, Mutex},
};

use futures_util::{FutureExt, StreamExt, stream};
use http::{HeaderValue, Method};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use serde_json::Value;
use tower::{ServiceExt, service_fn};
use tracing_subscriber::{fmt::MakeWriter, layer::SubscriberExt};

use super::*;
use crate::gateway::cors::cors;

type Unsent = Full<Bytes>;

fn post(path: &str) -> Request<Unsent> {
    Request::post(path).body(Full::default()).unwrap()
}

// --- the access line ---

/// What is logged on this thread while `_here` lives, one JSON object a line.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(text)
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
    );
    let secret = "hunter2";
    let mut request = post("/v1/messages");
    for name in ["authorization", "proxy-authorization", "cookie", "x-api-key"] {
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
    let (status, error) = refused(front(at_once, None).oneshot(named()).await.unwrap()).await;
    assert_eq!((status, error["error"]["code"].as_str()), (500, Some("internal_error")));
    assert_eq!(lines.access(), line(500, "complete"));

    let later = service_fn(|_: Request<_>| async {
        tokio::task::yield_now().await;
        if true {
            panic!("walnut");
        }
        Ok(Response::new(Unsent::default()))
    });
    let mut request = post("/v1/messages");
    request.headers_mut().insert("x-request-id", "mine".parse().unwrap());
    let answer = front(later, None).oneshot(request).await.unwrap();
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
    );
    let (status, error) = refused(stack.oneshot(named()).await.unwrap()).await;
    assert_eq!((status, error["error"].as_str()), (500, Some("of the provider")));
}

/// tower-http's layer does not reach into bodies: the server's task ends with the panic, and its connection with it.
/// So nothing but the connection may depend on such a request, and the line is written all the same.
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
    );
    let answer = stack.oneshot(named()).await.unwrap();
    let reading = tokio::spawn(answer.into_body().collect());
    assert!(reading.await.unwrap_err().is_panic());
    // The task has its thread in common with this one: its line is among these.
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

/// Answers with what it is asked; a panic would be an answer, too.
async fn answered(origins: &[&str], request: Request<Unsent>) -> Response<()> {
    let origins: Vec<String> = origins.iter().copied().map(str::to_owned).collect();
    let routes = service_fn(|request: Request<_>| async move {
        let status = if request.method() == Method::OPTIONS { 405 } else { 401 };
        Ok(Response::builder().status(status).body(Unsent::default()).unwrap())
    });
    front(routes, cors(&origins)).oneshot(request).await.unwrap().map(drop)
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
