//! Gateways that are told to stop.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::timeout;
use tollgate::{
    domain::policy::{Disconnect, Policy},
    gateway::config::Server,
};

use super::{
    harness::{Answer, Ask, BOTH, Client, DEADLINE, House, Org, RICH, Setup, cost, until},
    providers::{counted, input_of_begun},
};

/// Clients whose stream has begun.
async fn begun(house: &House, org: &Org, count: usize, ask: impl Fn(Ask) -> Ask) -> Vec<Client> {
    let clients = (0..count).map(async |number| {
        let mut client = house.client().await;
        client.send(&ask(Ask::of(BOTH[number % 2]).streamed()).bytes(&org.token)).await;
        client
    });
    let clients = join_all(clients).await;
    house.reached(u64::try_from(count).unwrap()).await;
    clients
}

async fn answers(clients: Vec<Client>) -> Vec<Answer> {
    let reading = clients.into_iter().map(async |mut client| client.answer().await.unwrap());
    join_all(reading).await
}

#[tokio::test]
async fn calls_that_were_taken_end_in_order_before_the_gateway_does() {
    let mut house = House::open().await;
    let org = house.organization(RICH).await;
    // So long that a busy machine gets to all of it before they end.
    let clients = begun(&house, &org, 20, |ask| ask.mock("chunk-delay-ms", 500)).await;
    let running = house.gateways.pop().unwrap();
    running.stop.cancel();
    until("new connections are refused", async || Client::try_open(running.address).await.is_err())
        .await;
    assert!(!running.task.is_finished(), "open calls are not waited for");
    for answer in answers(clients).await {
        assert!(answer.status == 200 && answer.has_end(), "{}", answer.text());
    }
    assert_eq!(running.task.await.unwrap().cut, 0);
    // Nothing is left to be written once it has ended.
    let rows = house.rows().await;
    assert_eq!(rows.len(), 20);
    assert!(rows.iter().all(|row| row.ending == "complete" && row.charged == cost(&row.served)));
    house.close().await;
}

/// Streams that would never end, and a grace that does. Returns once the gateway has ended.
async fn cut(policy: Policy) -> House {
    let shutdown_grace = Duration::from_millis(100);
    // Far less than the provider is given. Half of it is for answers that are read on; the other half is enough to write
    // ten rows.
    let (finish_grace, idle_timeout) = (Duration::from_secs(6), 10 * DEADLINE);
    let server = Server { shutdown_grace, finish_grace, ..Server::default() };
    let mut house = House::with(Setup { server, idle_timeout, ..Setup::default() }).await;
    let org = house.organization_with(RICH, policy).await;
    let mut clients = begun(&house, &org, 10, |ask| ask.mock("hang", "body")).await;
    for client in &mut clients {
        for _word in 0..16 {
            client.read_to(b"walnut").await;
        }
    }
    let running = house.gateways.pop().unwrap();
    running.stop.cancel();
    let stopped = timeout(DEADLINE, running.task).await.expect("it ends").unwrap();
    assert_eq!(stopped.cut, 10);
    for mut client in clients {
        client.drain().await;
    }
    let rows = house.rows().await;
    assert_eq!(rows.len(), 10, "what was delivered is written before the gateway ends");
    for row in rows {
        assert_eq!((row.ending.as_str(), row.estimated), ("abandoned", true), "{row:?}");
        // Which dialect it was is not in the row.
        let seen = BOTH.map(|dialect| counted(input_of_begun(dialect, &row), 16));
        assert!(seen.contains(&row.charged), "{seen:?} {row:?}");
    }
    house
}

#[tokio::test]
async fn a_grace_that_is_over_cuts_the_streams_and_settles_what_was_delivered() {
    cut(Policy { disconnect: Disconnect::Cancel, ..Policy::default() }).await.close().await;
}

#[tokio::test]
async fn a_gateway_that_ends_does_not_wait_for_answers_that_never_end_without_their_client() {
    cut(Policy::default()).await.close().await;
}

#[tokio::test]
async fn an_answer_that_is_read_on_without_its_client_may_end_within_the_grace() {
    let server = Server { shutdown_grace: Duration::from_millis(10), ..Server::default() };
    let mut house = House::with(Setup { server, ..Setup::default() }).await;
    let org = house.organization(RICH).await;
    let clients = begun(&house, &org, 6, |ask| ask.mock("chunk-delay-ms", 100)).await;
    clients.into_iter().for_each(Client::reset);
    let running = house.gateways.pop().unwrap();
    running.stop.cancel();
    running.task.await.unwrap();
    let rows = house.rows().await;
    assert_eq!(rows.len(), 6);
    assert!(rows.iter().all(|row| row.charged == cost(&row.served) && !row.estimated), "{rows:?}");
    assert!(rows.iter().all(|row| row.ending == "abandoned"), "{rows:?}");
    house.close().await;
}
