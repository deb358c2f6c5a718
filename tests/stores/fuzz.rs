//! Many clients repeat every operation on few organizations, with and without kills of the server. The books must
//! balance.
//!
//! `TOLLGATE_FUZZ_SECONDS` sets how long each test runs.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::future::join_all;
use tokio::time::Instant;
use tollgate::{
    Tenant,
    domain::{
        credits::Credits,
        hold::{Heartbeat, HoldRequest, HoldVerdict},
        ids::{KeyId, RequestId, TeamId},
        policy::{Budgets, Policy},
    },
    postgres::{
        Operator, Pool, PoolConfig, PostgresStore,
        cluster::{Cluster, Options},
        migrate,
    },
    store::{
        Journal, Ledger, StoreError,
        admin::{BookAdmin, CreditAdmin, PolicyAdmin},
        coalesce,
    },
};
use uuid::Uuid;

use super::fixture::{Fixture, Postgres, UNIT_PRICE, costing, hold, releasing, unheld};

/// A small generator of its own, so that a failure repeats with its seed.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

const CLIENTS: u64 = 24;
const REQUESTS: usize = 600;
/// However short the time or slow the machine, so many are answered.
const ANSWERED_MIN: u64 = 3_000;
/// What comes of operations: each of these must have, or some of it was not tried.
const OUTCOMES: [&str; 11] = [
    "granted",
    "insufficient",
    "budget exceeded",
    "conflict",
    "settled",
    "released",
    "owed",
    "replayed",
    "renewed",
    "expired",
    "swept",
];

fn time_given() -> Duration {
    let seconds = std::env::var("TOLLGATE_FUZZ_SECONDS").ok();
    Duration::from_secs(seconds.map_or(3, |seconds| seconds.parse().unwrap()))
}

struct Fuzz {
    store: PostgresStore,
    operator: Operator,
    tenants: Vec<Tenant>,
    /// The clients share the requests, so that they meet on the same ones.
    requests: Vec<HoldRequest>,
    until: Instant,
    answered: AtomicU64,
    /// What was acknowledged as written, durably.
    written: Mutex<HashMap<(Uuid, RequestId), (i64, i64)>>,
    /// How often each of [`OUTCOMES`] came.
    came: Mutex<BTreeMap<&'static str, u64>>,
    /// The server may be away.
    outages: bool,
}

impl Fuzz {
    async fn new(store: PostgresStore, operator: Operator, outages: bool) -> Self {
        let mut tenants = Vec::new();
        for (number, credits) in [50, 500, 50_000].into_iter().enumerate() {
            let id = tollgate::domain::ids::OrganizationId::new(Uuid::now_v7());
            assert!(operator.create_organization(id, "Test", "UTC").await.unwrap());
            operator.grant_credits(id, Credits::from_nanos(credits), None).await.unwrap();
            let budgets = Budgets { daily_tokens: Some(1_500), monthly_tokens: None };
            operator.set_policy(id, &Policy { budgets, ..Policy::default() }).await.unwrap();
            let ann = Tenant::new(id, "ann").with_team(TeamId::new(Uuid::from_u128(1)));
            tenants.push(if number == 1 {
                ann.with_key(KeyId::new(Uuid::from_u128(2)))
            } else {
                ann
            });
        }
        let requests = (0..600).map(|n| hold(n % 40, n % 7)).collect();
        Self {
            store,
            operator,
            tenants,
            requests,
            until: Instant::now() + time_given(),
            answered: AtomicU64::new(0),
            written: Mutex::default(),
            came: Mutex::default(),
            outages,
        }
    }

    /// What an operation came to; being away is no fault where the server is killed.
    fn done<T>(&self, outcome: Result<T, StoreError>) -> Option<T> {
        match outcome {
            Ok(value) => {
                self.answered.fetch_add(1, Ordering::Relaxed);
                Some(value)
            }
            Err(error) => {
                assert!(self.outages && error.is_transient(), "{error}");
                None
            }
        }
    }

    fn came(&self, outcome: &'static str) {
        *self.came.lock().unwrap().entry(outcome).or_default() += 1;
    }

    async fn client(&self, seed: u64) {
        let mut dice = Dice(seed * 7_919);
        while Instant::now() < self.until || self.answered.load(Ordering::Relaxed) < ANSWERED_MIN {
            let tenant = &self.tenants[usize::try_from(dice.below(3)).unwrap()];
            let number = usize::try_from(dice.below(u64::try_from(REQUESTS).unwrap())).unwrap();
            let mut request = self.requests[number].clone();
            let id = tenant.organization_id();
            let cost = i64::try_from(dice.below(60)).unwrap();
            match dice.below(16) {
                0..=4 => {
                    if dice.below(4) == 0 {
                        request.ttl = Duration::ZERO;
                    }
                    if dice.below(10) == 0 {
                        request.amount = Credits::from_nanos(request.amount.nanos() + 1);
                    }
                    let asking = self.store.hold(tenant, request);
                    if dice.below(8) == 0 {
                        // Somebody who leaves while it is being asked for.
                        let patience = Duration::from_micros(dice.below(3_000));
                        drop(tokio::time::timeout(patience, asking).await);
                    } else if let Some(verdict) = self.done(asking.await) {
                        self.came(match verdict {
                            HoldVerdict::Granted => "granted",
                            HoldVerdict::Insufficient { .. } => "insufficient",
                            HoldVerdict::BudgetExceeded(_) => "budget exceeded",
                            HoldVerdict::Conflict => "conflict",
                            other @ HoldVerdict::Suspended(_) => panic!("{other:?}"),
                        });
                    }
                }
                5..=8 => {
                    let finish = if dice.below(4) == 0 {
                        releasing(request.request_id)
                    } else {
                        costing(request.request_id, cost, cost)
                    };
                    if let Some(told) = self.done(self.store.finish(tenant, &finish).await) {
                        let releases = finish.settlement.as_ref().is_some_and(|end| end.release);
                        self.came(match told {
                            told if told.replayed => "replayed",
                            _ if releases => "released",
                            told if told.debt > Credits::ZERO => "owed",
                            _ => "settled",
                        });
                        let told = (told.charged.nanos(), told.debt.nanos());
                        let key = (id.as_uuid(), request.request_id);
                        let before = self.written.lock().unwrap().insert(key, told);
                        assert!(before.is_none_or(|before| before == told), "charged once");
                    }
                }
                9 => {
                    let finish = unheld(RequestId::generate());
                    self.done(self.store.finish(tenant, &finish).await);
                }
                10 => {
                    if self.done(self.store.expire(id).await).is_some_and(|holds| holds > 0) {
                        self.came("expired");
                    }
                }
                11 => {
                    if self.done(self.store.sweep().await).is_some_and(|holds| holds > 0) {
                        self.came("swept");
                    }
                }
                12 | 13 => {
                    let beats: Vec<_> = (number..REQUESTS.min(number + 20))
                        .rev()
                        .map(|number| Heartbeat {
                            request_id: self.requests[number].request_id,
                            used: Credits::from_nanos(cost / 4),
                            tokens: cost / 4,
                        })
                        .collect();
                    let ttl = Duration::from_millis(dice.below(200));
                    let renewed = self.done(self.store.renew(id, &beats, ttl).await);
                    if renewed.is_some_and(|holds| !holds.is_empty()) {
                        self.came("renewed");
                    }
                }
                _ => {
                    let reference = format!("top-up {}", dice.below(20));
                    let granted =
                        self.operator.grant_credits(id, Credits::from_nanos(100), Some(&reference));
                    self.done(granted.await.map_err(StoreError::from));
                }
            }
        }
    }

    /// What was told is in the books, and they are in order, before and after everything open has expired.
    async fn check(&self, client: &tokio_postgres::Client) {
        self.store.finish_holds(Duration::from_secs(20)).await;
        for _ in 0..2 {
            for tenant in &self.tenants {
                let books = self.operator.books(tenant.organization_id()).await.unwrap();
                assert_eq!(books.broken, Vec::<String>::new());
                assert!(books.balance.posted >= books.balance.held);
            }
            client
                .batch_execute(
                    "update tollgate.credit_holds set expires_at = now() where status = 'open'",
                )
                .await
                .unwrap();
            while self.store.sweep().await.unwrap() > 0 {}
        }
        let sql = "select h.charged, h.debt, (select count(*) from tollgate.usage u \
              where u.organization_id = h.organization_id and u.request_id = h.request_id) \
            from tollgate.credit_holds h where h.organization_id = $1 and h.request_id = $2";
        let written = self.written.lock().unwrap().clone();
        for ((organization, request), told) in &written {
            let row = client.query_one(sql, &[organization, &request.as_uuid()]).await.unwrap();
            assert_eq!(((row.get(0), row.get(1)), row.get::<_, i64>(2)), (*told, 1), "{request}");
        }
        assert!(self.operator.reconcile().await.unwrap().broken.is_empty());
        let came = self.came.lock().unwrap().clone();
        let answered = self.answered.load(Ordering::Relaxed);
        eprintln!("{answered} operations answered, {} finishes: {came:?}", written.len());
        for outcome in OUTCOMES {
            assert!(came.get(outcome).is_some_and(|times| *times > 0), "never {outcome}: {came:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_books_balance_whatever_the_clients_do() {
    let f = Postgres::start().await;
    let fuzz = Fuzz::new(f.store.clone(), f.operator.clone(), false).await;
    join_all((1..=CLIENTS).map(|seed| fuzz.client(seed))).await;
    fuzz.check(&f.database.connect().await.unwrap()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_books_balance_however_often_the_server_is_killed() {
    let cluster = Cluster::temporary(Options::default()).await.unwrap();
    let admin = cluster.config("postgres");
    migrate::run(&admin).await.unwrap();
    let mut config = admin.clone();
    config.user("tollgate_login");
    let mut config = PoolConfig::new(config);
    (config.connections_max, config.wait_max) = (6, Duration::from_secs(20));
    let pool = Pool::connect(config).unwrap();
    let mut options = coalesce::Options::default();
    options.wait_max = Duration::from_millis(50);
    let store = PostgresStore::with(pool.clone(), options);
    let fuzz = Fuzz::new(store, Operator::new(pool), true).await;
    let mut dice = Dice(4_711);
    let killing = async {
        while Instant::now() < fuzz.until {
            // As long as it takes for something to be on its way.
            tokio::time::sleep(Duration::from_millis(200 + dice.below(1_500))).await;
            cluster.stop_immediate().await.unwrap();
            cluster.restart().await.unwrap();
        }
    };
    tokio::join!(join_all((1..=CLIENTS).map(|seed| fuzz.client(seed))), killing);
    let (client, connection) = admin.connect(tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(async move { drop(connection.await) });
    client.batch_execute(UNIT_PRICE).await.unwrap();
    fuzz.check(&client).await;
    cluster.stop().await.unwrap();
}

#[tokio::test]
async fn a_hold_that_nobody_waits_for_is_given_back() {
    let f = Postgres::start().await;
    let ann = f.organization(100).await;
    for polls in 1..=3 {
        let mut waiting = Box::pin(f.store.hold(&ann, hold(60, 10)));
        for _ in 0..polls {
            assert!(futures_util::poll!(waiting.as_mut()).is_pending());
        }
        drop(waiting);
        f.store.finish_holds(Duration::from_secs(10)).await;
        assert_eq!(f.books(&ann).await, (100, 0, 0));
    }
    assert!(f.store.hold(&ann, hold(100, 10)).await.is_ok());
    assert_eq!(f.books(&ann).await, (100, 100, 0));
}

#[tokio::test]
async fn a_sweep_expires_the_overdue_holds_of_every_organization() {
    let f = Postgres::start().await;
    let tenants = [f.organization(100).await, f.organization(100).await];
    for tenant in &tenants {
        let mut overdue = hold(40, 10);
        overdue.ttl = Duration::ZERO;
        f.store.hold(tenant, overdue).await.unwrap();
        f.store.hold(tenant, hold(10, 10)).await.unwrap();
    }
    assert_eq!(f.store.sweep().await.unwrap(), 2);
    assert_eq!(f.store.sweep().await.unwrap(), 0);
    for tenant in &tenants {
        assert_eq!(f.books(tenant).await, (100, 10, 0));
    }
}
