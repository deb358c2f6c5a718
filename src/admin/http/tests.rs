use std::{
    future::ready,
    sync::atomic::{AtomicUsize, Ordering},
};

use http_body_util::BodyExt;
use tokio::time::Instant;
use tokio_test::{assert_pending, task};
use tower::ServiceExt;

use super::*;
use crate::{
    domain::switch::{Switch, Switches},
    store::{Flipped, MemoryStore, StoreFuture, SwitchStore, SwitchesOn},
    testing,
};

/// Kill switches that are never on; owners may turn them on.
pub(crate) struct Board;

impl SwitchStore for Board {
    fn switches(&self, _: OrganizationId) -> StoreFuture<'_, Switches> {
        Box::pin(ready(Ok(Switches::default())))
    }
}

impl Switchboard for Board {
    fn list<'a>(&'a self, _: &'a Tenant, _: Role) -> StoreFuture<'a, SwitchesOn> {
        Box::pin(ready(Ok(SwitchesOn::default())))
    }

    fn turn_on<'a>(
        &'a self,
        _: &'a Tenant,
        role: Role,
        switch: &'a Switch,
        reason: Option<&'a str>,
    ) -> StoreFuture<'a, Option<Flipped>> {
        let on = Flipped {
            switch: switch.clone(),
            reason: reason.map(str::to_owned),
            switched_by: None,
            switched_at: "2026-01-01T00:00:00.000Z".to_owned(),
        };
        Box::pin(ready(match role {
            // The maximum number of kill switches is on.
            Role::Platform => Ok(None),
            Role::Owner => Ok(Some(on)),
            Role::Admin | Role::Member | Role::Viewer => Err(StoreError::Forbidden),
        }))
    }

    fn turn_off<'a>(&'a self, _: &'a Tenant, _: Role, _: &'a Switch) -> StoreFuture<'a, ()> {
        Box::pin(ready(Err(StoreError::Unavailable("away".into()))))
    }
}

/// The service, a caller of an organization that it knows, and how often `changed` was called.
fn admin() -> (Admin, Tenant, Arc<AtomicUsize>) {
    let (store, tenant) = (MemoryStore::default(), testing::tenant());
    store.create_organization(tenant.organization_id());
    let times = Arc::<AtomicUsize>::default();
    let changed = Arc::clone(&times);
    let admin = Admin::new(Arc::new(store), Arc::new(Board), move |_| {
        changed.fetch_add(1, Ordering::SeqCst);
    });
    (admin, tenant, times)
}

fn request(tenant: Option<Tenant>, method: &Method, path: &str) -> Request<Full<Bytes>> {
    let mut request = Request::builder().method(method).uri(path).body(Full::default()).unwrap();
    if let Some(tenant) = tenant {
        request.extensions_mut().insert(tenant);
    }
    request
}

const ONE: &str = "/admin/v1/kill-switches/user/bob";

#[tokio::test]
async fn what_the_store_says_is_what_the_caller_gets() {
    let (admin, tenant, times) = admin();
    let with = |role| Some(tenant.clone().with_role(role));
    let stranger = testing::tenant().with_role(Role::Owner);
    for (caller, method, path, status, code) in [
        (None, Method::GET, ONE, 500, "internal_error"),
        (Some(tenant.clone()), Method::GET, ONE, 403, "role_not_allowed"),
        (Some(stranger), Method::GET, ONE, 403, "organization_suspended"),
        (with(Role::Viewer), Method::GET, ONE, 200, ""),
        (with(Role::Viewer), Method::PUT, ONE, 403, "role_not_allowed"),
        (with(Role::Owner), Method::PUT, ONE, 200, ""),
        (with(Role::Platform), Method::PUT, ONE, 400, "invalid_request"),
        (with(Role::Owner), Method::DELETE, ONE, 503, "unavailable"),
        (with(Role::Owner), Method::PUT, "/admin/v1/kill-switches", 404, "unknown_endpoint"),
        (with(Role::Owner), Method::POST, ONE, 404, "unknown_endpoint"),
        (with(Role::Owner), Method::GET, "/admin/v1/kill-switches/", 404, "unknown_endpoint"),
        (with(Role::Owner), Method::GET, "/elsewhere", 404, "unknown_endpoint"),
    ] {
        let answer = admin.clone().oneshot(request(caller, &method, path)).await.unwrap();
        let what = format!("{method} {path} {status}");
        assert_eq!(answer.status(), status, "{what}");
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        let document: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(document["error"]["code"].as_str().unwrap_or_default(), code, "{what}");
    }
    assert_eq!(times.load(Ordering::SeqCst), 1, "what is refused changes nothing");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_never_comes_is_given_up_and_takes_no_turn_for_ever() {
    let (admin, tenant, _) = admin();
    let tenant = tenant.with_role(Role::Owner);
    let endless = || {
        let never = futures_util::stream::pending::<Result<http_body::Frame<Bytes>, Infallible>>();
        let mut request = Request::put(ONE).body(http_body_util::StreamBody::new(never)).unwrap();
        request.extensions_mut().insert(tenant.clone());
        request
    };
    let mut waiting: Vec<_> =
        (0..4).map(|_| task::spawn(admin.clone().oneshot(endless()))).collect();
    for one in &mut waiting {
        assert_pending!(one.poll());
    }
    let owner = || request(Some(tenant.clone()), &Method::GET, ONE);
    let begun = Instant::now();
    let refused = admin.clone().oneshot(owner()).await.unwrap();
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(refused.headers()[header::RETRY_AFTER], "1");
    assert_eq!(begun.elapsed(), Duration::ZERO, "a turn is not waited for");
    for one in waiting {
        assert_eq!(one.await.unwrap().status(), StatusCode::REQUEST_TIMEOUT);
        assert_eq!(begun.elapsed().as_secs(), 10, "a body is waited for ten");
    }
    assert_eq!(admin.oneshot(owner()).await.unwrap().status(), 200);
}
