//! The time of a hold and of a finish on Postgres: `cargo bench --bench postgres`, less than a minute.
//!
//! The bench starts a private cluster with fsync on, and reaches it through its Unix socket. The statements are run in
//! turns in one run, so that the ratios hold on a busy machine. Each time is given as a multiple of an empty prepared
//! statement (`select 1`), and for a durable statement also of the smallest possible durable commit. Then the same is
//! measured with sealed claims, in a second database of the cluster.
//!
//! Included: the pool, the statement, the round trip, the commit. Not included: HTTP, JSON, tokens, the layers.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::arithmetic_side_effects,
    clippy::float_arithmetic,
    clippy::indexing_slicing,
    reason = "a bench: it may panic, it prints, and ratios are fractions"
)]

mod naive;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::task::JoinSet;
use tokio_postgres::types::Type;
use tollgate::{
    Tenant,
    domain::{
        credits::Credits,
        endpoint::Endpoint,
        finish::{Ending, Finish, Record, Settlement},
        hold::{HoldRequest, HoldVerdict},
        ids::{OrganizationId, PriceId, RequestId},
        role::Role,
        usage::Usage,
    },
    postgres::{
        Door, DoorRole, Operator, Pool, PoolConfig, PostgresStore, Query, Seal,
        cluster::{Cluster, Options},
        migrate,
        sealing::{self, Sealing},
    },
    store::{
        Journal, Ledger, PolicyStore,
        admin::{BookAdmin, CreditAdmin},
    },
};
use uuid::Uuid;

const ROUNDS: usize = 400;
const CLIENTS: usize = 128;
const CONNECTIONS: usize = 16;
const PAIRS: usize = 8_000;
/// The naive form is slow, so it makes only one in this many pairs; the time is scaled up.
const NAIVE_PART: usize = 8;
const EMPTY: Query = Query::new("select 1", &[]);
/// A hold between two readings of the server's clock.
const TIMED: Query = Query::new(
    "select (extract(epoch from clock_timestamp() - begun) * 1000000)::bigint
       from (select clock_timestamp() as begun offset 0) b,
            lateral (select result, b.begun as after
                       from tollgate.hold($1, $2, array[$3], '{1000000}', '{1000}', '{900000}', '{ann}', '{null}', '{null}')) h
      where h.result = 'granted'",
    &[Type::UUID, Type::TEXT, Type::UUID],
);
/// Adds the price that the settlements of the bench name.
const PRICE: Query = Query::new(
    "with price as (
       insert into tollgate.prices (price_id, model, provider, mode, per_request, source)
         values ('00000000-0000-0000-0000-000000000000', 'gpt-4o-mini', 'openai', 'chat', 0, '{}')
         returning price_id, effective_from)
     insert into tollgate.price_tiers (price_id, from_input_tokens, input, cached_read, cache_write_5m, cache_write_1h, output, reasoning, effective_from)
       select price_id, 0, 150000000, 75000000, 150000000, 150000000, 600000000, 600000000, effective_from from price",
    &[],
);
const BUDGETS: Query = Query::new("select organization_id from tollgate.budgets", &[]);

#[tokio::main]
async fn main() {
    let cluster = Cluster::temporary(Options::default()).await.unwrap();
    let pool = database(&cluster, "postgres", None).await;
    let store = PostgresStore::new(pool.clone());
    let operator = Operator::new(pool.clone());
    let (major, minor) = cluster.version();
    println!("Postgres {major}.{minor}, {} processors, fsync on", processors());

    one_client(&pool, &store, &organizations(&operator, 1).await[0]).await;
    Box::pin(sealed_and_not(&cluster, &store, &operator)).await;
    println!(
        "\n{CLIENTS} clients on {CONNECTIONS} connections, hold and finish of {PAIRS} calls, durable"
    );
    let mut times = [Vec::new(), Vec::new(), Vec::new(), Vec::new()];
    for _ in 0..3 {
        let part = PAIRS / NAIVE_PART;
        times[0].push(many_clients(&store, organizations(&operator, 1).await).await);
        times[1].push(many_clients(&store, organizations(&operator, 100).await).await);
        let one = organizations(&operator, 1).await;
        times[2].push(naive::many_clients(&cluster, one, part).await);
        let hundred = organizations(&operator, 100).await;
        times[3].push(naive::many_clients(&cluster, hundred, part).await);
    }
    let [hot, spread, naive_hot, naive_spread] = times.map(median);
    for (name, time) in [
        ("1 organization", hot),
        ("100 organizations", spread),
        ("1 organization, a transaction each", naive_hot),
        ("100 organizations, a transaction each", naive_spread),
    ] {
        println!(
            "{name:<42}{:>10.0} calls/s{:>10.2} of 100 organizations",
            rate(time),
            spread.as_secs_f64() / time.as_secs_f64()
        );
    }
    println!(
        "one hot organization: {:.1} times what a transaction each comes to; a hundred: {:.1} times",
        naive_hot.as_secs_f64() / hot.as_secs_f64(),
        naive_spread.as_secs_f64() / spread.as_secs_f64()
    );
    let books = operator.reconcile().await.unwrap();
    assert!(books.broken.is_empty(), "after a bench, too: {:?}", books.broken);
    cluster.stop().await.unwrap();
}

/// Each statement alone, in turns.
async fn one_client(pool: &Pool, store: &PostgresStore, tenant: &Tenant) {
    let mut times: [Vec<Duration>; 5] = Default::default();
    for round in 0..ROUNDS + 50 {
        let request_id = RequestId::generate();
        let taken = [
            time(async { drop(pool.call(&EMPTY, &[]).await.unwrap()) }).await,
            time(async { drop(pool.rows_durable(&EMPTY, &[]).await.unwrap()) }).await,
            time(async { drop(store.standing(tenant).await.unwrap()) }).await,
            time(granted(store, tenant, request_id)).await,
            time(finished(store, tenant, request_id)).await,
        ];
        // The first rounds prepare the statements and warm the caches.
        if round >= 50 {
            times.iter_mut().zip(taken).for_each(|(times, taken)| times.push(taken));
        }
    }
    let [empty, durable, standing, hold, finish] = times.map(median);
    println!("\none client, medians of {ROUNDS} rounds in turns");
    println!("{:<42}{:>10}{:>14}{:>18}", "", "µs", "× empty", "× durable commit");
    for (name, time) in [
        ("empty prepared statement", empty),
        ("smallest durable commit", durable),
        ("standing (policy and role)", standing),
        ("hold", hold),
        ("finish: settlement, usage, record; durable", finish),
    ] {
        println!(
            "{name:<42}{:>10}{:>14.2}{:>18.2}",
            time.as_micros(),
            time.as_secs_f64() / empty.as_secs_f64(),
            time.as_secs_f64() / durable.as_secs_f64()
        );
    }
    let own = own_time(pool, tenant).await;
    println!(
        "{:<42}{:>10}{:>14}, so a hold is {:.2} of an empty statement's round trip and that",
        "hold: the statement's own time, in the server",
        own.as_micros(),
        "",
        hold.as_secs_f64() / (empty + own).as_secs_f64()
    );
}

/// How long the server itself works on a hold.
async fn own_time(pool: &Pool, tenant: &Tenant) -> Duration {
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let id = tenant.organization_id().as_uuid();
        let request = RequestId::generate().as_uuid();
        let row = pool.call(&TIMED, &[&id, &tenant.claims(), &request]).await.unwrap();
        let micros: i64 = row.get(0);
        times.push(Duration::from_micros(u64::try_from(micros).unwrap()));
    }
    median(times)
}

/// The pool of a gateway on a new database. If there is a seal, claims must be sealed there.
async fn database(cluster: &Cluster, name: &str, seal: Option<Seal>) -> Pool {
    let mut connection = cluster.config(name);
    migrate::run(&connection).await.unwrap();
    let superuser = Pool::connect(PoolConfig::new(connection.clone())).unwrap();
    superuser.rows(&PRICE, &[]).await.unwrap();
    if let Some(seal) = &seal {
        sealing::set(&connection, &Sealing::Only(vec![seal.clone()])).await.unwrap();
    }
    connection.user("tollgate_login");
    let mut config = PoolConfig::new(connection);
    (config.connections_max, config.seal) = (CONNECTIONS, seal);
    Pool::connect(config).unwrap()
}

/// The cost of seals: the same statements in two databases, in turns.
async fn sealed_and_not(cluster: &Cluster, store: &PostgresStore, operator: &Operator) {
    let superuser = Pool::connect(PoolConfig::new(cluster.config("postgres"))).unwrap();
    superuser.rows(&Query::new("create database sealed", &[]), &[]).await.unwrap();
    let seal = Seal::new(b"the key of a bench, which is no secret").unwrap();
    let pool = database(cluster, "sealed", Some(seal.clone())).await;
    let sealed = PostgresStore::new(pool.clone());
    let owner = |tenants: Vec<Tenant>| tenants[0].clone().with_role(Role::Owner);
    let ann = owner(organizations(operator, 1).await);
    let sealed_ann = owner(organizations(&Operator::new(pool), 1).await);
    let mut times: [[Vec<Duration>; 2]; 4] = Default::default();
    for round in 0..ROUNDS + 50 {
        for (which, (store, tenant)) in [(store, &ann), (&sealed, &sealed_ann)].iter().enumerate() {
            let request_id = RequestId::generate();
            let door = Door::new(store.pool().clone());
            let read = async {
                door.run(tenant.claims(), DoorRole::Owner, &BUDGETS, &[]).await.unwrap();
            };
            let taken = [
                time(async { drop(store.standing(tenant).await.unwrap()) }).await,
                time(granted(store, tenant, request_id)).await,
                time(finished(store, tenant, request_id)).await,
                time(read).await,
            ];
            if round >= 50 {
                times.iter_mut().zip(taken).for_each(|(times, taken)| times[which].push(taken));
            }
        }
    }
    println!("\nclaims under a seal, medians of {ROUNDS} rounds in turns");
    println!("{:<42}{:>10}{:>14}{:>18}", "", "plain µs", "sealed µs", "sealed ÷ plain");
    let names = ["standing (policy and role)", "hold", "finish, durable", "a person's select"];
    for (name, times) in names.iter().zip(times) {
        let [plain, sealed] = times.map(median);
        println!(
            "{name:<42}{:>10}{:>14}{:>18.2}",
            plain.as_micros(),
            sealed.as_micros(),
            sealed.as_secs_f64() / plain.as_secs_f64()
        );
    }
    let claims = ann.claims();
    let begun = Instant::now();
    for now in 0..10_000 {
        std::hint::black_box(seal.seal(claims, now));
    }
    println!("{:<42}{:>24.1}", "sealing, in the gateway", begun.elapsed().as_secs_f64() * 100.0);
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// Pairs of hold and finish by many clients, over these organizations in turn.
async fn many_clients(store: &PostgresStore, tenants: Vec<Tenant>) -> Duration {
    let (next, tenants) = (Arc::new(AtomicUsize::new(0)), Arc::new(tenants));
    let begun = Instant::now();
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let (store, next, tenants) = (store.clone(), Arc::clone(&next), Arc::clone(&tenants));
        clients.spawn(async move {
            loop {
                let pair = next.fetch_add(1, Ordering::Relaxed);
                if pair >= PAIRS {
                    return;
                }
                let (tenant, request_id) = (&tenants[pair % tenants.len()], RequestId::generate());
                granted(&store, tenant, request_id).await;
                finished(&store, tenant, request_id).await;
            }
        });
    }
    while let Some(client) = clients.join_next().await {
        client.unwrap();
    }
    begun.elapsed()
}

async fn organizations(operator: &Operator, count: usize) -> Vec<Tenant> {
    let mut tenants = Vec::with_capacity(count);
    for _ in 0..count {
        let id = OrganizationId::new(Uuid::now_v7());
        assert!(operator.create_organization(id, "Bench", "UTC").await.unwrap());
        operator.grant_credits(id, Credits::from_nanos(1_000_000_000_000), None).await.unwrap();
        tenants.push(Tenant::new(id, "ann"));
    }
    tenants
}

async fn granted(store: &PostgresStore, tenant: &Tenant, request_id: RequestId) {
    let hold = HoldRequest {
        request_id,
        amount: Credits::from_nanos(1_000_000),
        tokens: 1_000,
        ttl: Duration::from_mins(15),
    };
    assert_eq!(store.hold(tenant, hold).await.unwrap(), HoldVerdict::Granted);
}

/// A call of 1 KB with an answer of 1 KB.
async fn finished(store: &PostgresStore, tenant: &Tenant, request_id: RequestId) {
    let finish = Arc::new(Finish {
        request_id,
        client_request_id: None,
        endpoint: Endpoint::ChatCompletions,
        model: "gpt-4o-mini".into(),
        answered_by: Some("gpt-4o-mini-2024-07-18".into()),
        provider: Some("mock".into()),
        stream: false,
        ending: Ending::Complete,
        status: 200,
        usage: Usage { input: 250, output: 250, ..Usage::default() },
        estimated: false,
        clamped: false,
        settlement: Some(Settlement {
            amount: Credits::from_nanos(187_500),
            tokens: 500,
            price_id: PriceId::new(Uuid::nil()),
            markup_bps: 0,
            release: false,
        }),
        latency: Duration::from_millis(5),
        first_byte: Some(Duration::from_millis(5)),
        record: Some(Record {
            request: Some("q".repeat(1_024)),
            response: Some("a".repeat(1_024)),
            truncated: false,
        }),
    });
    assert!(!store.finish(tenant, &finish).await.unwrap().replayed);
}

async fn time(work: impl Future<Output = ()>) -> Duration {
    let begun = Instant::now();
    work.await;
    begun.elapsed()
}

fn rate(taken: Duration) -> f64 {
    f64::from(u32::try_from(PAIRS).unwrap()) / taken.as_secs_f64()
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
