use http::{Request, Response, StatusCode};
use tokio_test::{assert_pending, assert_ready_ok};
use tower::{Layer, ServiceExt, service_fn};
use tower_test::mock;

use super::ModelsLayer;
use crate::{
    context::{Call, Tenant},
    domain::{
        policy::{AllowList, Policy},
        role::Role,
    },
    refusal::Refused,
    store::Policies,
    testing::{away, fetched, fetched_as, request, strangers, tenant, yes},
};

fn only(model: &str) -> Policy {
    Policy { models: AllowList::Only(vec![model.into()]), ..Policy::default() }
}

async fn code(policies: Policies, tenant: &Tenant, model: &str) -> Result<(), &'static str> {
    let gateway = ModelsLayer::new(policies).layer(service_fn(yes));
    let response = gateway.oneshot(request(tenant, &Call::for_model(model))).await.unwrap();
    response.extensions().get::<Refused>().map_or(Ok(()), |refused| Err(refused.code))
}

#[tokio::test]
async fn a_refused_request_never_reaches_the_provider() {
    let layer = ModelsLayer::allowing(["small"]);
    let (mut gateway, mut provider) = mock::spawn_layer::<Request<()>, Response<()>, _>(layer);
    assert_ready_ok!(gateway.poll_ready());
    let response = gateway.call(request(&tenant(), &Call::for_model("large"))).await.unwrap();
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
    assert_pending!(provider.poll_request());
}

#[tokio::test]
async fn the_instance_that_was_made_ready_is_called_after_the_policy_was_fetched() {
    let layer = ModelsLayer::new(fetched(only("small")));
    let (mut gateway, mut provider) = mock::spawn_layer::<Request<()>, Response<()>, _>(layer);
    // Only one instance becomes ready: the mock panics if another one is called.
    provider.allow(1);
    assert_ready_ok!(gateway.poll_ready());
    let answer = tokio::spawn(gateway.call(request(&tenant(), &Call::for_model("small"))));
    let (_, reply) = provider.next_request().await.unwrap();
    reply.send_response(Response::new(()));
    assert_eq!(answer.await.unwrap().unwrap().status(), StatusCode::OK);
    assert_pending!(gateway.poll_ready());
}

#[tokio::test]
async fn an_error_of_the_inner_service_passes_through_untouched() {
    for policies in [Policies::fixed(Policy::default()), fetched(Policy::default())] {
        let inner = service_fn(|_: Request<()>| async { Err::<Response<()>, _>("broken pipe") });
        let gateway = ModelsLayer::new(policies).layer(inner);
        let answer = gateway.oneshot(request(&tenant(), &Call::for_model("small"))).await;
        assert_eq!(answer.unwrap_err(), "broken pipe");
    }
}

#[tokio::test]
async fn each_organization_has_its_own_list_whether_cached_or_not() {
    for policies in [Policies::fixed(only("small")), fetched(only("small"))] {
        assert_eq!(code(policies.clone(), &tenant(), "small").await, Ok(()));
        assert_eq!(code(policies, &tenant(), "large").await, Err("model_not_allowed"));
    }
}

#[tokio::test]
async fn a_viewer_may_not_call_and_a_person_without_a_role_may() {
    let policies = Policies::fixed(Policy::default());
    for role in [Role::Viewer, Role::Platform] {
        let refused = code(policies.clone(), &tenant().with_role(role), "small").await;
        assert_eq!(refused, Err("role_not_allowed"));
    }
    assert_eq!(code(policies, &tenant().with_role(Role::Member), "small").await, Ok(()));
    assert_eq!(code(fetched_as(Policy::default(), None), &tenant(), "small").await, Ok(()));
    let viewer = fetched_as(Policy::default(), Some(Role::Viewer));
    assert_eq!(code(viewer, &tenant(), "small").await, Err("role_not_allowed"));
}

#[tokio::test]
async fn a_suspended_organization_may_call_nothing() {
    let policies = Policies::fixed(Policy { suspended: true, ..Policy::default() });
    assert_eq!(code(policies, &tenant(), "small").await, Err("organization_suspended"));
}

#[tokio::test]
async fn without_a_policy_there_is_no_call() {
    assert_eq!(code(away(), &tenant(), "small").await, Err("unavailable"));
}

#[tokio::test]
async fn an_organization_that_is_not_here_learns_no_more_than_one_without_models() {
    assert_eq!(code(strangers(), &tenant(), "small").await, Err("model_not_allowed"));
    let nothing = Policy { models: AllowList::Only(vec![]), ..Policy::default() };
    assert_eq!(code(fetched(nothing), &tenant(), "small").await, Err("model_not_allowed"));
}

#[tokio::test]
async fn a_missing_layer_is_our_fault_and_not_the_callers() {
    let without_call = Request::builder().extension(tenant()).body(()).unwrap();
    let without_tenant = Request::builder().extension(Call::for_model("small")).body(()).unwrap();
    for request in [without_call, without_tenant] {
        let layer = ModelsLayer::new(Policies::fixed(Policy::default()));
        let response = layer.layer(service_fn(yes)).oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    }
}

#[tokio::test]
async fn one_list_for_everybody_needs_no_tenant() {
    let request = Request::builder().extension(Call::for_model("small-2")).body(()).unwrap();
    let gateway = ModelsLayer::allowing(["small*"]).layer(service_fn(yes));
    assert_eq!(gateway.oneshot(request).await.unwrap().status(), StatusCode::OK);
}
