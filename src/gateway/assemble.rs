//! Puts the gateway together from its configuration, runs it, and takes it apart in order.

#[cfg(test)]
mod tests;

use std::{fmt, pin::Pin, sync::Arc, time::Duration};

use http::Uri;
use tokio::{
    net::TcpListener,
    time::{MissedTickBehavior, interval, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower_http::cors::CorsLayer;
use tower_layer::Layer;

use super::{
    books,
    changes::Changes,
    config::Settings,
    cors::cors,
    dev_tokens::DevTokens,
    front::front,
    ready::{Check, Readiness},
    routes::{Own, Part, Routes},
    server::{self, Bounds, Stopped},
    telemetry::Metrics,
};
use crate::{
    admin::Admin,
    call::{Finisher, Heartbeats, KillSwitch},
    client::HttpClient,
    models::listing::Listing,
    postgres::listen::{Heard, listen},
    provider::{
        Router,
        upstream::{Upstream, UpstreamError},
    },
    stack::{Stack, stack},
    store::{
        Journal, Ledger, Policies, PolicyStore, PriceStore, Prices, StoreError, StoreFuture,
        Switchboard, admin::Reconciliation,
    },
    tenant::{KeySource, TenantLayer, Verifier, VerifierError},
};

/// Where everything that lasts is kept.
#[derive(Clone)]
pub struct Stores {
    /// What organizations may do.
    pub policies: Arc<dyn PolicyStore>,
    /// Their kill switches.
    pub switches: Arc<dyn Switchboard>,
    /// What models cost.
    pub prices: Arc<dyn PriceStore>,
    /// Sets credits aside.
    pub ledger: Arc<dyn Ledger>,
    /// Writes the ends of calls.
    pub journal: Arc<dyn Journal>,
    /// Does the background work.
    pub upkeep: Arc<dyn Upkeep>,
}

impl fmt::Debug for Stores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stores")
    }
}

/// The background work of a store.
pub trait Upkeep: Send + Sync + 'static {
    /// Whether the store can be used now; the error is for operators, without secrets.
    fn ready(&self) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;

    /// Expires overdue holds, and returns how many there were.
    fn expire_overdue(&self) -> StoreFuture<'_, u64>;

    /// Checks the books of every organization. Calls must not wait for the check. Dropping the future cancels it.
    fn reconcile(&self) -> StoreFuture<'_, Reconciliation>;

    /// Finishes pending work, within `wait_max`. The store is not used after that.
    fn close(&self, wait_max: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}

/// The gateway cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// `[identity]` does not make a usable token verifier.
    #[error("identity: {0}")]
    Verifier(#[from] VerifierError),
    /// The issuer's keys cannot be fetched, so no token could be verified.
    #[error(
        "identity.jwks_url: no usable keys could be fetched from {0}. Is the issuer running, and is this where it publishes its keys?"
    )]
    NoKeys(String),
    /// The settings of an upstream are not usable.
    #[error("upstream: {0}")]
    Upstream(#[from] UpstreamError),
    /// The prices cannot be read.
    #[error("the prices cannot be read from the database: {0}")]
    Prices(#[source] StoreError),
}

/// The whole gateway, ready to run.
pub struct Gateway {
    stack: Stack,
    router: Router<Upstream>,
    listing: Listing,
    admin: Admin,
    verifier: Verifier,
    policies: Policies,
    prices: Prices,
    finisher: Finisher,
    kill_switch: KillSwitch,
    heartbeats: Heartbeats,
    hold_ttl: Duration,
    reconcile_every: Duration,
    changes: Changes,
    listen_to: Vec<tokio_postgres::Config>,
    stores: Stores,
    metrics: Metrics,
    dev_tokens: Option<DevTokens>,
    cors: Option<CorsLayer>,
    body_bytes_max: usize,
    bounds: Bounds,
    finish_grace: Duration,
}

impl Gateway {
    /// The longest that a cached policy is used if no notice of a change arrives.
    const POLICY_TTL: Duration = Duration::from_secs(30);
    /// The longest that cached prices agreed with an organization are used.
    const AGREEMENT_TTL: Duration = Prices::TTL_MAX;
    /// How often list prices are read again: a new price may be in force this long before it is noticed.
    const PRICES_EVERY: Duration = Duration::from_mins(1);
    const SWEEP_EVERY: Duration = Duration::from_secs(5);
    const SWITCH_EVERY: Duration = Duration::from_secs(5);
    const HEARTBEATS_IN_TTL: u32 = 4;
    const CLOSE_MAX: Duration = Duration::from_secs(5);

    /// Puts the gateway together: fetches the issuer's keys and reads the prices.
    ///
    /// # Errors
    /// There are no keys, or the stores do not answer.
    pub async fn assemble(settings: Settings, stores: Stores) -> Result<Self, StartError> {
        let Settings { credit, .. } = settings;
        let client = HttpClient::default();
        let keys_url = settings.keys.url.clone();
        let keys = KeySource::published(settings.keys, client.clone());
        let verifier = Verifier::new(settings.verifier, keys)?;
        if !verifier.first_fetch().await {
            return Err(StartError::NoKeys(keys_url));
        }
        let router = Router::to_upstreams(settings.upstreams, &client)?;
        for upstream in router.upstreams() {
            if let Err(error) = upstream.check_credential().await {
                // The credential may be mounted later. Until then, calls to this upstream's models get 502.
                tracing::warn!(upstream = upstream.name(), %error, "an upstream has no credential yet");
            }
        }
        let book = stores.prices.price_book().await.map_err(StartError::Prices)?;
        if book.is_empty() {
            tracing::warn!(
                "there are no prices: calls to every model are refused until prices are imported"
            );
        }
        let prices = Prices::cached(Arc::clone(&stores.prices), book, Self::AGREEMENT_TTL);
        let policies = Policies::cached(Arc::clone(&stores.policies), Self::POLICY_TTL);
        if settings.limits.rounds_down() {
            tracing::warn!(
                replicas = settings.limits.replicas,
                "limits.replica_index is not set: this replica's share of every rate is rounded down"
            );
        }
        let finisher = Finisher::new(Arc::clone(&stores.journal), settings.calls_in_flight_max);
        let ledger = Arc::clone(&stores.ledger);
        let (kill_switch, changes) = (KillSwitch::default(), Changes::default());
        let admin = {
            let (policies, switches) = (Arc::clone(&stores.policies), Arc::clone(&stores.switches));
            let changes = changes.clone();
            Admin::new(policies, switches, move |organization| {
                changes.tell(Heard::Change(organization));
            })
        };
        let heartbeats = Heartbeats::default();
        let stack =
            stack(verifier.clone(), policies.clone(), prices.clone(), ledger, finisher.clone())
                .call(|call| {
                    call.kill_switch(kill_switch.clone())
                        .heartbeats(heartbeats.clone())
                        .body_bytes_max(settings.body_bytes_max)
                        .body_wait(settings.body_read_timeout)
                        .answer_wait(settings.answer_timeout)
                        .drain_max(settings.drain_max)
                        .allowed_fields(router.allowed_fields())
                })
                .limits(|limits| limits.replica(settings.limits.into()))
                .credit(|layer| {
                    layer.hold_ttl(credit.hold_ttl).overruns_alert(credit.overruns_alert)
                })
                .audit(|audit| audit.capture_bytes_max(settings.audit.capture_bytes_max));
        Ok(Self {
            stack,
            router,
            listing: Listing::new(policies.clone(), prices.clone()),
            admin,
            verifier,
            policies,
            prices,
            finisher,
            kill_switch,
            heartbeats,
            hold_ttl: credit.hold_ttl,
            reconcile_every: credit.reconcile_every,
            changes,
            listen_to: Vec::new(),
            stores,
            metrics: Metrics::install(),
            dev_tokens: None,
            cors: cors(settings.cors_origins),
            body_bytes_max: settings.body_bytes_max,
            bounds: settings.bounds,
            finish_grace: settings.finish_grace,
        })
    }

    /// Also forwards `POST /dev/token` to a dev issuer's token endpoint. For `tollgate dev` only.
    #[must_use]
    pub fn with_dev_tokens(mut self, url: Uri) -> Self {
        self.dev_tokens = Some(DevTokens { client: HttpClient::default(), url });
        self
    }

    /// Also listens in this database for changes of policies and kill switches. The connection is a dedicated one and
    /// must not go through a pooler. To be called once for each database that holds organizations.
    #[must_use]
    pub fn listening_to(mut self, database: tokio_postgres::Config) -> Self {
        self.listen_to.push(database);
        self
    }

    /// Serves until `stop` is cancelled, then shuts down in order: stops accepting connections, lets open calls end
    /// within the grace period, cuts the rest, writes the ends of calls, stops its tasks, and closes the store.
    ///
    /// Operators' paths are served on `operators` if there is such a listener, else on `callers`.
    pub async fn run(
        self,
        callers: TcpListener,
        operators: Option<TcpListener>,
        stop: CancellationToken,
    ) -> Stopped {
        let (tasks, ending) = (TaskTracker::new(), CancellationToken::new());
        self.keep_up(&tasks, &ending);
        let own = Arc::new(Own {
            readiness: self.readiness(),
            metrics: self.metrics.clone(),
            tokens: self.dev_tokens.clone(),
        });
        let calls = self.stack.layer(self.router.clone());
        let listing = TenantLayer::new(self.verifier.clone()).layer(self.listing.clone());
        let admin = TenantLayer::new(self.verifier.clone()).layer(self.admin.clone());
        let part = if operators.is_some() { Part::Callers } else { Part::All };
        let routes = |part| {
            let (calls, listing, admin) = (calls.clone(), listing.clone(), admin.clone());
            let cors = self.cors.clone().filter(|_| part != Part::Operators);
            let routes = Routes::new(calls, listing, admin, Arc::clone(&own), part);
            front(routes, cors, self.body_bytes_max)
        };
        if let Some(listener) = operators {
            // Probes and metrics stay available until the last call has ended.
            let until = ending.clone();
            let serving =
                server::serve(listener, routes(Part::Operators), self.bounds, async move {
                    until.cancelled().await;
                });
            drop(tasks.spawn(async move {
                serving.await;
            }));
        }
        let stopped =
            server::serve(callers, routes(part), self.bounds, stop.cancelled_owned()).await;
        if !self.finisher.close_within(self.finish_grace).await {
            tracing::error!(
                "cannot write the ends of all calls in time; holds that are still open will expire"
            );
        }
        ending.cancel();
        tasks.close();
        if timeout(Self::CLOSE_MAX, tasks.wait()).await.is_err() {
            tracing::warn!("some background tasks did not end in time");
        }
        self.stores.upkeep.close(Self::CLOSE_MAX).await;
        stopped
    }

    fn readiness(&self) -> Readiness {
        let upkeep = Arc::clone(&self.stores.upkeep);
        let verifier = self.verifier.clone();
        let keys = move || {
            if verifier.ready() { Ok(()) } else { Err("no usable keys of the issuer".to_owned()) }
        };
        Readiness::new(vec![
            Check { name: "database", probe: Box::new(move || upkeep.ready()) },
            Check { name: "keys", probe: Box::new(move || Box::pin(std::future::ready(keys()))) },
        ])
    }

    /// Starts the background tasks.
    fn keep_up(&self, tasks: &TaskTracker, ending: &CancellationToken) {
        let (prices, store) = (self.prices.clone(), Arc::clone(&self.stores.prices));
        every(Self::PRICES_EVERY, tasks, ending, move || {
            let (prices, store) = (prices.clone(), Arc::clone(&store));
            async move {
                if let Err(error) = prices.refresh(&*store).await {
                    tracing::warn!(%error, "cannot read the prices again; this gateway keeps using those it has");
                }
            }
        });
        let upkeep = Arc::clone(&self.stores.upkeep);
        every(Self::SWEEP_EVERY, tasks, ending, move || {
            let upkeep = Arc::clone(&upkeep);
            async move {
                match upkeep.expire_overdue().await {
                    Ok(0) => {}
                    Ok(holds) => tracing::warn!(holds, "holds expired before their calls ended"),
                    Err(error) => tracing::warn!(%error, "cannot expire overdue holds"),
                }
            }
        });
        if !self.reconcile_every.is_zero() {
            let upkeep = Arc::clone(&self.stores.upkeep);
            let checking = books::keep_checking(upkeep, self.reconcile_every);
            drop(tasks.spawn(ending.clone().run_until_cancelled_owned(checking)));
        }
        self.keep_cutting(tasks, ending);
        let (heartbeats, ledger) = (self.heartbeats.clone(), Arc::clone(&self.stores.ledger));
        let ttl = self.hold_ttl;
        let period = ttl.checked_div(Self::HEARTBEATS_IN_TTL).unwrap_or(ttl);
        every(period, tasks, ending, move || {
            let (heartbeats, ledger) = (heartbeats.clone(), Arc::clone(&ledger));
            async move {
                if let Err(error) = heartbeats.beat(&*ledger, ttl).await {
                    tracing::warn!(%error, "cannot renew the holds of all open calls; some holds may expire before their calls end");
                }
            }
        });
        let metrics = self.metrics.clone();
        every(Self::SWEEP_EVERY, tasks, ending, move || {
            metrics.tidy();
            std::future::ready(())
        });
    }

    /// Acts on changes of policies and kill switches. Notices report most changes; polling finds the rest.
    fn keep_cutting(&self, tasks: &TaskTracker, ending: &CancellationToken) {
        for database in &self.listen_to {
            let (database, changes) = (database.clone(), self.changes.clone());
            let listening = listen(database, move |heard| changes.tell(heard));
            drop(tasks.spawn(ending.clone().run_until_cancelled_owned(listening)));
        }
        let (changes, policies) = (self.changes.clone(), self.policies.clone());
        let (switch, store) = (self.kill_switch.clone(), Arc::clone(&self.stores.switches));
        drop(tasks.spawn(ending.clone().run_until_cancelled_owned(async move {
            changes.act(&policies, &switch, &*store).await;
        })));
        let (switch, store) = (self.kill_switch.clone(), Arc::clone(&self.stores.switches));
        every(Self::SWITCH_EVERY, tasks, ending, move || {
            let (switch, store) = (switch.clone(), Arc::clone(&store));
            async move { switch.check(&*store).await }
        });
    }
}

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gateway").field("bounds", &self.bounds).finish_non_exhaustive()
    }
}

/// Runs `work` now and then every `period`, until `ending` is cancelled. A run in progress is dropped then.
fn every<F, W>(period: Duration, tasks: &TaskTracker, ending: &CancellationToken, work: F)
where
    F: Fn() -> W + Send + Sync + 'static,
    W: Future<Output = ()> + Send,
{
    let ending = ending.clone();
    drop(tasks.spawn(async move {
        let mut ticks = interval(period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let forever = async {
            loop {
                ticks.tick().await;
                work().await;
            }
        };
        tokio::select! {
            () = ending.cancelled() => {}
            () = forever => {}
        }
    }));
}
