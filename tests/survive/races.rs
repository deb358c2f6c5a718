//! More calls at once than the money is for.

use std::num::NonZeroU32;

use futures_util::future::join_all;
use tollgate::{
    domain::policy::{Budgets, Disconnect, Policy, Rates},
    gateway::config::Server,
    provider::mock::Served,
};

use crate::harness::{Answer, Ask, Client, House, Org, RICH, Setup, cost, plain_cost, until};

/// Sends all calls at once, spread over all gateways, each on a connection of its own.
async fn all_at_once(house: &House, org: &Org, ask: &Ask, calls: usize) -> Vec<Answer> {
    let opening = (0..calls).map(|number| {
        let gateway = &house.gateways[number % house.gateways.len()];
        Client::open(gateway.address)
    });
    let asking = join_all(opening).await.into_iter().map(async |mut client| {
        client.send(&ask.bytes(&org.token)).await;
        client.answer().await.unwrap()
    });
    join_all(asking).await
}

/// How many passed; all others were refused with this.
fn passed(answers: &[Answer], refusal: u16) -> usize {
    let (passed, others): (Vec<_>, Vec<_>) =
        answers.iter().partition(|answer| answer.status == 200);
    for other in others {
        assert_eq!(other.status, refusal, "{}", other.text());
    }
    passed.len()
}

/// A call that costs exactly what is held for it, and how much that is.
async fn exact(house: &House) -> (Ask, i64) {
    let org = house.organization(RICH).await;
    let ask = Ask::chat().at_most(10).mock("output-tokens", 10);
    assert_eq!(house.ask(&org, &ask).await.status, 200);
    let held = house.check().await.pop().unwrap().held;
    // The dearest class that input could be is one that writes to the cache.
    let input = (held - plain_cost(0, 10)) / cost_of_cache_write();
    let ask = ask.mock("input-tokens", input).mock("cache-write-tokens", input);
    assert_eq!(house.ask(&org, &ask).await.status, 200);
    let row = house.check().await.pop().unwrap();
    assert_eq!(row.charged, cost(&row.served));
    (ask, held)
}

fn cost_of_cache_write() -> i64 {
    cost(&Served { input_tokens: 1, cache_write_tokens: 1, ..Served::default() })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn credits_for_fifty_calls_let_fifty_of_five_hundred_pass_through_two_gateways() {
    let mut house = House::open().await;
    house.start().await;
    let (ask, held) = exact(&house).await;
    let before = house.rows().await;
    let each = before.last().unwrap().charged;
    let org = house.organization(50 * held).await;
    let answers = all_at_once(&house, &org, &ask, 500).await;
    let rows = house.check().await;
    assert_eq!(rows.len() - before.len(), passed(&answers, 402));
    // Fifty holds fit; what their rounding gives back is less than one more.
    assert!(50 * (held - each) < held);
    assert_eq!(rows.len() - before.len(), 50);
    assert_eq!(house.balance(&org).await, (50 * (held - each), 0, 0));
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn however_calls_overlap_they_never_cost_more_than_there_is() {
    let mut house = House::open().await;
    house.start().await;
    let org = house.organization(3_000_000).await;
    let ask = Ask::chat().streamed().mock("chunk-delay-ms", 1);
    let answers = all_at_once(&house, &org, &ask, 200).await;
    let rows = house.check().await;
    let charged: i64 = rows.iter().map(|row| row.charged).sum();
    assert_eq!(rows.len(), passed(&answers, 402));
    assert!(rows.iter().all(|row| row.debt == 0));
    assert_eq!(house.balance(&org).await, (3_000_000 - charged, 0, 0));
    // Refused only while the free balance really did not cover a hold.
    assert!(!rows.is_empty() && 3_000_000 - charged >= 0);
    let lowest = house.count("select min(posted_after - held_after) from tollgate.credit_ledger");
    assert!(lowest.await >= 0);
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_budget_holds_across_gateways_for_callers_never_seen_before() {
    let mut house = House::open().await;
    house.start().await;
    let daily_tokens = Some(3_000);
    let policy =
        Policy { budgets: Budgets { daily_tokens, ..Budgets::default() }, ..Policy::default() };
    let org = house.organization_with(RICH, policy).await;
    let answers = all_at_once(&house, &org, &Ask::chat(), 100).await;
    let rows = house.check().await;
    assert_eq!(rows.len(), passed(&answers, 429));
    let tokens: u64 =
        rows.iter().map(|row| row.served.input_tokens + row.served.output_tokens).sum();
    assert!((1..=3_000).contains(&tokens), "{tokens}");
    for refused in answers.iter().filter(|answer| answer.status == 429) {
        assert_eq!(refused.json()["error"]["code"], "budget_exceeded");
        assert!(refused.header("retry-after").is_some());
    }
    house.close().await;
}

#[tokio::test]
async fn more_calls_than_the_gateway_has_places_for_are_refused_before_they_hold_anything() {
    let server = Server { calls_in_flight_max: 3, ..Server::default() };
    let house = House::with(Setup { server, ..Setup::default() }).await;
    let org = house.organization(RICH).await;
    let slow = Ask::chat().streamed().mock("chunk-delay-ms", 300);
    let answers = all_at_once(&house, &org, &slow, 10).await;
    assert_eq!(passed(&answers, 503), 3);
    assert_eq!(house.check().await.len(), 3);
    let held = "select count(*) from tollgate.credit_ledger where kind = 'hold'";
    assert_eq!(house.count(held).await, 3);
    assert_eq!(house.ask(&org, &Ask::chat()).await.status, 200);
    house.close().await;
}

#[tokio::test]
async fn a_call_is_in_flight_until_its_body_ends() {
    let house = House::open().await;
    let rates = Rates { calls_in_flight: NonZeroU32::new(3), ..Rates::default() };
    let disconnect = Disconnect::Cancel;
    let policy = Policy { rates, disconnect, ..Policy::default() };
    let org = house.organization_with(RICH, policy).await;
    let slow = Ask::chat().streamed().mock("chunk-delay-ms", 60_000);
    let mut open = Vec::new();
    for _ in 0..3 {
        let mut client = house.client().await;
        client.send(&slow.bytes(&org.token)).await;
        assert_eq!(client.head().await.unwrap().status, 200);
        open.push(client);
    }
    assert_eq!(house.ask(&org, &Ask::chat()).await.status, 429);
    assert_eq!(house.mock.served_total().calls, 3);
    open.pop().unwrap().reset();
    until("there is a place again", async || house.ask(&org, &Ask::chat()).await.status == 200)
        .await;
    open.into_iter().for_each(Client::reset);
    house.close().await;
}
