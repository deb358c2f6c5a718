//! The database stops under load, or does not respond. Every call gets its answer or 503, the books stay right, and the
//! gateways recover by themselves.
//!
//! `TOLLGATE_OUTAGE_ROUNDS` sets how often the database stops.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::time::{Instant, sleep};
use tollgate::postgres::cluster::{Cluster, Options};
use tollgate::store::admin::BookAdmin;

use super::{
    harness::{House, Org, RICH, Setup, cost, until},
    load::{CALM, Load, WELL_IN},
    process::Process,
};

const CLIENTS: usize = 16;

fn rounds() -> usize {
    std::env::var("TOLLGATE_OUTAGE_ROUNDS").map_or(3, |rounds| rounds.parse().unwrap())
}

/// As gateways are run, but for a queue in front of the pool that a busy machine does not fill.
pub(crate) fn bounds() -> Setup {
    Setup { wait: Duration::from_secs(5), ..Setup::default() }
}

/// A gateway in this process and one of its own.
pub(crate) async fn two_gateways(house: &House) -> ([SocketAddr; 2], Process) {
    let program = house.start_process().await;
    ([house.address(), program.address], program)
}

/// The end of every case: all that was answered is written, nothing else was charged, and nothing but what
/// `reconcile` tells of can be missing.
pub(crate) async fn the_books_are_right(mut house: House, program: Process, loads: &[&Load]) {
    house.admin = house.stranger().await;
    until("the books can be read", async || house.operator.reconcile().await.is_ok()).await;
    house.pass_time().await;
    for load in loads {
        load.is_in_the_books(&house).await;
    }
    let billed: i64 = house.check().await.iter().map(|row| row.charged + row.debt).sum();
    let used = cost(&house.mock.served_total());
    let books = house.operator.reconcile().await.unwrap();
    let unbilled_max = books.unbilled_max.nanos();
    eprintln!("used {used}, billed {billed}, {} holds expired for {unbilled_max}", books.expired);
    assert!(billed <= used, "more is charged than the provider did");
    assert!(billed + unbilled_max >= used, "more is missing than is told of");
    program.close().await;
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_goes_down_again_and_again_under_load_costs_no_call_its_place_in_the_books() {
    let cluster = Cluster::temporary(Options::ephemeral()).await.unwrap();
    let house = House::on_its_own(&cluster, bounds()).await;
    let (gateways, program) = two_gateways(&house).await;
    let org = house.organization(RICH).await;
    let load = Load::default();
    let faults = async {
        let begun = Instant::now();
        load.more_whole(CALM).await;
        let normal = load.latencies(begun);
        eprintln!("before: {normal}");
        let mut up = Instant::now();
        for round in 0..rounds() {
            match round % 3 {
                0 => cluster.stop_immediate().await.unwrap(),
                1 => cluster.kill().await.unwrap(),
                _ => cluster.stop().await.unwrap(),
            }
            load.more_refused(CLIENTS).await;
            cluster.restart().await.unwrap();
            up = Instant::now();
            load.more_whole(CLIENTS).await;
        }
        let took = load.well_again(up, &normal).await;
        assert!(took <= WELL_IN, "{took:?}");
    };
    load.during(&gateways, &org, CLIENTS, faults).await;
    eprintln!("{}; the longest took {:?}", load.tally(), load.longest());
    the_books_are_right(house, program, &[&load]).await;
}

/// A stranger's hand on the balance of an organization.
async fn lock(house: &House, org: &Org) -> Arc<tokio_postgres::Client> {
    let stranger = house.stranger().await;
    let row = format!(
        "begin; select from tollgate.credit_balances where organization_id = '{}' for update",
        org.id
    );
    stranger.batch_execute(&row).await.unwrap();
    stranger
}

/// Every call that reached the provider had credits set aside before.
pub(crate) async fn nothing_went_upstream_without_a_hold(house: &House) {
    let unheld = "select count(*) from tollgate.usage u
                    left join tollgate.credit_holds h using (organization_id, request_id)
                    where coalesce(h.amount, 0) = 0";
    assert_eq!(house.count(unheld).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_who_locks_one_balance_stops_its_organization_and_nobody_else() {
    let house = House::with(bounds()).await;
    let (gateways, program) = two_gateways(&house).await;
    let (org, other) = (house.organization(RICH).await, house.organization(RICH).await);
    let (its, others) = (Load::default(), Load::default());
    let stranger = async {
        let begun = Instant::now();
        tokio::join!(its.more_whole(CALM), others.more_whole(CALM));
        let locked = Instant::now();
        let (normal, others_normal) = (its.latencies(begun), others.latencies(begun));
        eprintln!("before: {normal}; others: {others_normal}");
        let stranger = lock(&house, &org).await;
        tokio::join!(its.more_refused(CLIENTS), others.more_whole(CALM));
        stranger.batch_execute("rollback").await.unwrap();
        let free = Instant::now();
        eprintln!("others meanwhile: {}", others.latencies(locked));
        let took = its.well_again(free, &normal).await;
        assert!(took <= WELL_IN, "{took:?}");
    };
    // The others go on until all is well.
    let both = its.during(&gateways, &org, 8, stranger);
    others.during(&gateways, &other, 4, both).await;
    eprintln!("its: {}; others: {}", its.tally(), others.tally());
    assert!(others.tally().ends_with(" 0 withheld, 0 refused"), "{}", others.tally());
    // Two statements that wait for the lock as long as they may, two seconds each, and time to be told where others
    // have the processor: far less than the lock would have been waited for.
    assert!(its.longest() < WELL_IN, "{:?}", its.longest());
    nothing_went_upstream_without_a_hold(&house).await;
    the_books_are_right(house, program, &[&its, &others]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_connection_serves_every_organization_and_says_when_it_cannot() {
    // Less than a lock is waited for, so that others must be told; enough to have a turn on a busy machine.
    let wait = Duration::from_millis(1_500);
    let house = House::with(Setup { connections: 1, wait, ..Setup::default() }).await;
    let (gateways, program) = two_gateways(&house).await;
    let mut orgs = Vec::new();
    for _ in 0..4 {
        orgs.push(house.organization(RICH).await);
    }
    let loads: [Load; 4] = Default::default();
    let [first, second, third, fourth] = &loads;
    let stranger = async {
        let all = async |calls| {
            let each = loads.iter().map(|load| load.more_whole(calls));
            futures_util::future::join_all(each).await;
        };
        // No more connections than there may be, however many wait for one; and that on which changes are heard.
        let busiest = async {
            loop {
                let open = "select count(*) from pg_stat_activity
                              where datname = current_database() and usename = 'tollgate_login'
                                and (application_name = 'tollgate listen') = ";
                for listens in ["true", "false"] {
                    let open = house.count(&format!("{open}{listens}")).await;
                    assert!(open <= 2, "{open} connections of two gateways, listening: {listens}");
                }
                sleep(Duration::from_millis(5)).await;
            }
        };
        let begun = Instant::now();
        tokio::select! {
            () = all(50) => {}
            () = busiest => {}
        }
        let normal = loads.each_ref().map(|load| load.latencies(begun));
        // Whoever waits for the lock has the connection.
        let stranger = lock(&house, &orgs[0]).await;
        tokio::join!(first.more_refused(4), second.more_refused(4));
        stranger.batch_execute("rollback").await.unwrap();
        let free = Instant::now();
        for (load, normal) in loads.iter().zip(&normal) {
            let took = load.well_again(free, normal).await;
            assert!(took <= WELL_IN, "{took:?}");
        }
    };
    let calling = first.during(&gateways, &orgs[0], 2, stranger);
    let calling = second.during(&gateways, &orgs[1], 2, calling);
    let calling = third.during(&gateways, &orgs[2], 2, calling);
    fourth.during(&gateways, &orgs[3], 2, calling).await;
    for load in &loads {
        eprintln!("{}; the longest took {:?}", load.tally(), load.longest());
    }
    nothing_went_upstream_without_a_hold(&house).await;
    the_books_are_right(house, program, &[first, second, third, fourth]).await;
}
