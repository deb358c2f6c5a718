use http_body_util::{BodyExt, Empty, Full};
use serde_json::Value;
use tower::{ServiceExt, service_fn};

use super::*;
use crate::{
    domain::endpoint::Endpoint,
    gateway::front::{Plain, front},
};

type Answer = Response<Bytes>;
type Asked = Plain<Empty<Bytes>>;

const MAX: usize = 1_000;

async fn ask(part: Part, request: http::request::Builder) -> Answer {
    let own = Own { readiness: Readiness::new(vec![]), metrics: Metrics::install(), tokens: None };
    let named = |name: &'static str| {
        service_fn(move |request: Request<Asked>| async move {
            let id = request.headers()[request_id::HEADER].clone();
            let answer =
                Response::builder().header("seen-id", id).header("x-request-id", "the provider's");
            Ok::<_, Infallible>(answer.body(Full::new(Bytes::from(name))).unwrap())
        })
    };
    let routes = Routes::new(named("call"), named("listing"), named("admin"), Arc::new(own), part);
    let answer =
        front(routes, None, MAX).oneshot(request.body(Empty::new()).unwrap()).await.unwrap();
    let (head, body) = answer.into_parts();
    Response::from_parts(head, body.collect().await.unwrap().to_bytes())
}

fn json_of(answer: &Answer) -> Value {
    serde_json::from_slice(answer.body()).unwrap()
}

#[tokio::test]
async fn each_path_reaches_its_service() {
    for (request, expected) in [
        (Request::get("/v1/models"), "listing"),
        (Request::get("/v1/models/openai/gpt-4o"), "listing"),
        (Request::get("/admin/v1/kill-switches"), "admin"),
        (Request::put("/admin/v1/kill-switches/organization"), "admin"),
        (Request::delete("/admin/v1/kill-switches/user/a/b"), "admin"),
        (Request::get("/healthz"), "ok\n"),
    ] {
        assert_eq!(ask(Part::All, request).await.body(), expected);
    }
    for endpoint in Endpoint::ALL {
        let path = endpoint.spec().path;
        assert_eq!(ask(Part::All, Request::post(path)).await.body(), "call", "{path}");
    }
    let ready = ask(Part::All, Request::get("/readyz")).await;
    assert_eq!((ready.status(), json_of(&ready)["ready"].as_bool()), (StatusCode::OK, Some(true)));
    assert_eq!(ask(Part::All, Request::get("/metrics")).await.status(), 200);
}

#[tokio::test]
async fn another_path_is_404_and_another_method_405_in_the_callers_dialect() {
    for path in [
        "/",
        "/v1",
        "/v1/chat/completions/",
        "/v1/models/",
        "/v2/messages",
        "/dev/token",
        "/admin/v1/kill-switches/team/",
    ] {
        let answer = ask(Part::All, Request::post(path)).await;
        assert_eq!(
            (answer.status().as_u16(), json_of(&answer)["error"]["code"].as_str()),
            (404, Some("unknown_endpoint")),
            "{path}"
        );
    }
    let answer = ask(Part::All, Request::get("/v1/messages")).await;
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["allow"]),
        (405, &HeaderValue::from_static("POST"))
    );
    assert_eq!(json_of(&answer)["type"], "error");
    assert_eq!(
        json_of(&answer)["request_id"].as_str(),
        answer.headers()["x-request-id"].to_str().ok()
    );
    let answer = ask(Part::All, Request::delete("/v1/models")).await;
    assert_eq!(
        (answer.status().as_u16(), json_of(&answer)["error"]["code"].as_str()),
        (405, Some("method_not_allowed"))
    );
}

#[tokio::test]
async fn the_operators_paths_can_be_kept_away_from_callers() {
    for path in ["/healthz", "/readyz", "/metrics"] {
        assert_eq!(ask(Part::Callers, Request::get(path)).await.status(), 404);
        assert_eq!(ask(Part::Operators, Request::get(path)).await.status(), 200);
    }
    assert_eq!(ask(Part::Operators, Request::post("/v1/messages")).await.status(), 404);
}

#[tokio::test]
async fn every_answer_carries_the_one_request_id_that_the_service_saw() {
    let answer =
        ask(Part::All, Request::post("/v1/messages").header("x-request-id", "mine-1")).await;
    assert_eq!(
        (&answer.headers()["x-request-id"], &answer.headers()["seen-id"]),
        (&HeaderValue::from_static("mine-1"), &HeaderValue::from_static("mine-1"))
    );
    // Anthropic's clients read it under its own name, from every answer in their dialect.
    assert_eq!(answer.headers()["request-id"], "mine-1");
    let answer = ask(Part::All, Request::post("/nowhere").header("x-request-id", "not mine")).await;
    assert!(!answer.headers().contains_key("request-id"));
    let id = answer.headers()["x-request-id"].to_str().unwrap();
    assert!(uuid::Uuid::parse_str(id).is_ok(), "{id}");
}

#[tokio::test]
async fn a_service_that_fails_becomes_502() {
    let own = Own { readiness: Readiness::new(vec![]), metrics: Metrics::install(), tokens: None };
    let fails =
        service_fn(|_: Request<Asked>| async { Err::<Response<Empty<Bytes>>, _>("broken") });
    let routes = Routes::new(fails, fails, fails, Arc::new(own), Part::All);
    let answer = front(routes, None, MAX)
        .oneshot(Request::post("/v1/messages").body(Empty::new()).unwrap())
        .await
        .unwrap();
    assert_eq!(answer.status(), 502);
}
