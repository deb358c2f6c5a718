use http::{Request, Response, StatusCode};
use tokio_test::{assert_pending, assert_ready_ok};
use tower::{Layer, ServiceExt, service_fn};
use tower_test::mock;

use super::AuditLayer;
use crate::{
    context::{Call, Keeping},
    domain::policy::{Keep, Policy},
    store::Policies,
    testing::{away, fetched, request, tenant, yes},
};

fn metadata() -> Policy {
    Policy { keep: Keep::Metadata, ..Policy::default() }
}

#[tokio::test]
async fn the_call_is_marked_with_what_the_policy_lets_keep() {
    for policies in [Policies::fixed(metadata()), fetched(metadata())] {
        let gateway = AuditLayer::new(policies).capture_bytes_max(10).layer(service_fn(yes));
        let call = Call::for_model("small");
        gateway.oneshot(request(&tenant(), &call)).await.unwrap();
        let expected = Keeping { keep: Keep::Metadata, capture_bytes_max: 10 };
        assert_eq!(call.keeping(), Some(expected));
    }
}

#[tokio::test]
async fn the_call_is_marked_before_the_provider_sees_it() {
    let layer = AuditLayer::new(fetched(metadata()));
    let (mut gateway, mut provider) = mock::spawn_layer::<Request<()>, Response<()>, _>(layer);
    provider.allow(1);
    assert_ready_ok!(gateway.poll_ready());
    let answer = tokio::spawn(gateway.call(request(&tenant(), &Call::for_model("small"))));
    let (seen, reply) = provider.next_request().await.unwrap();
    // The default is one mebibyte.
    let expected = Keeping { keep: Keep::Metadata, capture_bytes_max: 256 << 10 };
    assert_eq!(Call::of(&seen).unwrap().keeping(), Some(expected));
    reply.send_response(Response::new(()));
    assert_eq!(answer.await.unwrap().unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn a_call_that_cannot_be_accounted_for_is_not_made() {
    let layer = AuditLayer::new(away());
    let (mut gateway, mut provider) = mock::spawn_layer::<Request<()>, Response<()>, _>(layer);
    assert_ready_ok!(gateway.poll_ready());
    let response = gateway.call(request(&tenant(), &Call::for_model("small"))).await.unwrap();
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_pending!(provider.poll_request());
}

#[tokio::test]
async fn a_missing_layer_is_our_fault_and_not_the_callers() {
    let without_call = Request::builder().extension(tenant()).body(()).unwrap();
    let without_tenant = Request::builder().extension(Call::for_model("small")).body(()).unwrap();
    for request in [without_call, without_tenant] {
        let gateway = AuditLayer::keeping(Keep::Full).layer(service_fn(yes));
        let response = gateway.oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    }
}

#[tokio::test]
async fn an_error_of_the_inner_service_passes_through_untouched() {
    let inner = service_fn(|_: Request<()>| async { Err::<Response<()>, _>("broken pipe") });
    let gateway = AuditLayer::keeping(Keep::Full).layer(inner);
    let answer = gateway.oneshot(request(&tenant(), &Call::for_model("small"))).await;
    assert_eq!(answer.unwrap_err(), "broken pipe");
}
