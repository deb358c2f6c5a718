use super::*;
use crate::{Tenant, domain::ids::OrganizationId};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";

/// A request as the provider receives it, with the head in lower case.
async fn seen(config: UpstreamConfig, request: http::request::Builder) -> String {
    let (url, _running, mut asks) = answering(OK).await;
    let upstream =
        Upstream::new(UpstreamConfig { base_url: url, ..config }, HttpClient::default()).unwrap();
    assert_eq!(ask(&upstream, empty(request)).await.status(), StatusCode::OK);
    asks.recv().await.unwrap()
}

fn tenant(id: u128) -> Tenant {
    Tenant::new(OrganizationId::new(uuid::Uuid::from_u128(id)), "someone")
}

#[tokio::test]
async fn nothing_that_the_caller_keeps_secret_reaches_the_provider() {
    let secrets = [
        ("authorization", "Bearer callers-token"),
        ("x-api-key", "callers-key"),
        ("api-key", "callers-key"),
        ("cookie", "callers=cookie"),
        ("proxy-authorization", "Basic callers"),
        ("openai-organization", "callers-organization"),
        ("openai-project", "callers-project"),
        ("x-forwarded-for", "callers-address"),
        ("x-tollgate-organization-id", "callers-organization"),
        ("x-request-id", "callers-id"),
        ("x-anything", "callers-thing"),
    ];
    // Not even if the configuration passes every header on.
    for prefixes in [vec![], vec![String::new(), "X-".into(), "a".into()]] {
        let passes_all = !prefixes.is_empty();
        let config =
            UpstreamConfig { forward_header_prefixes: prefixes, ..config(Dialect::OpenAi, "") };
        let request =
            secrets.iter().fold(post(CHAT), |request, (name, value)| request.header(*name, *value));
        let seen = seen(config, request).await;
        assert_eq!(seen.contains("callers-thing"), passes_all);
        assert!(!seen.replace("callers-thing", "").contains("callers"), "{seen}");
        assert!(seen.contains("\r\naccept-encoding: identity\r\n"));
    }
}

#[tokio::test]
async fn what_the_provider_needs_is_passed_on() {
    let call = Call::for_model("m");
    let request = post(CHAT)
        .extension(call.clone())
        .header("user-agent", "OpenAI/Python")
        .header("accept", "application/json")
        .header("openai-beta", "assistants=v2")
        .header("x-mock-chunks", "3");
    let seen = seen(config(Dialect::OpenAi, ""), request).await;
    assert!(seen.starts_with("post /v1/chat/completions http/1.1\r\n"), "{seen}");
    let expected = [
        "content-type: application/json",
        "user-agent: openai/python",
        "accept: application/json",
        "openai-beta: assistants=v2",
        "x-mock-chunks: 3",
        "content-length: 2",
        "host: 127.0.0.1:",
        &format!("x-request-id: {}", call.request_id()),
    ];
    for line in expected {
        assert!(seen.contains(&format!("\r\n{line}")), "{line}");
    }
    assert!(!seen.contains("x-tollgate"));
}

#[tokio::test]
async fn the_organization_is_told_only_where_that_is_configured() {
    let id = tenant(7).organization_id();
    for told in [false, true] {
        let config = UpstreamConfig { send_organization: told, ..config(Dialect::OpenAi, "") };
        let seen = seen(config, post(CHAT).extension(tenant(7))).await;
        assert_eq!(seen.contains(&format!("\r\nx-tollgate-organization-id: {id}\r\n")), told);
    }
}

/// The idempotency key that the provider gets for a call with this key. Each use is a new call and a new attempt.
async fn key_sent(tenant: Option<Tenant>, key: Option<&str>, body: &'static str) -> Option<String> {
    let (url, _running, mut asks) = answering(OK).await;
    let mut request = post(CHAT).extension(Call::for_model("m"));
    if let Some(tenant) = tenant {
        request = request.extension(tenant);
    }
    if let Some(key) = key {
        request = request.header("idempotency-key", key);
    }
    let request = request.body(Full::from(body)).unwrap();
    assert_eq!(ask(&to(Dialect::OpenAi, &url), request).await.status(), StatusCode::OK);
    let seen = asks.recv().await.unwrap();
    seen.lines().find_map(|line| line.strip_prefix("idempotency-key: ")).map(str::to_owned)
}

#[tokio::test]
async fn an_idempotency_key_stands_for_one_organization_and_what_its_caller_wrote_and_nothing_else()
{
    let mut sent = Vec::new();
    for organization in [1, 2] {
        for key in ["same", "other", "samesame", "s"] {
            let of = |user: &str, body| {
                let caller = Tenant::new(tenant(organization).organization_id(), user);
                key_sent(Some(caller), Some(key), body)
            };
            let first = of("ann", "{}").await.unwrap();
            assert!(first.len() >= 32 && !first.contains("same"), "{first}");
            // A retry must send the same key, or the provider would run the call twice. The key does not depend on the
            // body: the provider decides about another body under the same key, as it does without a gateway.
            for (user, body) in [("ann", "{}"), ("ann", r#"{"n":2}"#), ("bob", "{}")] {
                assert_eq!(
                    of(user, body).await.as_ref(),
                    Some(&first),
                    "{organization} {key} {user}"
                );
            }
            sent.push(first);
        }
    }
    let count = sent.len();
    sent.sort_unstable();
    sent.dedup();
    assert_eq!(sent.len(), count, "two that differ would get each other's answer");
}

#[tokio::test]
async fn no_idempotency_key_is_made_up_and_without_organizations_it_is_the_callers_own() {
    assert_eq!(key_sent(Some(tenant(1)), None, "{}").await, None);
    assert_eq!(key_sent(None, None, "{}").await, None);
    assert_eq!(key_sent(None, Some("same"), "{}").await.as_deref(), Some("same"));
}

#[tokio::test]
async fn a_message_has_a_version_even_if_the_caller_named_none() {
    let without = seen(config(Dialect::Anthropic, ""), post(MESSAGES)).await;
    assert!(without.contains("\r\nanthropic-version: 2023-06-01\r\n"));
    let request =
        post(MESSAGES).header("anthropic-version", "2024-01-01").header("anthropic-beta", "b");
    let with = seen(config(Dialect::Anthropic, ""), request).await;
    assert!(
        with.contains("\r\nanthropic-version: 2024-01-01\r\n")
            && with.contains("\r\nanthropic-beta: b\r\n")
    );
}

#[tokio::test]
async fn nothing_about_our_account_reaches_the_caller() {
    let (url, _running, _asks) = answering(concat!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n",
        "openai-processing-ms: 5\r\nopenai-version: 2020-10-01\r\n",
        "set-cookie: __cf_bm=1\r\nopenai-organization: ours\r\nx-ratelimit-remaining-tokens: 5\r\n",
        "anthropic-ratelimit-requests-limit: 5\r\nanthropic-organization-id: ours\r\n",
        "x-request-id: theirs\r\nrequest-id: theirs\r\nserver: theirs\r\ncf-ray: 1\r\n",
        "keep-alive: timeout=5\r\nx-tollgate-anything: forged\r\n\r\n{}"
    ))
    .await;
    let answer = ask(&to(Dialect::OpenAi, &url), empty(post(CHAT))).await;
    let mut names: Vec<&str> = answer.headers().keys().map(http::HeaderName::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["content-type", "openai-processing-ms", "openai-version"]);
}
