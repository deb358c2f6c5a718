mod keys;
mod scopes;
mod shares;
mod threads;

use std::{convert::Infallible, num::NonZeroU32, time::Duration};

use http::{HeaderMap, Request, Response, StatusCode};
use tokio::time;
use tokio_test::{assert_pending, assert_ready_ok};
use tower::{Layer, ServiceExt, service_fn};
use tower_test::mock;

use super::LimitsLayer;
use crate::{
    context::{Call, Tenant},
    domain::{
        policy::{Policy, Rates},
        price::PriceBook,
        request::CallFacts,
    },
    refusal::Refused,
    store::{Policies, Prices},
    testing::{away, fetched, price, prices, report, request, tenant, yes},
};

fn policy(requests: u32, tokens: u32, in_flight: u32) -> Policy {
    let rates = Rates {
        requests_per_minute: NonZeroU32::new(requests),
        tokens_per_minute: NonZeroU32::new(tokens),
        calls_in_flight: NonZeroU32::new(in_flight),
    };
    Policy { rates, ..Policy::default() }
}

fn layer(requests: u32, tokens: u32, in_flight: u32) -> LimitsLayer {
    LimitsLayer::new(Policies::fixed(policy(requests, tokens, in_flight)))
}

/// A call of at most this many tokens.
fn call(tokens: u64) -> Call {
    let facts = Call::for_model("small").facts().clone();
    Call::new(CallFacts { output_cap: Some(tokens), ..facts })
}

async fn send(layer: &LimitsLayer, tenant: &Tenant, call: &Call) -> (u16, HeaderMap) {
    let gateway = layer.layer(service_fn(yes));
    let response = gateway.oneshot(request(tenant, call)).await.unwrap();
    (response.status().as_u16(), response.headers().clone())
}

async fn plain(layer: &LimitsLayer, tenant: &Tenant) -> u16 {
    let request = Request::builder().extension(tenant.clone()).body(()).unwrap();
    layer.layer(service_fn(yes)).oneshot(request).await.unwrap().status().as_u16()
}

#[tokio::test(start_paused = true)]
async fn requests_a_minute_are_driven_past_their_cap_and_come_back_with_time() {
    let (layer, tenant) = (layer(3, 0, 0), tenant());
    for _ in 0..3 {
        assert_eq!(plain(&layer, &tenant).await, 200);
    }
    assert_eq!(plain(&layer, &tenant).await, 429);
    time::advance(Duration::from_secs(20)).await;
    assert_eq!(plain(&layer, &tenant).await, 200);
    assert_eq!(plain(&layer, &tenant).await, 429);
}

#[tokio::test(start_paused = true)]
async fn one_organization_does_not_use_up_anothers_rate() {
    let layer = layer(1, 0, 0);
    assert_eq!(plain(&layer, &tenant()).await, 200);
    assert_eq!(plain(&layer, &tenant()).await, 200);
}

#[tokio::test(start_paused = true)]
async fn calls_that_start_together_cannot_all_pass_on_the_same_tokens() {
    let (layer, tenant) = (layer(0, 100, 0), tenant());
    let calls: Vec<_> = (0..5).map(|_| call(40)).collect();
    let mut passed = 0;
    for call in &calls {
        passed += u32::from(send(&layer, &tenant, call).await.0 == 200);
    }
    assert_eq!(passed, 2);
    // Each used only 5 of its 40 tokens, and 35 come back.
    for call in &calls {
        call.tell_ended(&report(5));
    }
    let (_, headers) = send(&layer, &tenant, &call(80)).await;
    assert_eq!(headers["x-ratelimit-remaining-tokens"], "10");
}

#[tokio::test(start_paused = true)]
async fn tokens_used_beyond_the_bound_are_owed() {
    let (layer, tenant, first) = (layer(0, 60, 0), tenant(), call(60));
    assert_eq!(send(&layer, &tenant, &first).await.0, 200);
    first.tell_ended(&report(120));
    let (status, headers) = send(&layer, &tenant, &call(1)).await;
    assert_eq!((status, &headers["retry-after"]), (429, &"61".parse().unwrap()));
}

#[tokio::test(start_paused = true)]
async fn a_call_larger_than_a_minutes_tokens_is_told_that_it_can_never_pass() {
    let (layer, tenant) = (layer(0, 60, 0), tenant());
    let (status, headers) = send(&layer, &tenant, &call(61)).await;
    assert_eq!((status, headers.contains_key("retry-after")), (400, false));
    assert_eq!(send(&layer, &tenant, &call(u64::MAX)).await.0, 400);
    assert_eq!(send(&layer, &tenant, &call(60)).await.0, 200);
}

#[tokio::test(start_paused = true)]
async fn a_call_without_a_cap_takes_the_tokens_that_it_could_use_all_the_same() {
    let mut uncapped = price("small");
    uncapped.output_tokens_max = None;
    let uncapped = Prices::new(PriceBook::new([uncapped]));
    let all = layer(0, 10_000, 0);
    let policy = Policy { output_tokens_default: NonZeroU32::new(200), ..policy(0, 10_000, 0) };
    let of_policy = LimitsLayer::new(Policies::fixed(policy));
    let none = CallFacts { output_cap: None, ..call(0).facts().clone() };
    for (layer, expected) in [
        (all.clone(), 4_096),
        (all.clone().prices(uncapped), 4_096),
        (all.clone().output_tokens_default(NonZeroU32::new(77).unwrap()), 77),
        // The model's maximum, and the policy's default up to that maximum.
        (all.prices(prices(&["small"])), 1_000),
        (of_policy.prices(prices(&["small"])), 200),
    ] {
        let (status, headers) = send(&layer, &tenant(), &Call::new(none.clone())).await;
        assert_eq!(status, 200);
        assert_eq!(headers["x-ratelimit-remaining-tokens"], (10_000 - expected).to_string());
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_is_in_flight_until_its_end_and_not_until_its_head() {
    let (layer, tenant, first) = (layer(0, 0, 1), tenant(), call(1));
    assert_eq!(send(&layer, &tenant, &first).await.0, 200);
    assert_eq!(send(&layer, &tenant, &call(1)).await.0, 429);
    first.tell_ended(&report(1));
    assert_eq!(send(&layer, &tenant, &call(1)).await.0, 200);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_nobody_ends_leaves_when_it_is_dropped() {
    let (layer, tenant, first) = (layer(0, 0, 1), tenant(), call(1));
    assert_eq!(send(&layer, &tenant, &first).await.0, 200);
    drop(first);
    assert_eq!(send(&layer, &tenant, &call(1)).await.0, 200);
}

#[tokio::test(start_paused = true)]
async fn without_a_call_a_request_is_in_flight_until_its_head_or_until_it_is_given_up() {
    let (mut gateway, mut provider) =
        mock::spawn_layer::<Request<()>, Response<()>, _>(layer(0, 0, 1));
    let tenant = tenant();
    let request = || Request::builder().extension(tenant.clone()).body(()).unwrap();
    assert_ready_ok!(gateway.poll_ready());
    let first = gateway.call(request());
    assert_ready_ok!(gateway.poll_ready());
    assert_eq!(gateway.call(request()).await.unwrap().status(), StatusCode::TOO_MANY_REQUESTS);
    drop(first);
    drop(provider.next_request().await.unwrap());
    assert_ready_ok!(gateway.poll_ready());
    let third = tokio::spawn(gateway.call(request()));
    let (_, reply) = provider.next_request().await.unwrap();
    reply.send_response(Response::new(()));
    assert_eq!(third.await.unwrap().unwrap().status(), StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_one_limit_refuses_takes_nothing_from_another() {
    let (layer, tenant) = (layer(2, 100, 1), tenant());
    let first = call(40);
    assert_eq!(send(&layer, &tenant, &first).await.0, 200);
    // Too many in flight.
    let (status, headers) = send(&layer, &tenant, &call(40)).await;
    assert_eq!((status, &headers["x-ratelimit-remaining-requests"]), (429, &"1".parse().unwrap()));
    assert_eq!(headers["x-ratelimit-remaining-tokens"], "60");
    first.tell_ended(&report(40));
    // Too many tokens.
    let (status, headers) = send(&layer, &tenant, &call(70)).await;
    assert_eq!((status, &headers["x-ratelimit-remaining-requests"]), (429, &"1".parse().unwrap()));
    let second = call(10);
    assert_eq!(send(&layer, &tenant, &second).await.0, 200);
    second.tell_ended(&report(10));
    // Too many requests.
    let (status, headers) = send(&layer, &tenant, &call(10)).await;
    assert_eq!((status, &headers["x-ratelimit-remaining-tokens"]), (429, &"50".parse().unwrap()));
}

#[tokio::test(start_paused = true)]
async fn the_headers_are_ours_and_in_the_callers_dialect() {
    let inner = service_fn(|_: Request<()>| async {
        let response = Response::builder()
            .header("x-ratelimit-limit-requests", "999999")
            .header("x-ratelimit-limit-project-tokens", "999999")
            .header("anthropic-ratelimit-input-tokens-limit", "999999");
        Ok::<_, Infallible>(response.body(()).unwrap())
    });
    let gateway = layer(60, 0, 0).layer(inner);
    let request = |path: &str| Request::post(path).extension(tenant()).body(()).unwrap();
    let openai = gateway.clone().oneshot(request("/v1/chat/completions")).await.unwrap();
    assert_eq!(openai.headers().len(), 3);
    assert_eq!(openai.headers()["x-ratelimit-limit-requests"], "60");
    assert_eq!(openai.headers()["x-ratelimit-remaining-requests"], "59");
    assert_eq!(openai.headers()["x-ratelimit-reset-requests"], "1s");
    let anthropic = gateway.oneshot(request("/v1/messages")).await.unwrap();
    assert_eq!(anthropic.headers().len(), 3);
    assert_eq!(anthropic.headers()["anthropic-ratelimit-requests-remaining"], "59");
    let reset = anthropic.headers()["anthropic-ratelimit-requests-reset"].to_str().unwrap();
    assert!(reset.starts_with("20") && reset.ends_with('Z'), "{reset}");
}

#[tokio::test(start_paused = true)]
async fn a_changed_policy_counts_from_the_next_request_on() {
    let (wide, tenant) = (layer(60, 0, 0), tenant());
    let narrow = wide.clone().set(|settings| settings.policies = Policies::fixed(policy(1, 0, 0)));
    assert_eq!(plain(&wide, &tenant).await, 200);
    assert_eq!(plain(&narrow, &tenant).await, 429);
    assert_eq!(plain(&wide, &tenant).await, 200);
}

#[tokio::test(start_paused = true)]
async fn a_suspended_organization_is_refused_and_an_unlimited_one_is_not_counted() {
    let suspended = Policy { suspended: true, ..policy(0, 0, 0) };
    assert_eq!(plain(&LimitsLayer::new(Policies::fixed(suspended)), &tenant()).await, 403);
    let unlimited = layer(0, 0, 0);
    assert_eq!(plain(&unlimited, &tenant()).await, 200);
    assert_eq!(unlimited.limiter().len(), 0);
}

#[tokio::test]
async fn without_a_policy_limits_fail_closed() {
    let (mut gateway, mut provider) =
        mock::spawn_layer::<Request<()>, Response<()>, _>(LimitsLayer::new(away()));
    assert_ready_ok!(gateway.poll_ready());
    let response = gateway.call(request(&tenant(), &call(1))).await.unwrap();
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_pending!(provider.poll_request());
}

#[tokio::test]
async fn the_instance_that_was_made_ready_is_called_and_its_error_passes_through() {
    let layer = LimitsLayer::new(fetched(policy(1, 1, 1)));
    let (mut gateway, mut provider) = mock::spawn_layer::<Request<()>, Response<()>, _>(layer);
    provider.allow(1);
    assert_ready_ok!(gateway.poll_ready());
    let answer = tokio::spawn(gateway.call(request(&tenant(), &call(1))));
    let (_, reply) = provider.next_request().await.unwrap();
    reply.send_error("broken pipe");
    assert_eq!(answer.await.unwrap().unwrap_err().to_string(), "broken pipe");
}

#[tokio::test]
async fn a_missing_tenant_is_our_fault_and_not_the_callers() {
    let gateway = layer(1, 1, 1).layer(service_fn(yes));
    let response = gateway.oneshot(Request::new(())).await.unwrap();
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(response.extensions().get::<Refused>().unwrap().code, "internal_error");
}
