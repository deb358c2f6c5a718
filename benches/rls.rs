//! The cost of row-level security: `cargo bench --bench rls`, about half a minute.
//!
//! The table `usage` has 200,000 calls of 1,000 organizations. Each role reads the rows of its own organization that it
//! may read, under its claims and policies. For comparison the superuser, who bypasses all policies, reads the same
//! rows with an explicit predicate. Both statements are prepared, and run in turns with an empty statement (`select 1`)
//! in one run, so that the ratios hold on a busy machine. There are two ratios: of the times that a client waits, which
//! must be at most 3x, and the net ratio, after the time of the empty statement is subtracted from both.
//!
//! Included: the statement and its round trip. Not included: begin, claims and commit, which share that round trip.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::float_arithmetic,
    clippy::indexing_slicing,
    reason = "a bench: it may panic, it prints, and ratios are fractions"
)]

use std::time::{Duration, Instant};

use tokio_postgres::{Client, NoTls, Statement};
use tollgate::{
    Tenant,
    domain::{ids::OrganizationId, role::Role},
    postgres::{
        cluster::{Cluster, Options},
        migrate,
    },
};
use uuid::Uuid;

const ROUNDS: usize = 1_000;
const RATIO_MAX: f64 = 3.0;
/// Each organization has two people and 200 calls. A member sees only their own half, other roles see all.
const FILL: &str = "
    insert into tollgate.organizations (organization_id, name)
      select md5('org ' || n)::uuid, 'org ' || n from generate_series(0, 999) as n;
    insert into tollgate.memberships (organization_id, user_id, role)
      select organization_id, person, role from tollgate.organizations
        cross join (values ('ann', 'member'), ('vic', 'viewer'), ('olga', 'owner')) as p (person, role);
    insert into tollgate.usage (organization_id, arrived_at, request_id, user_id, endpoint, model, stream, ending, status, input_tokens,
        cached_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens, output_tokens, reasoning_tokens, estimated, clamped, cost, latency_ms)
      select md5('org ' || n % 1000)::uuid, now() - n * interval '1 second', gen_random_uuid(),
             case when n / 1000 % 2 = 0 then 'ann' else 'bob' end, 'messages', 'm', false, 'complete', 200, 1, 0, 0, 0, 1, 0, false, false, 1, 1
        from generate_series(0, 199999) as n;
    insert into tollgate.settings (organization_id, name, value)
      select organization_id, 'name ' || n, '1' from tollgate.organizations cross join generate_series(1, 200) as n;
    analyze tollgate.usage; analyze tollgate.settings; analyze tollgate.memberships";

struct Case {
    name: &'static str,
    person: &'static str,
    /// The caller's role in the database.
    role: Role,
    /// Whether the token names the role; else the membership table does.
    claimed: bool,
    secured: &'static str,
    explicit: &'static str,
    rows: i64,
}

const CASES: [Case; 5] = [
    Case {
        name: "a member's own calls",
        person: "ann",
        role: Role::Member,
        claimed: true,
        secured: "select count(*), sum(cost)::bigint from tollgate.usage",
        explicit: "select count(*), sum(cost)::bigint from tollgate.usage where organization_id = $1 and user_id = 'ann'",
        rows: 100,
    },
    Case {
        name: "the same, with the predicate as well",
        person: "ann",
        role: Role::Member,
        claimed: true,
        secured: "select count(*), sum(cost)::bigint from tollgate.usage where organization_id = $1",
        explicit: "select count(*), sum(cost)::bigint from tollgate.usage where organization_id = $1 and user_id = 'ann'",
        rows: 100,
    },
    Case {
        name: "a viewer's calls of the organization",
        person: "vic",
        role: Role::Viewer,
        claimed: true,
        secured: "select count(*), sum(cost)::bigint from tollgate.usage",
        explicit: "select count(*), sum(cost)::bigint from tollgate.usage where organization_id = $1",
        rows: 200,
    },
    Case {
        name: "the same, role by the membership table",
        person: "vic",
        role: Role::Viewer,
        claimed: false,
        secured: "select count(*), sum(cost)::bigint from tollgate.usage",
        explicit: "select count(*), sum(cost)::bigint from tollgate.usage where organization_id = $1",
        rows: 200,
    },
    Case {
        name: "a member's settings",
        person: "ann",
        role: Role::Member,
        claimed: false,
        secured: "select count(*), 0::bigint from tollgate.settings where organization_id = $1",
        explicit: "select count(*), 0::bigint from tollgate.settings where organization_id = $1",
        rows: 200,
    },
];

#[tokio::main]
async fn main() {
    let cluster = Cluster::temporary(Options::ephemeral()).await.unwrap();
    migrate::run(&cluster.config("postgres")).await.unwrap();
    let (superuser, acting) = (connect(&cluster).await, connect(&cluster).await);
    superuser.batch_execute(FILL).await.unwrap();
    let organization: Uuid =
        superuser.query_one("select md5('org 500')::uuid", &[]).await.unwrap().get(0);
    let (major, minor) = cluster.version();
    println!("Postgres {major}.{minor}, 200,000 calls of 1,000 organizations, median of {ROUNDS}");
    println!("{:<42}{:>10}{:>12}{:>8}{:>8}", "", "with RLS", "without", "ratio", "net");
    let mut dearest: f64 = 0.0;
    for case in &CASES {
        let [secured, explicit, empty] = run(case, organization, &acting, &superuser).await;
        let ratio = secured.as_secs_f64() / explicit.as_secs_f64();
        let net = secured.saturating_sub(empty).as_secs_f64()
            / explicit.saturating_sub(empty).as_secs_f64();
        dearest = dearest.max(ratio);
        println!(
            "{:<42}{:>7} µs{:>9} µs{ratio:>7.2}x{net:>7.2}x",
            case.name,
            secured.as_micros(),
            explicit.as_micros()
        );
    }
    println!("dearest {dearest:.2}x, at most {RATIO_MAX}x allowed");
    cluster.stop().await.unwrap();
    assert!(dearest <= RATIO_MAX, "row security is dearer than it may be");
}

/// The medians of the case with row-level security, without it, and of an empty statement.
async fn run(
    case: &Case,
    organization: Uuid,
    acting: &Client,
    superuser: &Client,
) -> [Duration; 3] {
    let mut tenant = Tenant::new(OrganizationId::new(organization), case.person);
    if case.claimed {
        tenant = tenant.with_role(case.role);
    }
    let secured = acting.prepare(case.secured).await.unwrap();
    let explicit = superuser.prepare(case.explicit).await.unwrap();
    let empty = superuser.prepare("select 1::bigint").await.unwrap();
    let enter = format!("begin; set local role tollgate_{}", case.role);
    acting.batch_execute(&enter).await.unwrap();
    let claims = "select set_config('request.jwt.claims', $1, true)";
    acting.execute(claims, &[&tenant.claims()]).await.unwrap();
    superuser.batch_execute("begin").await.unwrap();
    let mut times = [(); 3].map(|()| Vec::with_capacity(ROUNDS));
    for _ in 0..ROUNDS {
        times[0].push(timed(acting, &secured, organization, case.rows).await);
        times[1].push(timed(superuser, &explicit, organization, case.rows).await);
        times[2].push(timed(superuser, &empty, organization, 1).await);
    }
    acting.batch_execute("rollback").await.unwrap();
    superuser.batch_execute("rollback").await.unwrap();
    times.map(|mut times| {
        times.sort_unstable();
        times[times.len() / 2]
    })
}

async fn timed(client: &Client, statement: &Statement, organization: Uuid, rows: i64) -> Duration {
    let start = Instant::now();
    let answer = if statement.params().is_empty() {
        client.query_one(statement, &[]).await.unwrap()
    } else {
        client.query_one(statement, &[&organization]).await.unwrap()
    };
    let took = start.elapsed();
    assert_eq!(answer.get::<_, i64>(0), rows);
    took
}

async fn connect(cluster: &Cluster) -> Client {
    let (client, connection) = cluster.config("postgres").connect(NoTls).await.unwrap();
    tokio::spawn(async move { drop(connection.await) });
    client
}
