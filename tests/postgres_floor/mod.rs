//! The lowest level of the Postgres stores: round trips, the state after cancelled calls, and recovery.

mod listen;
mod proxy;

use crate::logs;

use std::{
    future::poll_fn,
    io::{BufRead, BufReader},
    pin::pin,
    process::{Command, Stdio},
    sync::Arc,
    task::Poll,
    time::Duration,
};

use tokio_postgres::{NoTls, types::Type};
use tollgate::{
    Tenant,
    domain::{
        credits::Credits,
        endpoint::Endpoint,
        finish::{Ending, Finish, Record, Settlement},
        hold::{HoldRequest, HoldVerdict},
        ids::{OrganizationId, PriceId, RequestId},
        usage::Usage,
    },
    postgres::{
        Door, DoorRole, Operator, Parameter, Pool, PoolConfig, PostgresError, PostgresStore,
        Prepared, Query, Step,
        cluster::{Cluster, Options, testing},
    },
    store::{
        Journal, Ledger, StoreError,
        admin::{CreditAdmin, OrganizationAdmin},
    },
};
use uuid::Uuid;

use self::proxy::Proxy;

const ADD: Query =
    Query::new("insert into public.floor (v) values ($1) returning v", &[Type::INT4]);
const FAIL: Query = Query::new("select 1 / $1", &[Type::INT4]);
const COUNT: Query = Query::new("select count(*) from public.floor", &[]);
const SLEEP: Query = Query::new("select pg_sleep($1)", &[Type::FLOAT8]);
const WRITE: Query = Query::new("select public.write()::text", &[]);
const CLAIMS: Query = Query::new(
    "select current_user::text, current_setting('request.jwt.claims', true)::jsonb ->> 'sub'",
    &[],
);
/// Claims, role, whether anything was written before, and when the transaction began.
const LEFT_OVER: Query = Query::new(
    "select coalesce(current_setting('request.jwt.claims', true), ''), current_user = session_user,
            pg_current_xact_id_if_assigned() is null, now()::text",
    &[],
);
const SETUP: &str = "
create table public.floor (v int);
grant select, insert on public.floor to tollgate_member, tollgate_viewer;
create function public.write() returns pg_lsn language plpgsql as $$
begin
  perform set_config('synchronous_commit', 'off', true);
  insert into public.floor values (1);
  return pg_current_wal_insert_lsn();
end $$;";
/// The cluster asks for none: no log may show it.
const PASSWORD: &str = "password-of-the-floor";
const CLAIMS_OF_ANA: &str = r#"{"sub":"ana"}"#;

async fn floor() -> testing::Database {
    logs::listen();
    logs::secret(PASSWORD);
    let database = testing::database().await.unwrap();
    database.connect().await.unwrap().batch_execute(SETUP).await.unwrap();
    database
}

fn config(database: &testing::Database, connections_max: usize) -> PoolConfig {
    let mut connection = database.config();
    connection.password(PASSWORD);
    let mut config = PoolConfig::new(connection);
    config.connections_max = connections_max;
    config
}

fn behind(proxy: &Proxy, database: &testing::Database, prepared: Prepared) -> Pool {
    let mut connection = tokio_postgres::Config::new();
    connection.host_path(proxy.folder()).port(5432).user("postgres").dbname(database.name());
    let mut config = PoolConfig::new(connection);
    (config.connections_max, config.prepared) = (1, prepared);
    Pool::connect(config).unwrap()
}

async fn count(pool: &Pool) -> i64 {
    pool.call(&COUNT, &[]).await.unwrap().get(0)
}

async fn nothing_is_left_over(pool: &Pool) {
    let mut began = Vec::new();
    for _ in 0..2 {
        let row = pool.call(&LEFT_OVER, &[]).await.unwrap();
        assert_eq!((row.get::<_, &str>(0), row.get(1), row.get(2)), ("", true, true));
        began.push(row.get::<_, String>(3));
    }
    // Inside a transaction that was left open, time would stand still.
    assert_ne!(began[0], began[1]);
}

fn unavailable<T: std::fmt::Debug>(result: &Result<T, StoreError>) -> bool {
    matches!(result, Err(StoreError::Unavailable(_)))
}

#[tokio::test]
async fn calls_and_the_door_take_one_round_trip() {
    let database = floor().await;
    let proxy = Proxy::before(database.cluster().socket_dir());
    for prepared in [Prepared::Auto, Prepared::Never] {
        let pool = behind(&proxy, &database, prepared);
        let door = Door::new(pool.clone());
        let steps = [Step::new(&ADD, &[&2_i32]), Step::new(&COUNT, &[])];
        for warm in [false, true] {
            let (call, trips) = proxy.trips(pool.call(&ADD, &[&1_i32])).await;
            call.unwrap();
            let (durable, durable_trips) = proxy.trips(pool.rows_durable(&WRITE, &[])).await;
            durable.unwrap();
            let run = door.run(CLAIMS_OF_ANA, DoorRole::Member, &CLAIMS, &[]);
            let (run, run_trips) = proxy.trips(run).await;
            let run = run.unwrap();
            assert_eq!((run[0].get(0), run[0].get(1)), ("tollgate_member", "ana"));
            let all = door.run_all(CLAIMS_OF_ANA, DoorRole::Member, &steps);
            let (all, all_trips) = proxy.trips(all).await;
            assert_eq!(all.unwrap().len(), 2);
            if warm {
                assert_eq!(
                    (trips, durable_trips, run_trips, all_trips),
                    (1, 1, 1, 1),
                    "{prepared:?}"
                );
            }
        }
        nothing_is_left_over(&pool).await;
    }
}

/// The end of a call that used all of what was held for it: settlement, usage and record.
fn end_of(request_id: RequestId) -> Arc<Finish> {
    let settlement = Settlement {
        amount: Credits::from_nanos(10),
        tokens: 10,
        price_id: PriceId::new(Uuid::nil()),
        markup_bps: 0,
        release: false,
    };
    Arc::new(Finish {
        request_id,
        client_request_id: None,
        endpoint: Endpoint::ChatCompletions,
        model: "small".into(),
        answered_by: None,
        provider: Some("mock".into()),
        stream: false,
        ending: Ending::Complete,
        status: 200,
        usage: Usage { input: 10, ..Usage::default() },
        estimated: false,
        clamped: false,
        settlement: Some(settlement),
        latency: Duration::from_millis(20),
        first_byte: None,
        record: Some(Record {
            request: Some("asked".into()),
            response: Some("told".into()),
            truncated: false,
        }),
    })
}

/// From how many transactions what the end of a call writes is: its row of usage, its audit event, and its movement.
const TRANSACTIONS: &str = "
select count(*), count(distinct transaction) from (
    select xmin::text from tollgate.usage where request_id = $1
    union all select xmin::text from tollgate.audit_events where request_id = $1
    union all select xmin::text from tollgate.credit_ledger where request_id = $1 and kind = 'settle') as w (transaction)";

#[tokio::test]
async fn a_hold_is_one_round_trip_and_the_end_of_a_call_one_and_one_transaction() {
    let database = floor().await;
    let admin = database.connect().await.unwrap();
    let price = "
        insert into tollgate.prices (price_id, model, provider, mode, per_request, source)
          values ('00000000-0000-0000-0000-000000000000', 'small', 'mock', 'chat', 0, '{}');
        insert into tollgate.price_tiers
          select price_id, 0, 1000000, 0, 0, 0, 0, 0, effective_from from tollgate.prices where model = 'small'";
    admin.batch_execute(price).await.unwrap();
    let operator = Operator::new(Pool::connect(config(&database, 2)).unwrap());
    let tenant = Tenant::new(OrganizationId::new(Uuid::now_v7()), "ann");
    let id = tenant.organization_id();
    assert!(operator.create_organization(id, "Floor", "UTC").await.unwrap());
    operator.grant_credits(id, Credits::from_nanos(1_000), None).await.unwrap();

    let proxy = Proxy::before(database.cluster().socket_dir());
    for prepared in [Prepared::Auto, Prepared::Never] {
        let store = PostgresStore::new(behind(&proxy, &database, prepared));
        for warm in [false, true] {
            let hold = HoldRequest {
                request_id: RequestId::generate(),
                amount: Credits::from_nanos(10),
                tokens: 10,
                ttl: Duration::from_mins(5),
            };
            let finish = end_of(hold.request_id);
            let (granted, hold_trips) = proxy.trips(store.hold(&tenant, hold)).await;
            assert!(matches!(granted, Ok(HoldVerdict::Granted)), "{granted:?}");
            let (finished, finish_trips) = proxy.trips(store.finish(&tenant, &finish)).await;
            finished.unwrap();
            if warm {
                assert_eq!((hold_trips, finish_trips), (1, 1), "{prepared:?}");
            }
            let request = finish.request_id.as_uuid();
            let written = admin.query_one(TRANSACTIONS, &[&request]).await.unwrap();
            assert_eq!((written.get::<_, i64>(0), written.get::<_, i64>(1)), (3, 1));
        }
    }
    assert_eq!(operator.organization(id).await.unwrap().balance.posted.nanos(), 960);
}

#[tokio::test]
async fn a_call_cut_off_at_any_moment_leaves_nothing_on_a_connection() {
    let database = floor().await;
    let pool = Pool::connect(config(&database, 1)).unwrap();
    let door = Door::new(pool.clone());
    for kind in 0..3 {
        let mut polls_max = 1;
        while !cut_off(&pool, &door, kind, polls_max).await {
            nothing_is_left_over(&pool).await;
            polls_max += 1;
            assert!(polls_max < 200);
        }
    }
}

/// Polls the work so often, then drops it. Whether it was done by then.
async fn cut_off(pool: &Pool, door: &Door, kind: usize, polls_max: usize) -> bool {
    let parameters: [Parameter<'_>; 1] = [&1_i32];
    let steps = [Step::new(&ADD, &parameters), Step::new(&CLAIMS, &[])];
    let mut work = pin!(async {
        match kind {
            0 => door.run_all(CLAIMS_OF_ANA, DoorRole::Member, &steps).await.map(drop),
            1 => pool.call(&ADD, &parameters).await.map(drop),
            _ => pool.rows_durable(&WRITE, &[]).await.map(drop),
        }
    });
    let mut polls = 0;
    poll_fn(|cx| {
        polls += 1;
        match work.as_mut().poll(cx) {
            Poll::Ready(result) => Poll::Ready(result.map(|()| true)),
            Poll::Pending if polls >= polls_max => Poll::Ready(Ok(false)),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn a_call_that_waits_is_cancelled_when_dropped_and_its_connection_replaced() {
    let database = floor().await;
    let pool = Pool::connect(config(&database, 1)).unwrap();
    for _ in 0..3 {
        let sleeping =
            tokio::time::timeout(Duration::from_millis(50), pool.call(&SLEEP, &[&4.0_f64]));
        assert!(sleeping.await.is_err());
        nothing_is_left_over(&pool).await;
    }
    let admin = database.connect().await.unwrap();
    let gone = "select count(*) from pg_stat_activity where pid <> pg_backend_pid() and datname = current_database() and query like '%pg_sleep($%' and state = 'active'";
    until(async || admin.query_one(gone, &[]).await.unwrap().get::<_, i64>(0) == 0).await;
}

#[tokio::test]
async fn an_error_in_the_middle_stores_nothing_and_is_returned() {
    let database = floor().await;
    for prepared in [Prepared::Auto, Prepared::Never] {
        let mut config = config(&database, 1);
        config.prepared = prepared;
        let pool = Pool::connect(config).unwrap();
        let door = Door::new(pool.clone());
        let (one, zero): ([Parameter<'_>; 1], [Parameter<'_>; 1]) = ([&1_i32], [&0_i32]);
        for steps in [
            [Step::new(&FAIL, &zero), Step::new(&ADD, &one)],
            [Step::new(&ADD, &one), Step::new(&FAIL, &zero)],
        ] {
            let failed = door.run_all(CLAIMS_OF_ANA, DoorRole::Member, &steps).await.unwrap_err();
            let code = PostgresError::of(&failed).unwrap().code().unwrap().code().to_owned();
            assert!(matches!(failed, StoreError::Refused(_)));
            assert_eq!(code, "22012");
            nothing_is_left_over(&pool).await;
        }
        let failed = pool.rows_durable(&FAIL, &zero).await;
        assert!(matches!(failed, Err(StoreError::Refused(_))));
        assert_eq!(count(&pool).await, 0);
    }
}

#[tokio::test]
async fn errors_show_no_values() {
    const CAST: Query = Query::new("select $1::text::jsonb", &[Type::TEXT]);
    let database = floor().await;
    let pool = Pool::connect(config(&database, 1)).unwrap();
    let failed = pool.call(&CAST, &[&"canary"]).await.unwrap_err();
    assert!(!format!("{failed} {failed:?}").contains("canary"), "{failed:?}");
}

#[tokio::test]
async fn a_missing_migration_and_a_full_pool_are_unavailable() {
    const MISSING: Query = Query::new("select tollgate.hold()", &[]);
    let database = testing::empty_database().await.unwrap();
    let mut config = config(&database, 1);
    config.wait_max = Duration::from_millis(100);
    let pool = Pool::connect(config).unwrap();
    assert!(unavailable(&pool.call(&COUNT, &[]).await));
    assert!(unavailable(&pool.call(&MISSING, &[]).await));

    let (ours, theirs) =
        tokio::join!(pool.call(&SLEEP, &[&0.5_f64]), pool.call(&SLEEP, &[&0.5_f64]));
    assert!(ours.is_ok());
    assert!(unavailable(&theirs));
    nothing_is_left_over(&pool).await;
}

#[tokio::test]
async fn server_side_limits_are_in_force() {
    const LIMITS: Query = Query::new(
        "select current_setting('lock_timeout'), current_setting('idle_in_transaction_session_timeout'),
                current_setting('client_connection_check_interval')",
        &[],
    );
    let database = floor().await;
    let mut config = config(&database, 1);
    config.statement_max = Duration::from_millis(100);
    let pool = Pool::connect(config).unwrap();
    let slow = pool.call(&SLEEP, &[&5.0_f64]).await;
    assert!(unavailable(&slow), "{slow:?}");
    let row = pool.call(&LIMITS, &[]).await.unwrap();
    assert_eq!((row.get(0), row.get(1), row.get(2)), ("2s", "10s", "1s"));
}

/// Whether a statement is carried out that waits for a lock when its client goes, without a word.
async fn outlives_its_client(options: &str) -> bool {
    let database = floor().await;
    let mut holder = database.connect().await.unwrap();
    let admin = database.connect().await.unwrap();
    let held = holder.transaction().await.unwrap();
    held.batch_execute("lock table public.floor in access exclusive mode").await.unwrap();
    let mut login = database.config();
    // Its other bounds would end the wait as well.
    login
        .user("tollgate_login")
        .options(format!("-c lock_timeout=0 -c statement_timeout=0 {options}"));
    let (client, connection) = login.connect(NoTls).await.unwrap();
    let connection = tokio::spawn(connection);
    client.batch_execute("set role tollgate_member").await.unwrap();
    let writing =
        tokio::spawn(
            async move { client.batch_execute("insert into public.floor values (1)").await },
        );
    let backends = "select count(*) filter (where wait_event_type = 'Lock'), count(*) \
        from pg_stat_activity where datname = current_database() and usename = 'tollgate_login'";
    until(async || admin.query_one(backends, &[]).await.unwrap().get::<_, i64>(0) == 1).await;
    connection.abort();
    assert!(writing.await.unwrap().is_err());
    let gone = async || admin.query_one(backends, &[]).await.unwrap().get::<_, i64>(1) == 0;
    if options.is_empty() {
        until(&gone).await;
    }
    held.commit().await.unwrap();
    until(&gone).await;
    let written = admin.query_one("select count(*) from public.floor", &[]).await.unwrap();
    written.get::<_, i64>(0) == 1
}

#[tokio::test]
async fn what_waits_for_a_lock_ends_with_its_client() {
    assert!(!outlives_its_client("").await);
    // So it would be without the setting that the login role has.
    assert!(outlives_its_client("-c client_connection_check_interval=0").await);
}

#[tokio::test]
async fn a_statement_that_loses_a_deadlock_is_sent_again() {
    const CONTESTED: Query = Query::new("select public.contested()", &[]);
    let database = floor().await;
    let admin = database.connect().await.unwrap();
    // Fails as a deadlock's victim does, twice; a sequence does not roll back.
    let sql = "create sequence public.attempts;
        create function public.contested() returns bigint language plpgsql as $$
        declare attempt bigint := nextval('public.attempts');
        begin
          if attempt < 3 then raise exception 'lost' using errcode = '40P01'; end if;
          return attempt;
        end $$;
        grant usage on sequence public.attempts to tollgate_member;";
    admin.batch_execute(sql).await.unwrap();
    let pool = Pool::connect(config(&database, 1)).unwrap();
    assert_eq!(pool.rows_durable(&CONTESTED, &[]).await.unwrap()[0].get::<_, i64>(0), 3);
    admin.batch_execute("alter sequence public.attempts restart").await.unwrap();
    let rows = Door::new(pool).run(CLAIMS_OF_ANA, DoorRole::Member, &CONTESTED, &[]).await.unwrap();
    assert_eq!(rows[0].get::<_, i64>(0), 3);
}

#[tokio::test]
async fn a_durable_call_is_on_disk_when_it_returns() {
    const FLUSHED: Query =
        Query::new("select pg_current_wal_flush_lsn() > $1::text::pg_lsn", &[Type::TEXT]);
    let mut options = Options::default();
    // What is flushed is flushed by us.
    options.settings.push(("wal_writer_delay".to_owned(), "10000".to_owned()));
    let cluster = Cluster::temporary(options).await.unwrap();
    let (admin, connection) = cluster.config("postgres").connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    admin.batch_execute("create role tollgate_member; create role tollgate_viewer").await.unwrap();
    admin.batch_execute(SETUP).await.unwrap();
    let pool = Pool::connect(PoolConfig::new(cluster.config("postgres"))).unwrap();
    for _ in 0..20 {
        let written: String = pool.rows_durable(&WRITE, &[]).await.unwrap()[0].get(0);
        assert!(pool.call(&FLUSHED, &[&written]).await.unwrap().get::<_, bool>(0));
    }
    pool.rows_durable(&WRITE, &[]).await.unwrap();
    cluster.kill().await.unwrap();
    cluster.restart().await.unwrap();
    until(async || pool.ping().await.is_ok()).await;
    assert_eq!(count(&pool).await, 21);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pool_under_load_survives_crashes_of_postgres_by_itself() {
    let cluster = Cluster::temporary(Options::ephemeral()).await.unwrap();
    let mut config = PoolConfig::new(cluster.config("postgres"));
    config.connections_max = 4;
    let pool = Pool::connect(config).unwrap();
    let stop = tokio_util::sync::CancellationToken::new();
    let mut load = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let (pool, stop) = (pool.clone(), stop.clone());
        load.spawn(async move {
            let mut errors = 0_u32;
            while !stop.is_cancelled() {
                match pool.call(&SLEEP, &[&0.001_f64]).await {
                    Ok(_) => {}
                    Err(StoreError::Unavailable(_)) => {
                        errors += 1;
                        tokio::time::sleep(Duration::from_millis(5)).await;
                    }
                    Err(other) => panic!("{other:?}"),
                }
            }
            errors
        });
    }
    for _ in 0..3 {
        until(async || pool.ping().await.is_ok()).await;
        cluster.stop_immediate().await.unwrap();
        assert!(unavailable(&pool.ping().await));
        cluster.restart().await.unwrap();
    }
    until(async || pool.ping().await.is_ok()).await;
    stop.cancel();
    let errors: u32 = load.join_all().await.into_iter().sum();
    assert!(errors > 0);
    for _ in 0..20 {
        nothing_is_left_over(&pool).await;
    }
}

const CHILD: &str = "TOLLGATE_TEST_CHILD";

/// Not a test of its own: the process that the next test kills.
#[tokio::test]
async fn child_with_a_cluster() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    let cluster = Cluster::temporary(Options::ephemeral()).await.unwrap();
    let state = std::fs::read_to_string(cluster.postgres_dir().join("postmaster.pid")).unwrap();
    #[expect(clippy::print_stdout, reason = "the parent reads it")]
    {
        println!(
            "\npostmaster {} {}",
            state.lines().next().unwrap(),
            cluster.socket_dir().display()
        );
    }
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn the_server_dies_with_the_process_that_started_it_even_by_kill_9() {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "postgres_floor::child_with_a_cluster", "--nocapture"])
        .env(CHILD, "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let told = lines
        .map_while(Result::ok)
        .find_map(|line| line.strip_prefix("postmaster ").map(str::to_owned));
    let told = told.unwrap();
    let (pid, folder) = told.split_once(' ').unwrap();
    let alive = || {
        Command::new("sh")
            .args(["-c", "kill -0 $1 2>/dev/null", "sh", pid])
            .status()
            .unwrap()
            .success()
    };
    assert!(alive());
    child.kill().unwrap();
    child.wait().unwrap();
    until(async || !alive()).await;
    until(async || !std::path::Path::new(folder).exists()).await;
}

/// Waits for something that must come, at most half a minute.
async fn until(mut come: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !come().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), waiting).await.unwrap();
}
