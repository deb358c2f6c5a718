use std::convert::Infallible;

use http::StatusCode;
use http_body_util::{BodyExt, Full};
use tower::{ServiceExt, service_fn};

use super::*;
use crate::{body::RequestBody, context::ServedBy, provider::mock::MockProvider, refusal::Refused};

fn only(names: &[&str]) -> AllowList {
    AllowList::Only(names.iter().map(|name| (*name).to_owned()).collect())
}

fn request(path: &str, call: Option<Call>) -> Request<Full<Bytes>> {
    let request = Request::post(path);
    let request = if let Some(call) = call { request.extension(call) } else { request };
    request.body(Full::default()).unwrap()
}

/// The name of the target that answers (`first`, `second` or `claude`), or the status of a refusal.
async fn answered_by(request: Request<Full<Bytes>>) -> Result<String, StatusCode> {
    let target = |name: &'static str| {
        move |_: Request<Full<Bytes>>| async move {
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(name)))
        }
    };
    let router = Router::new([
        Route::new(
            Dialect::OpenAi,
            only(&["gpt-4o", "small-*"]),
            service_fn(target("first")).boxed_clone(),
        ),
        Route::new(Dialect::OpenAi, only(&["gpt-*"]), service_fn(target("second")).boxed_clone()),
        Route::new(Dialect::Anthropic, AllowList::All, service_fn(target("claude")).boxed_clone()),
    ]);
    let answer = router.oneshot(request).await.unwrap();
    if answer.extensions().get::<Refused>().is_some() {
        return Err(answer.status());
    }
    let bytes = answer.into_body().collect().await.unwrap().to_bytes();
    Ok(String::from_utf8(bytes.to_vec()).unwrap())
}

#[tokio::test]
async fn the_first_route_that_serves_the_model_is_taken() {
    let path = "/v1/chat/completions";
    assert_eq!(answered_by(request(path, Some(Call::for_model("gpt-4o")))).await.unwrap(), "first");
    assert_eq!(
        answered_by(request(path, Some(Call::for_model("small-1")))).await.unwrap(),
        "first"
    );
    assert_eq!(
        answered_by(request(path, Some(Call::for_model("gpt-4o-mini")))).await.unwrap(),
        "second"
    );
}

#[tokio::test]
async fn a_model_that_no_route_serves_is_refused_as_one_that_is_not_allowed() {
    let refused =
        answered_by(request("/v1/chat/completions", Some(Call::for_model("claude-3")))).await;
    assert_eq!(refused.unwrap_err(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_call_without_its_layer_is_a_fault_of_wiring() {
    let refused = answered_by(request("/v1/messages", None)).await;
    assert_eq!(refused.unwrap_err(), StatusCode::INTERNAL_SERVER_ERROR);
}

#[tokio::test]
async fn what_is_no_call_goes_to_the_first_route_of_its_dialect() {
    assert_eq!(answered_by(request("/v1/models", None)).await.unwrap(), "first");
    let mut anthropic = request("/v1/models", None);
    anthropic.headers_mut().insert("anthropic-version", "2023-06-01".parse().unwrap());
    assert_eq!(answered_by(anthropic).await.unwrap(), "claude");
}

#[tokio::test]
async fn a_router_takes_the_layers_bodies() {
    let mock = MockProvider::new();
    let router = Router::new([Route::new(Dialect::OpenAi, AllowList::All, mock.clone())]);
    let call = Call::for_model("m");
    let body = Bytes::from_static(br#"{"model":"m","messages":[]}"#);
    let request = Request::post("/v1/chat/completions").extension(call.clone());
    let request = request.body(RequestBody::new(body, call.clone())).unwrap();
    let answer = router.oneshot(request).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.extensions().get(), Some(&ServedBy("mock".into())));
    assert_eq!(mock.served(&call.request_id().to_string()).calls, 1);
}

#[test]
fn two_upstreams_of_one_name_are_refused() {
    let config = UpstreamConfig::new("a", Dialect::OpenAi, "https://h");
    let refused =
        Router::to_upstreams([config.clone(), config], &HttpClient::default()).unwrap_err();
    assert_eq!(refused, UpstreamError::SameName("a".into()));
}

#[cfg(feature = "server")]
#[test]
fn an_upstream_is_read_from_a_configuration() {
    let config: UpstreamConfig = serde_json::from_str(
        r#"{"name":"a","dialect":"anthropic","base_url":"http://h","credential":"env:KEY","models":["claude-*"],"head_timeout":"5m"}"#,
    )
    .unwrap();
    assert!(config.models.allows("claude-1") && !config.models.allows("gpt"));
    assert_eq!(config.head_timeout, std::time::Duration::from_mins(5));
    let unknown = r#"{"name":"a","dialect":"openai","base_url":"http://h","models_allowed":[]}"#;
    assert!(serde_json::from_str::<UpstreamConfig>(unknown).is_err());
    let value = r#"{"name":"a","dialect":"openai","base_url":"http://h","credential":"sk-secret"}"#;
    assert!(
        !serde_json::from_str::<UpstreamConfig>(value)
            .unwrap_err()
            .to_string()
            .contains("sk-secret")
    );
}
