use http::{Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::Listing;
use crate::{
    domain::{
        policy::{AllowList, Policy},
        role::Role,
    },
    store::Policies,
    testing::{away, fetched, prices, strangers, tenant},
};

const MODELS: [&str; 4] = ["b", "acme/large", "a", "hidden"];

fn policy() -> Policy {
    Policy { models: AllowList::Only(vec!["a*".into(), "b".into()]), ..Policy::default() }
}

async fn get(policies: Policies, path: &str, anthropic: bool) -> (StatusCode, Value) {
    let mut request = Request::get(path).extension(tenant().with_role(Role::Viewer));
    if anthropic {
        request = request.header("anthropic-version", "2023-06-01");
    }
    let listing = Listing::new(policies, prices(&MODELS));
    let response = listing.oneshot(request.body(()).unwrap()).await.unwrap();
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap())
}

fn ids(list: &Value) -> Vec<&str> {
    list["data"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_viewer_sees_the_allowed_models_that_have_a_price_in_a_stable_order() {
    for policies in [Policies::fixed(policy()), fetched(policy())] {
        let (status, list) = get(policies, "/v1/models", false).await;
        assert_eq!((status, ids(&list)), (StatusCode::OK, vec!["a", "acme/large", "b"]));
        assert_eq!(list["object"], "list");
        let model = json!({"id": "a", "object": "model", "created": 0, "owned_by": "acme"});
        assert_eq!(list["data"][0], model);
    }
}

#[tokio::test]
async fn an_id_may_contain_a_slash_escaped_or_not() {
    for path in ["/v1/models/acme/large", "/v1/models/acme%2Flarge", "/v1/models/acme%2flarge"] {
        let (status, model) = get(Policies::fixed(policy()), path, false).await;
        assert_eq!((status, &model["id"]), (StatusCode::OK, &json!("acme/large")), "{path}");
    }
}

#[tokio::test]
async fn a_hidden_model_and_one_that_does_not_exist_get_the_same_answer() {
    for anthropic in [false, true] {
        let (status, hidden) = get(Policies::fixed(policy()), "/v1/models/hidden", anthropic).await;
        let (_, absent) = get(Policies::fixed(policy()), "/v1/models/absent", anthropic).await;
        assert_eq!(status, StatusCode::NOT_FOUND);
        assert_eq!(hidden.to_string().replace("hidden", "absent"), absent.to_string());
    }
}

#[tokio::test]
async fn an_anthropic_client_turns_pages_forwards_and_backwards() {
    let policies = Policies::fixed(policy());
    let (_, first) = get(policies.clone(), "/v1/models?limit=2", true).await;
    assert_eq!((ids(&first), &first["has_more"]), (vec!["a", "acme/large"], &json!(true)));
    assert_eq!((&first["first_id"], &first["last_id"]), (&json!("a"), &json!("acme/large")));
    let model = json!({"type": "model", "id": "a", "display_name": "a", "created_at": "1970-01-01T00:00:00Z"});
    assert_eq!(first["data"][0], model);
    let (_, next) = get(policies.clone(), "/v1/models?limit=2&after_id=acme%2Flarge", true).await;
    assert_eq!((ids(&next), &next["has_more"]), (vec!["b"], &json!(false)));
    let (_, back) = get(policies, "/v1/models?limit=1&before_id=b", true).await;
    assert_eq!((ids(&back), &back["has_more"]), (vec!["acme/large"], &json!(true)));
}

#[tokio::test]
async fn nothing_is_listed_without_a_policy() {
    assert_eq!(get(away(), "/v1/models", false).await.0, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(get(strangers(), "/v1/models", false).await.0, StatusCode::FORBIDDEN);
    let suspended = Policies::fixed(Policy { suspended: true, ..policy() });
    assert_eq!(get(suspended, "/v1/models", false).await.0, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn only_reading_is_answered() {
    let request = Request::post("/v1/models").extension(tenant()).body(()).unwrap();
    let listing = Listing::new(Policies::fixed(policy()), prices(&MODELS));
    assert_eq!(listing.oneshot(request).await.unwrap().status(), StatusCode::NOT_FOUND);
}
