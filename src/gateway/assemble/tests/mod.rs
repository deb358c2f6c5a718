//! The gateway's background work and its timing; and that the gateway enforces the configuration's bounds.
//!
//! The stores are in memory and record the requests made to them. The clock is paused once the keys are fetched.

mod bounds;
mod upkeep;

use std::{
    convert::Infallible,
    future::{pending, ready},
    sync::Mutex,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use tokio::time::Instant;
use tower::{ServiceExt, service_fn};
use uuid::Uuid;

use super::*;
use crate::{
    body::RequestBody,
    context::Tenant,
    domain::{
        credits::Credits,
        dialect::Dialect,
        hold::{Heartbeat, HoldRequest, HoldVerdict},
        ids::{OrganizationId, RequestId},
        price::{Agreement, PriceBook},
        role::Role,
        switch::{Switch, Switches},
    },
    gateway::{
        config::{Config, Identity},
        issuer::{DevIssuer, Grant, JWKS_PATH},
    },
    provider::upstream::UpstreamConfig,
    store::{Flipped, MemoryStore, SwitchStore, SwitchesOn},
    testing,
};

/// A request to the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Prices,
    Sweep,
    Books,
    Switches,
    Hold(Duration),
    Heartbeat(Duration),
}

/// A store in memory that records requests and their times.
struct Noting {
    store: MemoryStore,
    asked: Mutex<Vec<(Asked, Instant)>>,
    /// Whether reading list prices fails.
    away: Mutex<bool>,
}

impl Noting {
    fn note(&self, asked: Asked) {
        self.asked.lock().unwrap().push((asked, Instant::now()));
    }
}

impl PriceStore for Noting {
    fn price_book(&self) -> StoreFuture<'_, PriceBook> {
        self.note(Asked::Prices);
        if *self.away.lock().unwrap() {
            return Box::pin(ready(Err(StoreError::Unavailable("away".into()))));
        }
        self.store.price_book()
    }

    fn agreement<'a>(&'a self, tenant: &'a Tenant) -> StoreFuture<'a, Agreement> {
        self.store.agreement(tenant)
    }
}

impl Ledger for Noting {
    fn hold<'a>(
        &'a self,
        tenant: &'a Tenant,
        request: HoldRequest,
    ) -> StoreFuture<'a, HoldVerdict> {
        self.note(Asked::Hold(request.ttl));
        self.store.hold(tenant, request)
    }

    fn renew<'a>(
        &'a self,
        organization: OrganizationId,
        heartbeats: &'a [Heartbeat],
        ttl: Duration,
    ) -> StoreFuture<'a, Vec<RequestId>> {
        self.note(Asked::Heartbeat(ttl));
        self.store.renew(organization, heartbeats, ttl)
    }
}

impl SwitchStore for Noting {
    fn switches(&self, organization: OrganizationId) -> StoreFuture<'_, Switches> {
        self.note(Asked::Switches);
        self.store.switches(organization)
    }
}

/// No test turns a kill switch through this trait.
impl Switchboard for Noting {
    fn list<'a>(&'a self, _: &'a Tenant, _: Role) -> StoreFuture<'a, SwitchesOn> {
        Box::pin(ready(Err(StoreError::Forbidden)))
    }

    fn turn_on<'a>(
        &'a self,
        _: &'a Tenant,
        _: Role,
        _: &'a Switch,
        _: Option<&'a str>,
    ) -> StoreFuture<'a, Option<Flipped>> {
        Box::pin(ready(Err(StoreError::Forbidden)))
    }

    fn turn_off<'a>(&'a self, _: &'a Tenant, _: Role, _: &'a Switch) -> StoreFuture<'a, ()> {
        Box::pin(ready(Err(StoreError::Forbidden)))
    }
}

impl Upkeep for Noting {
    fn ready(&self) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send>> {
        Box::pin(ready(Ok(())))
    }

    fn expire_overdue(&self) -> StoreFuture<'_, u64> {
        self.note(Asked::Sweep);
        Box::pin(ready(Ok(0)))
    }

    fn reconcile(&self) -> StoreFuture<'_, Reconciliation> {
        self.note(Asked::Books);
        Box::pin(ready(Ok(Reconciliation::default())))
    }

    fn close(&self, _: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(ready(()))
    }
}

const CHAT: &str =
    r#"{"model":"small","messages":[{"role":"user","content":"hello"}],"max_tokens":10}"#;
const ANSWER: &str = r#"{"model":"small","choices":[{"message":{"content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":10,"completion_tokens":3}}"#;

/// A gateway, its store, and a caller with a token.
struct Street {
    gateway: Gateway,
    noting: Arc<Noting>,
    issuer: DevIssuer,
    issuer_url: String,
    organization: OrganizationId,
    token: String,
    /// When the clock was paused.
    begun: Instant,
}

impl Street {
    /// A gateway with the default configuration, apart from `change`. The clock is paused: time advances only while all
    /// tasks wait for a timer.
    async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let issuer = DevIssuer::ephemeral(&url, "tollgate").unwrap();
        drop(tokio::spawn(issuer.clone().serve(listener)));
        let mut config = Config {
            identity: Identity {
                jwks_url: Some(format!("{url}{JWKS_PATH}")),
                issuer: Some(url.clone()),
                audience: Some("tollgate".to_owned()),
                role_claim: Some("/role".to_owned()),
                ..Identity::default()
            },
            upstream: vec![UpstreamConfig::new("a", Dialect::OpenAi, "https://provider.test")],
            ..Config::default()
        };
        change(&mut config);
        let store = MemoryStore::new(PriceBook::new([testing::price("small")]));
        let organization = OrganizationId::new(Uuid::new_v4());
        assert!(store.create_organization(organization));
        store.grant_credits(organization, Credits::from_nanos(1_000_000)).unwrap();
        let noting = Arc::new(Noting {
            store: store.clone(),
            asked: Mutex::default(),
            away: Mutex::default(),
        });
        let stores = Stores {
            policies: Arc::new(store.clone()),
            switches: Arc::<Noting>::clone(&noting),
            prices: Arc::<Noting>::clone(&noting),
            ledger: Arc::<Noting>::clone(&noting),
            journal: Arc::new(store),
            upkeep: Arc::<Noting>::clone(&noting),
        };
        let gateway = Gateway::assemble(config.settings().unwrap(), stores).await.unwrap();
        let token = issuer.issue(&Grant::new(organization, "ann")).unwrap().token;
        noting.asked.lock().unwrap().clear();
        tokio::time::pause();
        let begun = Instant::now();
        Self { gateway, noting, issuer, issuer_url: url, organization, token, begun }
    }

    fn store(&self) -> &MemoryStore {
        &self.noting.store
    }

    fn request<B>(&self, body: B) -> Request<B> {
        Request::post("/v1/chat/completions")
            .header("authorization", format!("Bearer {}", self.token))
            .body(body)
            .unwrap()
    }

    /// A call that the provider answers at once. Returns the status and the body.
    async fn call(&self) -> (u16, String) {
        self.send(Full::from(CHAT)).await
    }

    async fn send<B>(&self, body: B) -> (u16, String)
    where
        B: Body<Data = Bytes, Error = Infallible> + Send + 'static,
    {
        let provider = service_fn(|_: Request<RequestBody>| async {
            let answer = Response::builder().header("content-type", "application/json");
            Ok::<_, Infallible>(answer.body(Full::<Bytes>::from(ANSWER)).unwrap())
        });
        let answer = self.gateway.stack.layer(provider).oneshot(self.request(body)).await.unwrap();
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    /// A call that the provider never answers.
    fn open(&self) -> impl Future<Output = u16> + Send + use<> {
        let provider = service_fn(|_: Request<RequestBody>| {
            pending::<Result<Response<Full<Bytes>>, Infallible>>()
        });
        let calling =
            self.gateway.stack.layer(provider).oneshot(self.request(Full::<Bytes>::from(CHAT)));
        async move { calling.await.unwrap().status().as_u16() }
    }

    /// The times of this request, in milliseconds since the clock was paused.
    fn when(&self, of: Asked) -> Vec<u128> {
        let asked = self.noting.asked.lock().unwrap();
        let of = asked.iter().filter(|(asked, _)| *asked == of);
        of.map(|(_, at)| at.duration_since(self.begun).as_millis()).collect()
    }
}

impl Drop for Street {
    fn drop(&mut self) {
        tokio::time::resume();
    }
}
