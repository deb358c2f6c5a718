//! Login addresses; and that stores enforce the bounds of `[database]` and `[credit]`: each test sets a distinct value.

use std::pin::pin;

use futures_util::poll;
use tokio::{
    net::TcpListener,
    time::{Instant, advance, pause, resume, timeout},
};
use uuid::Uuid;

use super::*;
use crate::{
    context::Tenant,
    domain::{
        credits::Credits,
        hold::{HoldRequest, HoldVerdict},
        ids::{OrganizationId, RequestId},
    },
    gateway::config::{Config, Credit, Database},
    postgres::cluster::testing,
    store::admin::CreditAdmin,
};

/// The time-out of a wait for something that should happen much earlier.
const DEADLINE: Duration = Duration::from_secs(45);
const HOUR: Duration = Duration::from_hours(1);

/// A database with an organization that has a hundred nano-dollars, and the stores that these settings make.
struct Street {
    database: testing::Database,
    operator: Operator,
    admin: tokio_postgres::Client,
    tenant: Tenant,
    stores: Stores,
}

impl Street {
    async fn with(settings: Database, credit: Credit) -> Self {
        let database = testing::database().await.unwrap();
        let operator = Operator::new(Pool::connect(PoolConfig::new(database.config())).unwrap());
        let id = OrganizationId::new(Uuid::now_v7());
        assert!(operator.create_organization(id, "Test", "UTC").await.unwrap());
        operator.grant_credits(id, Credits::from_nanos(100), None).await.unwrap();
        let databases = databases(with_login(&database.url(), None), settings, credit);
        let stores = stores(&databases).await.unwrap();
        let (admin, tenant) = (database.connect().await.unwrap(), Tenant::new(id, "ann"));
        Self { database, operator, admin, tenant, stores }
    }

    fn hold(&self, nanos: i64) -> StoreFuture<'_, HoldVerdict> {
        let request = HoldRequest {
            request_id: RequestId::generate(),
            amount: Credits::from_nanos(nanos),
            tokens: 1,
            ttl: HOUR,
        };
        self.stores.ledger.hold(&self.tenant, request)
    }

    /// Waits long enough for the server to answer everything that was asked before, however busy it is.
    async fn some_time(&self) {
        for _ in 0..10 {
            let another = self.database.connect().await.unwrap();
            another.simple_query("select 1").await.unwrap();
        }
    }
}

fn databases(url: String, settings: Database, credit: Credit) -> Databases {
    let database = Database { url: Some(url), ..settings };
    Config { database, credit, ..Config::default() }.databases().unwrap()
}

/// Three seconds pass.
async fn three_seconds() {
    pause();
    advance(Duration::from_secs(3)).await;
    resume();
}

#[tokio::test]
async fn a_hold_waits_as_long_as_credit_wait_max_and_as_many_as_credit_waiting_max() {
    let credit = Credit { wait_max: HOUR, waiting_max: 1, ..Credit::default() };
    let street = Street::with(Database::default(), credit).await;
    assert_eq!(street.hold(100).await.unwrap(), HoldVerdict::Granted);
    let mut waiting = pin!(street.hold(60));
    assert!(poll!(&mut waiting).is_pending());
    street.some_time().await;
    let refused = timeout(DEADLINE, street.hold(60)).await.expect("two wait").unwrap();
    assert!(refused.may_wait(), "{refused:?}");
    // With the default setting, the call would be refused by now.
    three_seconds().await;
    street.some_time().await;
    assert!(poll!(&mut waiting).is_pending());
    let id = street.tenant.organization_id();
    street.operator.grant_credits(id, Credits::from_nanos(100), None).await.unwrap();
    assert_eq!(timeout(DEADLINE, waiting).await.unwrap().unwrap(), HoldVerdict::Granted);
}

#[tokio::test]
async fn as_many_connections_are_made_as_database_pool_size() {
    let settings = Database { pool_size: 2, ..Database::default() };
    let street = Street::with(settings, Credit::default()).await;
    let asking = (0..8).map(|_| street.stores.policies.standing(&street.tenant));
    assert!(join_all(asking).await.iter().all(Result::is_ok));
    // The pool keeps the connections.
    let made = "select count(*) from pg_stat_activity
        where datname = current_database() and usename = 'tollgate_login'";
    let made = street.admin.query_one(made, &[]).await.unwrap();
    assert_eq!(made.get::<_, i64>(0), 2);
}

#[tokio::test]
async fn a_connection_is_waited_for_as_long_as_database_wait_timeout() {
    let settings = Database { pool_size: 1, wait_timeout: HOUR, ..Database::default() };
    let street = Street::with(settings, Credit::default()).await;
    let lock = "begin; lock table tollgate.credit_balances in access exclusive mode";
    street.admin.batch_execute(lock).await.unwrap();
    // This hold keeps the only connection until the lock is released.
    let mut first = pin!(street.hold(1));
    assert!(poll!(&mut first).is_pending());
    tokio::task::yield_now().await;
    let mut second = pin!(street.stores.policies.standing(&street.tenant));
    assert!(poll!(&mut second).is_pending());
    // With the default setting, the second call would be refused by now.
    three_seconds().await;
    street.admin.batch_execute("commit").await.unwrap();
    assert!(timeout(DEADLINE, second).await.unwrap().is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_connection_may_take_as_long_as_database_create_timeout() {
    // Accepts connections, and sends nothing on them.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let main = format!("postgres://tollgate_login@{}/data", listener.local_addr().unwrap());
    for seconds in [3, 17] {
        let create_timeout = Duration::from_secs(seconds);
        let settings = Database { create_timeout, ..Database::default() };
        let begun = Instant::now();
        let databases = databases(main.clone(), settings, Credit::default());
        let refused = stores(&databases).await;
        assert!(matches!(refused, Err(DatabaseError::Store(StoreError::Unavailable(_)))));
        assert_eq!(begun.elapsed().as_secs(), seconds);
    }
}

#[tokio::test]
async fn a_call_waits_for_the_end_of_a_move_as_long_as_database_move_timeout() {
    let move_timeout = Duration::from_secs(1);
    let settings = Database { move_timeout, ..Database::default() };
    let street = Street::with(settings, Credit::default()).await;
    let held_up = "update tollgate.organizations set moving_to = 'schema', held_up = true";
    street.admin.batch_execute(held_up).await.unwrap();
    let begun = Instant::now();
    let refused = street.hold(1).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    // The call does not look up the place again if that would exceed the time-out. The default would be ten seconds.
    let taken = begun.elapsed();
    assert!(taken >= move_timeout / 2 && taken < Duration::from_secs(8), "{taken:?}");
}

#[test]
fn only_the_person_in_an_address_is_replaced() {
    for (url, expected) in [
        (
            "postgresql://postgres@/postgres?host=%2Ftmp%2Fx&port=5432",
            "postgresql://tollgate_login@/postgres?host=%2Ftmp%2Fx&port=5432",
        ),
        ("postgres://me:p%40ss@db:5432/x", "postgres://tollgate_login@db:5432/x"),
        ("postgres://db", "postgres://tollgate_login@db"),
        (
            "postgres://db/x?user=me&password=p&sslmode=require",
            "postgres://tollgate_login@db/x?sslmode=require",
        ),
    ] {
        assert_eq!(with_login(url, None), expected);
        assert!(parse(expected).unwrap().get_user() == Some(LOGIN));
    }
    assert_eq!(with_login("postgres://me@db/x", Some("s")), "postgres://tollgate_login:s@db/x");
}

#[test]
fn an_address_that_is_none_is_refused_without_being_repeated() {
    let error = parse("postgres://me:hunter2@db:port/x").unwrap_err().to_string();
    assert!(error.contains("postgres://user@host") && !error.contains("hunter2"), "{error}");
}
