//! Invalid and incomplete request bodies over real sockets; and answers that the client does not read to the end.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tollgate::gateway::config::Server;

use super::harness::{Ask, BOTH, Client, DEADLINE, House, Org, RICH, Setup, cost};

const HEAD: &str = "POST /v1/chat/completions HTTP/1.1\r\nhost: gateway\r\n";

/// Nothing was held, nothing went upstream, nothing was written.
async fn assert_untouched(house: &House, org: &Org) {
    assert_eq!(house.check().await, []);
    assert_eq!(house.mock.served_total().calls, 0);
    assert_eq!(house.balance(org).await, (RICH, 0, 0));
    let moved = house.count("select count(*) from tollgate.credit_ledger where kind <> 'grant'");
    assert_eq!(moved.await, 0);
}

/// As [`assert_untouched`], once the gateway has come to the end of all that it was sent.
async fn close_untouched(mut house: House, org: &Org) {
    for gateway in std::mem::take(&mut house.gateways) {
        gateway.stop.cancel();
        assert_eq!(gateway.task.await.unwrap().cut, 0, "open connections at the end of a test");
    }
    assert_untouched(&house, org).await;
    house.close().await;
}

async fn raw(house: &House, org: &Org, headers: &str, body: &[u8]) -> u16 {
    let mut client = house.client().await;
    let authorization = format!("authorization: Bearer {}\r\n", org.token);
    let head = format!("{HEAD}{authorization}content-type: application/json\r\n{headers}\r\n");
    client.send(head.as_bytes()).await;
    // An early answer is an answer, even if the rest is not taken any more.
    drop(client.try_send(body).await);
    client.answer().await.expect("an answer").status
}

fn length(body: &[u8]) -> String {
    format!("content-length: {}\r\n", body.len())
}

#[tokio::test]
async fn a_body_that_is_no_call_is_refused_and_holds_nothing() {
    let house = House::open().await;
    let org = house.organization(RICH).await;
    let call = Ask::chat().body();
    let doubled = call.replacen('{', r#"{"model":"small","#, 1);
    let nested = call.replace(r#""role":"user""#, r#""role":"user","role":"system""#);
    let mut bad_utf8 = call.clone().into_bytes();
    let at = call.find("walnut").unwrap();
    bad_utf8[at] = 0xff;
    let truncated = &call.as_bytes()[..call.len() - 1];
    for (what, body) in [
        ("two models", doubled.as_bytes()),
        ("two roles", nested.as_bytes()),
        ("not UTF-8", &bad_utf8),
        ("cut off", truncated),
        ("nothing", b""),
        ("no object", b"[]"),
        ("trailing", &[call.as_bytes(), b"{}"].concat()),
        ("no model", br#"{"messages":[]}"#),
        ("deep", &[b"[".repeat(100_000), b"]".repeat(100_000)].concat()),
    ] {
        assert_eq!(raw(&house, &org, &length(body), body).await, 400, "{what}");
    }
    let gzip = length(call.as_bytes()) + "content-encoding: gzip\r\n";
    assert_eq!(raw(&house, &org, &gzip, call.as_bytes()).await, 400);
    close_untouched(house, &org).await;
}

#[tokio::test]
async fn a_body_that_breaks_off_holds_nothing() {
    let house = House::open().await;
    let org = house.organization(RICH).await;
    let body = Ask::chat().body();
    let head = Ask::chat().head(&org.token, body.len() + 10);
    for part in [0, 1, body.len()] {
        let begin = async || {
            let mut client = house.client().await;
            client.send(head.as_bytes()).await;
            client.send(&body.as_bytes()[..part]).await;
            client
        };
        begin().await.leave().await;
        begin().await.reset();
    }
    close_untouched(house, &org).await;
}

#[tokio::test]
async fn a_client_that_stalls_in_its_body_is_not_waited_for() {
    let body_read_timeout = Duration::from_millis(200);
    // The connection itself would be given up later than this test is.
    let server =
        Server { body_read_timeout, header_read_timeout: 10 * DEADLINE, ..Server::default() };
    let house = House::with(Setup { server, ..Setup::default() }).await;
    let org = house.organization(RICH).await;
    for ask in BOTH.map(Ask::of) {
        let mut client = house.client().await;
        client.send(ask.head(&org.token, 1_000).as_bytes()).await;
        client.send(b"{").await;
        let answer = client.answer().await.unwrap();
        assert_eq!(
            (answer.status, answer.json()["error"]["code"].as_str()),
            (408, Some("request_timeout"))
        );
        // What would come now is nobody's: the connection is closed.
        client.drain().await;
    }
    close_untouched(house, &org).await;
}

#[tokio::test]
async fn chunks_that_are_none_hold_nothing() {
    let house = House::open().await;
    let org = house.organization(RICH).await;
    let broken_off = "5\r\n{\"mod";
    for garbage in ["walnut\r\n", "fffffffffffffffff\r\n", "-1\r\n\r\n", "\0\r\n", broken_off] {
        let mut client = house.client().await;
        let head = Ask::chat().head(&org.token, 0);
        let head = head.replace("content-length: 0", "transfer-encoding: chunked");
        client.send(head.as_bytes()).await;
        drop(client.try_send(garbage.as_bytes()).await);
        if garbage != broken_off {
            assert_eq!(client.answer().await.unwrap().status, 400, "{garbage:?}");
        }
        client.leave().await;
    }
    close_untouched(house, &org).await;
}

#[tokio::test]
async fn two_lengths_or_a_length_and_chunks_are_never_a_call_of_two_readings() {
    let house = House::open().await;
    let org = house.organization(RICH).await;
    let body = Ask::chat().body();
    for lengths in [
        format!("content-length: {}\r\ncontent-length: 5\r\n", body.len()),
        "content-length: walnut\r\n".to_owned(),
        "content-length: +5\r\n".to_owned(),
        "transfer-encoding: gzip\r\n".to_owned(),
    ] {
        let status = raw(&house, &org, &lengths, body.as_bytes()).await;
        assert_eq!(status, 400, "{lengths}");
    }
    close_untouched(house, &org).await;
}

#[tokio::test]
async fn a_body_that_is_too_long_is_refused_by_its_declared_length_or_at_the_limit() {
    let server = Server { body_bytes_max: 10_000, ..Server::default() };
    let house = House::with(Setup { server, ..Setup::default() }).await;
    let org = house.organization(RICH).await;
    let long = Ask::chat().saying("x".repeat(20_000));
    // Declared: refused before a byte of it is sent.
    let mut client = house.client().await;
    client.send(long.head(&org.token, long.body().len()).as_bytes()).await;
    assert_eq!(client.answer().await.unwrap().status, 413);
    drop(client);
    // Not declared: refused at the limit.
    let chunks = format!("{:x}\r\n{}\r\n0\r\n\r\n", long.body().len(), long.body());
    let status = raw(&house, &org, "transfer-encoding: chunked\r\n", chunks.as_bytes()).await;
    assert_eq!(status, 413);
    assert_untouched(&house, &org).await;
    // At the limit it is a call.
    let rest = 10_000 - Ask::chat().saying("").body().len();
    let fits = Ask::chat().saying("x".repeat(rest));
    assert_eq!(fits.body().len(), 10_000);
    assert_eq!(house.ask(&org, &fits).await.status, 200);
    house.close().await;
}

#[tokio::test]
async fn a_client_that_sends_everything_before_it_reads_still_learns_why_it_is_refused() {
    let house = House::open().await;
    let org = house.organization(RICH).await;
    let nobody = Org { token: "no.such.token".into(), ..org.clone() };
    let [middling, long] = [1 << 20, 16 << 20].map(|size| Ask::chat().saying("x".repeat(size)));
    for (who, ask, status) in [(&nobody, &middling, 401), (&nobody, &long, 401), (&org, &long, 413)]
    {
        let request = ask.bytes(&who.token);
        for _ in 0..3 {
            let mut client = house.client().await;
            let (mut reading, mut writing) = client.split();
            // As the vendors' libraries do: what cannot be written is no reason not to read.
            drop(writing.write_all(&request).await);
            let mut answer = Vec::new();
            drop(reading.read_to_end(&mut answer).await);
            let answer = String::from_utf8_lossy(&answer);
            assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{status}: {answer:?}");
        }
    }
    close_untouched(house, &org).await;
}

#[tokio::test]
async fn a_client_that_asks_before_it_sends_its_body_is_told_to_go_on_or_not() {
    let server = Server { body_bytes_max: 10_000, ..Server::default() };
    let house = House::with(Setup { server, ..Setup::default() }).await;
    let org = house.organization(RICH).await;
    let ask = Ask::chat().header("expect", "100-continue");
    let mut client = house.client().await;
    client.send(ask.head(&org.token, ask.body().len()).as_bytes()).await;
    assert_eq!(client.head().await.unwrap().status, 100);
    client.send(ask.body().as_bytes()).await;
    assert_eq!(client.answer().await.unwrap().status, 200);
    drop(client);
    let mut client = house.client().await;
    client.send(ask.head(&org.token, 20_000).as_bytes()).await;
    assert_eq!(client.answer().await.unwrap().status, 413);
    drop(client);
    assert_eq!(house.check().await.len(), 1);
    house.close().await;
}

#[tokio::test]
async fn a_client_that_reads_exactly_the_declared_length_has_a_call_that_is_written() {
    let house = House::open().await;
    let org = house.organization(RICH).await;
    let mut client = house.client().await;
    for calls in 1..=3 {
        client.send(&Ask::chat().bytes(&org.token)).await;
        let answer = client.answer().await.unwrap();
        assert_eq!(answer.status, 200);
        assert!(answer.header("content-length").is_some());
        // The connection stays open, and not a byte more is asked for.
        assert_eq!(house.rows().await.len(), calls);
    }
    assert_eq!(house.check().await.len(), 3);
    drop(client);
    house.close().await;
}

#[tokio::test]
async fn a_client_that_reads_nothing_of_its_answer_has_a_call_that_is_written() {
    let house = House::open().await;
    let org = house.organization(RICH).await;
    // More than the kernel takes off the gateway's hands.
    let long = Ask::chat().at_most(10_000).field("n", 128).mock("output-tokens", 10_000);
    let mut clients = Vec::new();
    for number in 1..=2 {
        let mut client = Client::narrow(house.address()).await;
        client.send(&long.bytes(&org.token)).await;
        house.reached(number).await;
        clients.push(client);
    }
    let rows = house.check().await;
    assert_eq!(rows.len(), 2);
    for row in rows {
        assert_eq!((row.ending.as_str(), row.charged), ("complete", cost(&row.served)));
    }
    clients.into_iter().for_each(Client::reset);
    house.close().await;
}

#[tokio::test]
async fn two_calls_sent_at_once_on_one_connection_are_two_calls() {
    let house = House::open().await;
    let org = house.organization(RICH).await;
    let (one, other) = (Ask::chat().saying("almond"), Ask::chat().streamed().saying("pecan"));
    let mut client = house.client().await;
    client.send(&[one.bytes(&org.token), other.bytes(&org.token)].concat()).await;
    let first = client.answer().await.unwrap();
    assert!(first.status == 200 && first.text().contains("almond"), "{}", first.text());
    let second = client.answer().await.unwrap();
    assert!(second.status == 200 && second.has_end() && second.text().contains("pecan"));
    assert_eq!(house.check().await.len(), 2);
    drop(client);
    house.close().await;
}

#[tokio::test]
async fn calls_under_one_request_id_of_the_callers_are_each_paid() {
    let house = House::open().await;
    let (org, other) = (house.organization(RICH).await, house.organization(RICH).await);
    let ask = Ask::chat().header("x-request-id", "mine");
    let calls = [&org, &other].repeat(10);
    join_all(calls.into_iter().map(async |org| {
        let answer = house.ask(org, &ask).await;
        assert_eq!((answer.status, answer.header("x-request-id")), (200, Some("mine")));
    }))
    .await;
    assert_eq!(house.check().await.len(), 20);
    house.close().await;
}

#[tokio::test]
async fn what_a_client_says_about_its_organization_changes_nothing() {
    let house = House::open().await;
    let (org, other) = (house.organization(RICH).await, house.organization(RICH).await);
    let mut ask = Ask::chat();
    ask.query = "?organization_id=other&tenant_id=other";
    for name in [
        "x-organization-id",
        "organization_id",
        "x-tenant-id",
        "x-tollgate-organization-id",
        "openai-organization",
        "anthropic-organization-id",
        "x-user-id",
        "x-role",
        "x-forwarded-user",
    ] {
        ask = ask.header(name, other.id);
    }
    ask = ask.field("user", other.id.to_string());
    ask = ask.field("metadata", json!({"organization_id": other.id}));
    assert_eq!(house.ask(&org, &ask).await.status, 200);
    let refused = house.ask(&org, &ask.field("organization_id", other.id.to_string())).await;
    assert_eq!(refused.status, 400);
    assert!(refused.text().contains(r#""param":"organization_id""#), "{}", refused.text());
    let rows = house.check().await;
    assert_eq!(rows[0].organization, org.id.as_uuid());
    assert_eq!(house.balance(&other).await, (RICH, 0, 0));
    house.close().await;
}
