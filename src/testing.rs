//! What the layers' tests share: callers, prices, and stores that answer as they are told.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    future::{Ready, ready},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::{Request, Response};
use metrics_util::debugging::{DebugValue, Snapshotter};

use crate::{
    context::{Call, Report, Tenant},
    domain::{
        credits::Credits,
        finish::Ending,
        hold::{HoldRequest, HoldVerdict},
        ids::{OrganizationId, PriceId},
        policy::Policy,
        price::{ModelPrice, PriceBook, Rates, Tier},
        role::Role,
        usage::Usage,
    },
    store::{Ledger, Policies, PolicyStore, Prices, Standing, StoreError, StoreFuture},
};

/// Somebody of an organization that nobody else is in.
pub(crate) fn tenant() -> Tenant {
    Tenant::new(OrganizationId::new(uuid::Uuid::new_v4()), "ada")
}

/// A request as the outer layers leave it.
pub(crate) fn request(tenant: &Tenant, call: &Call) -> Request<()> {
    Request::builder().extension(tenant.clone()).extension(call.clone()).body(()).unwrap()
}

/// A provider that says yes to everything.
pub(crate) fn yes(_: Request<()>) -> Ready<Result<Response<()>, Infallible>> {
    ready(Ok(Response::new(())))
}

/// The end of a call that used so many output tokens.
pub(crate) fn report(output: u64) -> Report {
    Report { ending: Ending::Complete, usage: Usage { output, ..Usage::default() } }
}

/// A price of one nano-dollar an input token and two an output token.
pub(crate) fn price(model: &str) -> ModelPrice {
    ModelPrice {
        price_id: PriceId::new(uuid::Uuid::nil()),
        model: model.into(),
        provider: "acme".into(),
        mode: "chat".into(),
        per_request: Credits::ZERO,
        tiers: vec![Tier {
            from_input_tokens: 0,
            rates: Rates { input: 1_000_000, output: 2_000_000, ..Rates::default() },
        }],
        input_tokens_max: None,
        output_tokens_max: Some(1_000),
    }
}

pub(crate) fn prices(models: &[&str]) -> Prices {
    Prices::new(PriceBook::new(models.iter().map(|model| price(model))))
}

/// Policies that have to be fetched, after one turn of the scheduler.
pub(crate) fn fetched(policy: Policy) -> Policies {
    fetched_as(policy, None)
}

pub(crate) fn fetched_as(policy: Policy, role: Option<Role>) -> Policies {
    let standing = Standing::under(Arc::new(policy), role);
    Policies::cached(Arc::new(OneStanding(Some(standing))), Duration::from_secs(30))
}

/// Policies of a store that is away.
pub(crate) fn away() -> Policies {
    Policies::cached(Arc::new(OneStanding(None)), Duration::from_secs(30))
}

/// Policies of a store that knows nobody.
pub(crate) fn strangers() -> Policies {
    Policies::cached(Arc::new(NoStanding), Duration::from_secs(30))
}

struct OneStanding(Option<Standing>);

impl PolicyStore for OneStanding {
    fn standing<'a>(&'a self, _: &'a Tenant) -> StoreFuture<'a, Standing> {
        Box::pin(async {
            tokio::task::yield_now().await;
            self.0.clone().ok_or_else(|| StoreError::Unavailable("away".into()))
        })
    }
}

struct NoStanding;

impl PolicyStore for NoStanding {
    fn standing<'a>(&'a self, _: &'a Tenant) -> StoreFuture<'a, Standing> {
        Box::pin(ready(Err(StoreError::UnknownOrganization)))
    }
}

/// What was counted since the last time, by the names of the metrics and the values of their labels: a counter's or a
/// gauge's value, or how many values a histogram was given.
pub(crate) fn counted(metrics: &Snapshotter) -> BTreeMap<String, String> {
    let all = metrics.snapshot().into_vec().into_iter();
    let named = all.map(|(key, _, _, value)| {
        let (_, key) = key.into_parts();
        let labels = key.labels().map(metrics::Label::value);
        let name: Vec<&str> = std::iter::once(key.name()).chain(labels).collect();
        let value = match value {
            DebugValue::Counter(value) => value.to_string(),
            DebugValue::Gauge(value) => value.to_string(),
            DebugValue::Histogram(values) => values.len().to_string(),
        };
        (name.join(" "), value)
    });
    named.collect()
}

/// A ledger that gives one verdict, or one error, and remembers what it was asked for.
pub(crate) struct Verdicts {
    verdict: Result<HoldVerdict, fn() -> StoreError>,
    asked: Mutex<Option<HoldRequest>>,
    times: AtomicUsize,
}

impl Verdicts {
    pub(crate) fn always(verdict: HoldVerdict) -> Arc<Self> {
        Self::answering(Ok(verdict))
    }

    pub(crate) fn away() -> Arc<Self> {
        Self::answering(Err(|| StoreError::Unavailable("away".into())))
    }

    pub(crate) fn unknown() -> Arc<Self> {
        Self::answering(Err(|| StoreError::UnknownOrganization))
    }

    fn answering(verdict: Result<HoldVerdict, fn() -> StoreError>) -> Arc<Self> {
        Arc::new(Self { verdict, asked: Mutex::default(), times: AtomicUsize::new(0) })
    }

    pub(crate) fn asked(&self) -> HoldRequest {
        self.asked.lock().unwrap().clone().expect("nothing was asked of the ledger")
    }

    pub(crate) fn times(&self) -> usize {
        self.times.load(Ordering::SeqCst)
    }
}

impl Ledger for Verdicts {
    fn hold<'a>(&'a self, _: &'a Tenant, request: HoldRequest) -> StoreFuture<'a, HoldVerdict> {
        Box::pin(async move {
            tokio::task::yield_now().await;
            self.times.fetch_add(1, Ordering::SeqCst);
            *self.asked.lock().unwrap() = Some(request);
            self.verdict.clone().map_err(|error| error())
        })
    }
}
