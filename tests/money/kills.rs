//! A gateway that is killed, or stopped for a while, at each point of a call: nobody pays twice, nothing is below zero,
//! and what was not billed is known and bounded.

use std::time::Duration;

use tollgate::gateway::config::Credit;

use crate::{
    harness::{Ask, BOTH, Client, House, Org, RICH, Setup, cost, until},
    process::Process,
};

/// Holds of a gateway that is gone come back after this time.
const TTL: Duration = Duration::from_secs(2);

/// One gateway that dies, and one that goes on.
async fn house() -> (House, Process, Org) {
    let credit = Credit { hold_ttl: TTL, ..Credit::default() };
    let mut house = House::with(Setup { credit, ..Setup::default() }).await;
    (house.some_unserved, house.some_lost) = (true, true);
    let doomed = house.start_process().await;
    let org = house.organization(RICH).await;
    (house, doomed, org)
}

async fn send(gateway: &Process, org: &Org, ask: &Ask) -> Client {
    let mut client = Client::open(gateway.address).await;
    client.send(&ask.bytes(&org.token)).await;
    client
}

/// A statement of a gateway waits for what a stranger has locked.
async fn waits(house: &House, what: &str) {
    let sql = format!(
        "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock' \
           and query like '%tollgate.{what}(%'"
    );
    until("a statement waits", async || house.count(&sql).await > 0).await;
}

/// The call is over in the books, one way or the other, and the gateway that is left serves the next one.
async fn over(house: &House, org: &Org) {
    until("nothing is held any more", async || {
        house.count("select count(*) from tollgate.credit_holds where status = 'open'").await == 0
    })
    .await;
    assert_eq!(house.ask(org, &Ask::chat()).await.status, 200);
    let charged: i64 = {
        let rows = house.check().await;
        for row in &rows {
            assert!(row.charged <= cost(&row.served).max(row.held), "{row:?}");
        }
        house.count("select coalesce(sum(charged), 0)::bigint from tollgate.credit_holds").await
    };
    let (posted, held, debt) = house.balance(org).await;
    assert_eq!((posted, held, debt), (RICH - charged, 0, 0));
}

/// What was not billed, at the most, as `reconcile` reports it.
async fn unbilled(house: &House) -> (u64, i64) {
    let books = house.operator.reconcile().await.unwrap();
    (books.expired, books.unbilled_max.nanos())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_before_its_hold_stands_a_call_costs_nothing() {
    let (house, doomed, org) = house().await;
    let stranger = house.stranger().await;
    let lock = format!(
        "begin; select from tollgate.credit_balances where organization_id = '{}' for update",
        org.id
    );
    stranger.batch_execute(&lock).await.unwrap();
    let client = send(&doomed, &org, &Ask::chat()).await;
    waits(&house, "hold").await;
    doomed.kill().await;
    drop(client);
    stranger.batch_execute("rollback").await.unwrap();
    assert_eq!(house.mock.served_total().calls, 0);
    over(&house, &org).await;
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_while_the_provider_works_a_call_costs_nothing_and_is_reported() {
    let (house, doomed, org) = house().await;
    let client = send(&doomed, &org, &Ask::chat().mock("latency-ms", 60_000)).await;
    house.reached(1).await;
    let held = house.balance(&org).await.1;
    assert!(held > 0);
    doomed.kill().await;
    drop(client);
    over(&house, &org).await;
    assert_eq!(unbilled(&house).await, (1, held));
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_in_the_middle_of_a_stream_a_call_costs_what_its_last_heartbeat_said() {
    for dialect in BOTH {
        let (house, doomed, org) = house().await;
        let ask = Ask::of(dialect).streamed().at_most(400).mock("output-tokens", 400);
        let ask = ask.mock("chunks", 400).mock("chunk-delay-ms", 25);
        let mut client = send(&doomed, &org, &ask).await;
        client.read(2_000).await;
        let seen = "select coalesce(max(used), 0)::bigint from tollgate.credit_holds";
        until("a heartbeat has told of it", async || house.count(seen).await > 0).await;
        let held = house.balance(&org).await.1;
        doomed.kill().await;
        client.drain().await;
        let heard = house.count(seen).await;
        until("the hold has expired", async || unbilled(&house).await.0 == 1).await;
        let charged = "select charged from tollgate.credit_holds where status = 'expired'";
        assert_eq!(house.count(charged).await, heard);
        assert_eq!(unbilled(&house).await, (1, held - heard));
        assert_eq!(house.balance(&org).await, (RICH - heard, 0, 0));
        over(&house, &org).await;
        house.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_between_the_providers_end_and_the_finish_or_inside_it_a_call_is_paid_once_or_expires()
 {
    for locked in [
        "lock table tollgate.usage in access exclusive mode",
        "select from tollgate.credit_balances for update",
    ] {
        let (house, doomed, org) = house().await;
        let warm = send(&doomed, &org, &Ask::chat()).await.answer().await.unwrap();
        assert_eq!(warm.status, 200);
        let stranger = house.stranger().await;
        let client = send(&doomed, &org, &Ask::chat().mock("latency-ms", 300)).await;
        house.reached(2).await;
        stranger.batch_execute(&format!("begin; {locked}")).await.unwrap();
        waits(&house, "finish").await;
        doomed.kill().await;
        drop(client);
        stranger.batch_execute("rollback").await.unwrap();
        over(&house, &org).await;
        house.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_was_stopped_for_longer_than_its_holds_stand_settles_late_and_exactly() {
    let (house, sleeper, org) = house().await;
    let ask = Ask::chat().streamed().at_most(200).mock("output-tokens", 200);
    let ask = ask.mock("chunks", 100).mock("chunk-delay-ms", 20);
    let mut client = send(&sleeper, &org, &ask).await;
    client.read(1_000).await;
    sleeper.signal("STOP");
    // The other gateway sees to it that the credits come back.
    let expired = "select count(*) from tollgate.credit_holds where status = 'expired'";
    until("the hold has expired", async || house.count(expired).await == 1).await;
    assert_eq!(house.balance(&org).await.1, 0);
    sleeper.signal("CONT");
    let answer = client.read_to(b"data: [DONE]").await;
    assert!(answer.ends_with(b"data: [DONE]"));
    let rows = house.check().await;
    let row = rows.last().unwrap();
    assert_eq!((row.charged, row.debt), (cost(&row.served), 0), "{row:?}");
    let late = "select count(*) from tollgate.credit_ledger where kind = 'late_settle'";
    assert_eq!(house.count(late).await, 1);
    assert_eq!(unbilled(&house).await, (0, 0));
    assert_eq!(house.balance(&org).await, (RICH - row.charged, 0, 0));
    sleeper.close().await;
    house.close().await;
}
