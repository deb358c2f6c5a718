//! The layer around a service, with fixed keys and a fixed clock.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use http::{HeaderMap, Request, Response};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio_test::{assert_pending, assert_ready_ok};
use tower::{ServiceBuilder, ServiceExt, service_fn};
use tower_test::mock;

use super::{
    testing::{NOW, ORGANIZATION, claims, jwk, set, token},
    *,
};
use crate::{body::ResponseBody, context::Tenant, domain::role::Role};

fn config() -> VerifierConfig {
    VerifierConfig {
        role_claim: Some("/realm/role".into()),
        team_claim: Some("/team".into()),
        ..VerifierConfig::new("issuer", "tollgate")
    }
}

fn verifier(config: VerifierConfig) -> (Verifier, Arc<AtomicI64>) {
    let clock = Arc::new(AtomicI64::new(NOW));
    (Verifier::at(config, &set(&[jwk(0, "a"), jwk(1, "b")]), Arc::clone(&clock)), clock)
}

async fn verify(claims: &Value) -> Result<Tenant, Rejection> {
    verifier(config()).0.verify(&token(0, "a", claims)).await
}

/// Valid claims with one changed.
fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[name] = value;
    claims
}

/// What the inner service sees of a request with these headers, or the status of the refusal.
async fn through(headers: &[(&'static str, String)]) -> Result<(Tenant, HeaderMap), u16> {
    let inner = service_fn(|request: Request<()>| async move {
        let seen = (Tenant::of(&request).unwrap().clone(), request.headers().clone());
        let mut response = Response::new(ResponseBody::<String>::full(bytes::Bytes::new()));
        response.extensions_mut().insert(Arc::new(seen));
        Ok::<_, std::convert::Infallible>(response)
    });
    let gateway =
        ServiceBuilder::new().layer(TenantLayer::new(verifier(config()).0)).service(inner);
    let mut request = Request::builder();
    for (name, value) in headers {
        request = request.header(*name, value);
    }
    let response = gateway.oneshot(request.body(()).unwrap()).await.unwrap();
    let seen = response.extensions().get::<Arc<(Tenant, HeaderMap)>>();
    seen.map(|seen| (**seen).clone()).ok_or(response.status().as_u16())
}

fn good() -> String {
    token(0, "a", &claims())
}

#[tokio::test]
async fn a_good_token_becomes_a_tenant() {
    let mut claims = with("realm", json!({"role": "admin"}));
    claims["team"] = json!("0192f0c0-0000-7000-8000-00000000000a");
    let tenant = verify(&claims).await.unwrap();
    assert_eq!(tenant.organization_id().to_string(), ORGANIZATION);
    assert_eq!(tenant.user_id(), "ada");
    assert_eq!(tenant.role(), Some(Role::Admin));
    assert!(tenant.team_id().is_some());
    let seen: Value = serde_json::from_str(tenant.claims()).unwrap();
    assert_eq!(seen["aud"], "tollgate", "the whole payload is kept");
}

#[tokio::test]
async fn a_role_that_no_organization_can_give_counts_as_none() {
    for role in [json!("platform"), json!("authenticated"), json!(7), json!(["owner"]), Value::Null]
    {
        let tenant = verify(&with("realm", json!({ "role": role }))).await.unwrap();
        assert_eq!(tenant.role(), None);
        assert!(!tenant.claims().contains("role_in_organization"), "{}", tenant.claims());
    }
}

#[tokio::test]
async fn an_organization_claim_under_a_nested_or_escaped_name_is_found() {
    for (pointer, name) in
        [("/app_metadata/tenant", "app_metadata"), ("/https:~1~1x.test~1org", "https://x.test/org")]
    {
        let config = VerifierConfig { organization_claim: pointer.into(), ..config() };
        let value = if name == "app_metadata" {
            json!({"tenant": ORGANIZATION})
        } else {
            json!(ORGANIZATION)
        };
        let mut claims = with(name, value);
        claims["organization_id"] = json!("0192f0c0-0000-7000-8000-0000000000ff");
        let tenant = verifier(config).0.verify(&token(0, "a", &claims)).await.unwrap();
        assert_eq!(tenant.organization_id().to_string(), ORGANIZATION);
    }
}

#[tokio::test]
async fn each_required_claim_must_be_there_and_of_its_type() {
    let odd = [
        json!(null),
        json!(1),
        json!(true),
        json!([]),
        json!({}),
        json!(["x"]),
        json!("x"),
        json!(1.5e300),
    ];
    for name in ["exp", "iss", "aud", "sub", "organization_id"] {
        let mut missing = claims();
        missing.as_object_mut().unwrap().remove(name);
        assert!(verify(&missing).await.is_err(), "{name} missing");
        for value in &odd {
            let is_a_subject = name == "sub" && *value == json!("x");
            assert_eq!(
                verify(&with(name, value.clone())).await.is_ok(),
                is_a_subject,
                "{name}: {value}"
            );
        }
    }
    for (name, value) in [
        ("nbf", json!("1")),
        ("nbf", json!(null)),
        ("iat", json!("1")),
        ("jti", json!(1)),
        ("team", json!("blue")),
        ("team", json!(7)),
        ("sub", json!("")),
        ("sub", json!("a\u{0}b")),
        ("sub", json!("a\nb")),
        ("sub", json!("a".repeat(256))),
        ("aud", json!(["tollgate", 1])),
        ("iss", json!(["issuer"])),
        ("iss", json!("issuer ")),
        ("aud", json!("Tollgate")),
        ("organization_id", json!(format!("{{{ORGANIZATION}}}"))),
        ("organization_id", json!(format!("urn:uuid:{ORGANIZATION}"))),
        ("organization_id", json!(ORGANIZATION.replace('-', ""))),
        ("note", json!("\u{0}")),
    ] {
        assert!(verify(&with(name, value.clone())).await.is_err(), "{name}: {value}");
    }
}

#[tokio::test]
async fn dates_hold_within_the_leeway_and_not_beyond() {
    let late = |seconds: i64| with("exp", json!(NOW - seconds));
    assert!(verify(&late(9)).await.is_ok());
    assert_eq!(verify(&late(10)).await.unwrap_err(), Rejection::Denied(Denial::Expired));
    let early = |seconds: i64| with("nbf", json!(NOW + seconds));
    assert!(verify(&early(10)).await.is_ok());
    assert_eq!(verify(&early(11)).await.unwrap_err(), Rejection::Denied(Denial::NotYetValid));
    // RFC 7519 allows a fraction of a second.
    let fraction = format!(
        r#"{{"iss":"issuer","aud":["x","tollgate"],"sub":"a","organization_id":"{ORGANIZATION}","exp":{NOW}.75}}"#
    );
    let header = r#"{"alg":"RS256","kid":"a","typ":"application/at+JWT"}"#;
    assert!(verifier(config()).0.verify(&testing::sign(0, header, &fraction)).await.is_ok());
}

#[tokio::test]
async fn a_remembered_token_ends_with_its_expiry() {
    let (verifier, clock) = verifier(config());
    let token = good();
    assert!(verifier.verify(&token).await.is_ok());
    clock.store(NOW + 69, Ordering::Relaxed);
    assert!(verifier.verify(&token).await.is_ok());
    clock.store(NOW + 70, Ordering::Relaxed);
    assert_eq!(verifier.verify(&token).await.unwrap_err(), Rejection::Denied(Denial::Expired));
}

#[tokio::test]
async fn a_remembered_token_with_one_byte_changed_is_another_token() {
    let verifier = verifier(config()).0;
    let token = good();
    assert!(verifier.verify(&token).await.is_ok());
    for place in [2, token.len() / 2, token.len() - 5] {
        let mut bytes = token.clone().into_bytes();
        bytes[place] = if bytes[place] == b'A' { b'B' } else { b'A' };
        assert!(verifier.verify(&String::from_utf8(bytes).unwrap()).await.is_err());
    }
}

#[tokio::test]
async fn without_a_key_id_only_the_only_key_is_meant() {
    let token = testing::sign(0, r#"{"alg":"RS256"}"#, &claims().to_string());
    assert_eq!(
        verifier(config()).0.verify(&token).await.unwrap_err(),
        Rejection::Denied(Denial::KeyId)
    );
    let alone = Verifier::at(config(), &set(&[jwk(0, "a")]), Arc::new(AtomicI64::new(NOW)));
    assert!(alone.verify(&token).await.is_ok());
}

#[tokio::test]
async fn the_token_may_be_a_bearer_or_an_api_key_but_not_two_different_ones() {
    let (good, other) = (good(), token(1, "b", &claims()));
    for headers in [
        vec![("authorization", format!("Bearer {good}"))],
        vec![("authorization", format!("bEARER   {good}"))],
        vec![("x-api-key", good.clone())],
        vec![("x-api-key", good.clone()), ("authorization", format!("Bearer {good}"))],
    ] {
        assert!(through(&headers).await.is_ok(), "{:?}", headers[0].0);
    }
    for headers in [
        vec![],
        vec![("authorization", good.clone())],
        vec![("authorization", format!("Basic {good}"))],
        vec![("authorization", "Bearer ".to_owned())],
        vec![("authorization", format!("Bearer {good}, Bearer {good}"))],
        vec![("authorization", format!("Bearer\t{good}"))],
        vec![
            ("authorization", format!("Bearer {good}")),
            ("authorization", format!("Bearer {other}")),
        ],
        vec![("x-api-key", good.clone()), ("authorization", format!("Bearer {other}"))],
        vec![("x-api-key", good.clone()), ("authorization", "Basic YTpi".to_owned())],
        vec![("x-api-key", "ä".to_owned())],
        vec![("cookie", format!("token={good}"))],
    ] {
        assert_eq!(through(&headers).await.unwrap_err(), 401);
    }
}

#[tokio::test]
async fn a_stored_vendor_key_beside_the_token_is_overlooked_and_goes_nowhere() {
    let good = good();
    let foreign = token(0, "a", &json!({"iss": "https://other.example", "sub": "x"}));
    for stray in ["sk-ant-api03-abc", "", "a.b.c", foreign.as_str(), "ä"] {
        let (_, left) = through(&[
            ("authorization", format!("Bearer {good}")),
            ("x-api-key", stray.to_owned()),
            ("api-key", "stray".to_owned()),
            ("x-goog-api-key", "stray".to_owned()),
        ])
        .await
        .unwrap_or_else(|status| panic!("{status} for {stray:?}"));
        assert!(left.is_empty(), "{left:?}");
        // A client that has its vendor's key where a token is expected, and the token as Anthropic's clients send it.
        if stray.is_ascii() {
            let stray = ("authorization", format!("Bearer x{stray}"));
            assert!(through(&[stray, ("x-api-key", good.clone())]).await.is_ok());
        }
    }
}

#[tokio::test]
async fn two_tokens_of_ours_are_refused_by_the_names_of_their_headers() {
    let message = crate::refusal::Refusal::TwoTokens.message();
    assert!(message.contains("`Authorization`") && message.contains("`x-api-key`"));
    let inner = service_fn(|_: Request<()>| async {
        Ok::<_, std::convert::Infallible>(Response::new(ResponseBody::<String>::full(
            bytes::Bytes::new(),
        )))
    });
    let gateway =
        ServiceBuilder::new().layer(TenantLayer::new(verifier(config()).0)).service(inner);
    let request = Request::get("/v1/messages")
        .header("authorization", format!("Bearer {}", good()))
        .header("x-api-key", token(1, "b", &claims()));
    let answer = gateway.oneshot(request.body(()).unwrap()).await.unwrap();
    assert_eq!(answer.status(), 401);
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    assert!(std::str::from_utf8(&body).unwrap().contains(&*message));
}

#[tokio::test]
async fn nothing_but_the_token_says_who_is_calling() {
    let pretended = [
        "x-organization-id",
        "x-tenant-id",
        "x-tollgate-role",
        "x-tollgate-anything",
        "openai-organization",
        "openai-project",
        "cookie",
        "api-key",
    ];
    let mut headers =
        vec![("authorization", format!("Bearer {}", good())), ("x-request-id", "kept".to_owned())];
    headers.extend(
        pretended.iter().map(|name| (*name, "0192f0c0-0000-7000-8000-0000000000ff".to_owned())),
    );
    let (tenant, seen) = through(&headers).await.unwrap();
    assert_eq!(tenant.organization_id().to_string(), ORGANIZATION);
    let names: Vec<_> = seen.keys().map(http::HeaderName::as_str).collect();
    assert_eq!(names, ["x-request-id"]);
}

#[tokio::test]
async fn a_denied_request_never_reaches_the_inner_service() {
    let layer = TenantLayer::new(verifier(config()).0);
    let (mut gateway, mut inner) = mock::spawn_layer::<Request<()>, Response<()>, _>(layer);
    assert_ready_ok!(gateway.poll_ready());
    let response = gateway.call(Request::new(())).await.unwrap();
    assert_eq!(response.status(), 401);
    assert_eq!(response.headers()["www-authenticate"], "Bearer error=\"invalid_token\"");
    assert_pending!(inner.poll_request());
}

#[test]
fn a_configuration_that_cannot_be_meant_is_refused() {
    let base = || VerifierConfig::new("issuer", "tollgate");
    let seconds = std::time::Duration::from_secs;
    for wrong in [
        VerifierConfig { issuer: String::new(), ..base() },
        VerifierConfig { audiences: vec![], ..base() },
        VerifierConfig { audiences: vec![String::new()], ..base() },
        VerifierConfig { algorithms: vec![], ..base() },
        VerifierConfig { organization_claim: "organization_id".into(), ..base() },
        VerifierConfig { leeway: seconds(31), ..base() },
    ] {
        assert!(Verifier::new(wrong.clone(), KeySource::fixed(set(&[]))).is_err(), "{wrong:?}");
    }
    for name in ["none", "nOnE", "HS256", "rs256", ""] {
        assert!(name.parse::<Algorithm>().is_err());
    }
}

#[cfg(feature = "http")]
#[test]
fn keys_can_be_fetched_only_inside_a_runtime() {
    let published = KeySource::published(
        JwksOptions::new("https://issuer.test/jwks"),
        crate::client::HttpClient::default(),
    );
    assert!(matches!(
        Verifier::new(VerifierConfig::new("issuer", "tollgate"), published),
        Err(VerifierError::Jwks(JwksOptionsError::NoRuntime))
    ));
}

#[cfg(feature = "http")]
#[tokio::test]
async fn keys_over_plain_http_must_be_allowed() {
    let client = crate::client::HttpClient::default();
    for url in [
        "http://issuer.test/jwks",
        "ftp://issuer.test/jwks",
        "/jwks",
        "issuer.test",
        "file:///etc/keys",
    ] {
        let source = KeySource::published(JwksOptions::new(url), client.clone());
        assert!(Verifier::new(VerifierConfig::new("issuer", "tollgate"), source).is_err(), "{url}");
    }
}
