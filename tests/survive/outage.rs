//! The database stops and comes back, or has no free connection.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use tollgate::{
    gateway::config::Server,
    postgres::cluster::{Cluster, Options},
};

use super::harness::{Ask, BOTH, Client, DEADLINE, House, Org, RICH, Row, Setup, until};

/// What the clients have got so far.
#[derive(Debug, Default)]
struct Tally {
    whole: AtomicU64,
    unavailable: AtomicU64,
    broken_off: AtomicU64,
    stop: AtomicBool,
}

impl Tally {
    /// A client that has its last byte has a row that survived every fault since, and no call has two.
    fn assert_written(&self, rows: &[Row]) {
        let [whole, unavailable, broken_off] =
            [&self.whole, &self.unavailable, &self.broken_off].map(|count| count.load(Relaxed));
        let complete = rows.iter().filter(|row| row.ending == "complete").count();
        let [complete, all] = [complete, rows.len()].map(|count| u64::try_from(count).unwrap());
        assert!(complete >= whole, "{complete} rows for {whole} answers");
        // What was answered with 503 may have been served, and be written later.
        let called = whole + broken_off..=whole + broken_off + unavailable;
        assert!(called.contains(&all), "{all} rows of {called:?} calls");
    }
}

/// Calls, one after the other, until told to stop; every answer must be one that may be.
async fn call_on(house: &House, org: &Org, number: usize, tally: &Tally) {
    let ask = Ask { stream: number.is_multiple_of(4), ..Ask::of(BOTH[number / 2 % 2]) };
    let ask = Ask { stream: number.is_multiple_of(2), ..ask }.mock("chunk-delay-ms", 3);
    let mut client = house.client().await;
    while !tally.stop.load(Relaxed) {
        client.send(&ask.bytes(&org.token)).await;
        let answer = client.answer().await.expect("an answer, whatever it is");
        match answer.status {
            200 if !ask.stream || answer.has_end() => tally.whole.fetch_add(1, Relaxed),
            200 => {
                assert!(answer.ends_in_error(), "{}", answer.text());
                tally.broken_off.fetch_add(1, Relaxed)
            }
            503 => {
                assert!(
                    answer.header("retry-after").is_some() && answer.json()["error"].is_object()
                );
                tally.unavailable.fetch_add(1, Relaxed)
            }
            other => panic!("{other}: {}", answer.text()),
        };
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_crashes_under_load_costs_no_call_its_place_in_the_books() {
    let cluster = Cluster::temporary(Options::ephemeral()).await.unwrap();
    let setup = Setup { wait: Duration::from_secs(2), ..Setup::default() };
    let mut house = House::on_its_own(&cluster, setup).await;
    let org = house.organization(RICH).await;
    let tally = Tally::default();
    let more = async |count: &AtomicU64, more: u64| {
        let before = count.load(Relaxed);
        until("calls go on", async || count.load(Relaxed) >= before + more).await;
    };
    let faults = async {
        for _ in 0..2 {
            more(&tally.whole, 60).await;
            cluster.stop_immediate().await.unwrap();
            until("it is not ready", async || !house.ready().await).await;
            more(&tally.unavailable, 40).await;
            cluster.restart().await.unwrap();
            until("it is ready again", async || house.ready().await).await;
        }
        more(&tally.whole, 60).await;
        tally.stop.store(true, Relaxed);
    };
    let load = join_all((0..24).map(|number| call_on(&house, &org, number, &tally)));
    tokio::join!(load, faults);

    house.admin = house.stranger().await;
    house.pass_time().await;
    tally.assert_written(&house.check().await);
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_are_cut_under_load_cost_no_call_its_place_in_the_books() {
    let house = House::open().await;
    let org = house.organization(RICH).await;
    let tally = Tally::default();
    let faults = async {
        for round in 1..=20 {
            until("calls go on", async || tally.whole.load(Relaxed) >= 10 * round).await;
            let cut = "select count(pg_terminate_backend(pid)) from pg_stat_activity
                         where datname = current_database() and usename = 'tollgate_login'
                           and application_name <> 'tollgate listen'";
            until("there are connections to cut", async || house.count(cut).await > 0).await;
        }
        until("calls go on", async || tally.whole.load(Relaxed) >= 10 * 21).await;
        tally.stop.store(true, Relaxed);
    };
    let load = join_all((0..16).map(|number| call_on(&house, &org, number, &tally)));
    tokio::join!(load, faults);
    house.pass_time().await;
    tally.assert_written(&house.check().await);
    house.close().await;
}

#[tokio::test]
async fn a_hold_that_is_granted_to_a_client_that_has_left_is_given_back() {
    let house = House::open().await;
    // Holds of one would wait for each other here, not in the database.
    let orgs = [house.organization(RICH).await, house.organization(RICH).await];
    let stranger = house.stranger().await;
    stranger.batch_execute("begin; select from tollgate.credit_balances for update").await.unwrap();
    let mut clients = Vec::new();
    for (org, dialect) in orgs.iter().zip(BOTH) {
        let mut client = house.client().await;
        client.send(&Ask::of(dialect).streamed().bytes(&org.token)).await;
        clients.push(client);
    }
    let waiting = "select count(*) from pg_stat_activity where datname = current_database()
                     and wait_event_type = 'Lock' and query like '%tollgate.hold(%'";
    until("both holds wait", async || house.count(waiting).await == 2).await;
    clients.into_iter().for_each(Client::reset);
    stranger.batch_execute("rollback").await.unwrap();
    let ledger = "select count(*) from tollgate.credit_ledger where kind = ";
    let moved = async |kind: &str| house.count(&format!("{ledger}'{kind}'")).await;
    until("both are granted and given back", async || {
        (moved("hold").await, moved("expire").await) == (2, 2)
    })
    .await;
    assert_eq!(house.check().await, []);
    for org in &orgs {
        assert_eq!(house.balance(org).await, (RICH, 0, 0));
    }
    assert_eq!(house.mock.served_total().calls, 0, "nobody is there for whom to ask");
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_told_to_stop_while_its_database_is_away_writes_every_end_when_it_is_back() {
    let cluster = Cluster::temporary(Options::ephemeral()).await.unwrap();
    let server = Server { finish_grace: DEADLINE, ..Server::default() };
    let mut house = House::on_its_own(&cluster, Setup { server, ..Setup::default() }).await;
    let org = house.organization(RICH).await;
    let sending = (0..20).map(async |number: usize| {
        let ask = Ask { stream: number.is_multiple_of(2), ..Ask::of(BOTH[number / 2 % 2]) };
        let mut client = house.client().await;
        // So long that a busy machine stops the database before the first is answered.
        client.send(&ask.mock("latency-ms", 2_000).bytes(&org.token)).await;
        client
    });
    let mut clients = join_all(sending).await;
    house.reached(20).await;
    cluster.kill().await.unwrap();
    let running = house.gateways.pop().unwrap();
    running.stop.cancel();
    // The clients are told that the end of their calls could not be written.
    for answer in join_all(clients.iter_mut().map(Client::answer)).await {
        let answer = answer.unwrap();
        assert!(answer.status == 503 || answer.ends_in_error(), "{}", answer.text());
    }
    assert!(!running.task.is_finished(), "ends that are not written are given up");
    cluster.restart().await.unwrap();
    assert_eq!(running.task.await.unwrap().cut, 0);
    house.admin = house.stranger().await;
    // All there is by the end of the gateway: nobody else writes it.
    let rows = house.rows().await;
    assert_eq!(rows.len(), 20);
    assert!(rows.iter().all(says_withheld), "{rows:?}");
    house.close().await;
}

/// Whether the row says that the client got a refusal, or an error event, in place of the end of its answer.
fn says_withheld(row: &Row) -> bool {
    (row.ending.as_str(), row.status) == ("failed", if row.stream { 200 } else { 503 })
}

/// Takes a function away, as where the migration that brings it is missing, or brings it back. Connections that know it
/// from before are cut.
async fn takes_away(house: &House, function: &str, away: bool) {
    let (from, to) = (function.to_owned(), format!("{function}_of_another_version"));
    let (from, to) = if away { (from, to) } else { (to, from) };
    let sql = format!(
        "do $$ declare signature text; begin
           select p.oid::regprocedure into strict signature from pg_proc p
             where proname = '{from}' and pronamespace = 'tollgate'::regnamespace;
           execute format('alter function %s rename to {to}', signature);
           perform pg_terminate_backend(pid, 10000) from pg_stat_activity
             where datname = current_database() and usename = 'tollgate_login';
         end $$"
    );
    house.admin.batch_execute(&sql).await.unwrap();
}

#[tokio::test]
async fn without_a_migration_calls_are_refused_before_the_provider_and_go_on_with_it() {
    let house = House::open().await;
    let org = house.organization(RICH).await;
    assert_eq!(house.ask(&org, &Ask::chat()).await.status, 200);
    takes_away(&house, "hold", true).await;
    for dialect in BOTH {
        for ask in [Ask::of(dialect), Ask::of(dialect).streamed()] {
            assert_unavailable(&house, &org, &ask).await;
        }
    }
    assert_eq!(house.mock.served_total().calls, 1, "nothing is sent upstream without a hold");
    takes_away(&house, "hold", false).await;
    until("calls go on", async || house.ask(&org, &Ask::chat()).await.status == 200).await;
    house.check().await;
    house.close().await;
}

#[tokio::test]
async fn an_end_that_a_missing_migration_keeps_from_the_books_is_written_with_it() {
    let house = House::open().await;
    let org = house.organization(RICH).await;
    let [mut one, mut other] = [house.client().await, house.client().await];
    takes_away(&house, "finish", true).await;
    one.send(&Ask::chat().bytes(&org.token)).await;
    other.send(&Ask::chat().streamed().bytes(&org.token)).await;
    let (json, stream) = tokio::join!(one.answer(), other.answer());
    let (json, stream) = (json.unwrap(), stream.unwrap());
    assert_eq!(json.status, 503, "{}", json.text());
    assert!(stream.status == 200 && stream.ends_in_error() && !stream.has_end());
    assert_eq!(house.mock.served_total().completed, 2);
    assert!(house.rows().await.is_empty());
    takes_away(&house, "finish", false).await;
    let rows = house.check().await;
    assert!(rows.len() == 2 && rows.iter().all(says_withheld), "{rows:?}");
    assert_eq!(house.ask(&org, &Ask::chat()).await.status, 200);
    house.close().await;
}

/// Answers 503 within the bound, with a time to come back.
async fn assert_unavailable(house: &House, org: &Org, ask: &Ask) {
    let asked = Instant::now();
    let answer = house.ask(org, ask).await;
    assert_eq!(answer.status, 503, "{}", answer.text());
    let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&wait));
    // One waits two seconds for a lock, and the other some tenths for a connection: nobody as long as for a statement.
    assert!(asked.elapsed() < Duration::from_secs(20), "{:?}", asked.elapsed());
}

#[tokio::test]
async fn a_pool_without_a_free_connection_refuses_in_time_and_recovers() {
    let wait = Duration::from_millis(200);
    let house = House::with(Setup { connections: 1, wait, ..Setup::default() }).await;
    let org = house.organization(RICH).await;
    assert_eq!(house.ask(&org, &Ask::chat()).await.status, 200);
    let stranger = house.stranger().await;
    stranger.batch_execute("begin; select from tollgate.credit_balances for update").await.unwrap();
    // One waits for the lock, the others for its connection.
    let asks = (0..6).map(|number| Ask { stream: number % 2 == 0, ..Ask::of(BOTH[number % 2]) });
    join_all(asks.map(async |ask| assert_unavailable(&house, &org, &ask).await)).await;
    assert_eq!(house.mock.served_total().calls, 1, "nothing is sent upstream without a hold");
    stranger.batch_execute("rollback").await.unwrap();
    until("calls pass again", async || house.ask(&org, &Ask::chat()).await.status == 200).await;
    assert_eq!(house.ask(&org, &Ask::chat().streamed()).await.status, 200);
    house.close().await;
}

#[tokio::test]
async fn an_answer_whose_end_cannot_be_written_is_withheld_and_written_later() {
    let house = House::open().await;
    let org = house.organization(RICH).await;
    let stranger = house.stranger().await;
    // Holds do not look at it, ends are written to it.
    stranger.batch_execute("begin; lock table tollgate.usage in share mode").await.unwrap();
    let asks = [Ask::chat(), Ask::chat().streamed()];
    let [mut one, mut other] = [house.client().await, house.client().await];
    one.send(&asks[0].bytes(&org.token)).await;
    other.send(&asks[1].bytes(&org.token)).await;
    let (json, stream) = tokio::join!(one.answer(), other.answer());
    let (json, stream) = (json.unwrap(), stream.unwrap());
    assert_eq!(json.status, 503);
    assert!(!json.text().contains("walnut"), "an answer that is not in the books is not given");
    assert!(stream.status == 200 && stream.ends_in_error() && !stream.has_end());
    assert_eq!(house.mock.served_total().completed, 2);
    assert!(house.rows().await.is_empty());
    stranger.batch_execute("rollback").await.unwrap();
    let rows = house.check().await;
    assert!(rows.len() == 2 && rows.iter().all(says_withheld), "{rows:?}");
    house.close().await;
}
