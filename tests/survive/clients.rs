//! Clients that leave.
//!
//! `TOLLGATE_LEAVING_CLIENTS` sets how many clients leave at a random byte, in each way of leaving.

use std::collections::HashMap;

use futures_util::future::join_all;
use tollgate::domain::{
    dialect::Dialect,
    policy::{Disconnect, Policy},
};

use super::{
    harness::{Ask, BOTH, Client, DEADLINE, Dice, House, Org, RICH, Row, Setup, cost},
    providers::{COUNTED_INPUT, counted},
};

/// How many clients are there at once.
const TOGETHER: usize = 250;
const LAST_CHUNK: &[u8] = b"\r\n0\r\n\r\n";
const GOINGS: [Going; 2] = [Going::Leaving, Going::Reset];

fn cancelling() -> Policy {
    Policy { disconnect: Disconnect::Cancel, ..Policy::default() }
}

/// How a client goes.
#[derive(Clone, Copy, Debug)]
enum Going {
    Leaving,
    Reset,
}

impl Going {
    async fn go(self, client: Client) {
        match self {
            Self::Leaving => client.leave().await,
            Self::Reset => client.reset(),
        }
    }
}

fn words(bytes: &[u8]) -> i64 {
    i64::try_from(bytes.windows(6).filter(|word| word == b"walnut").count()).unwrap()
}

fn leaving() -> usize {
    std::env::var("TOLLGATE_LEAVING_CLIENTS").map_or(200, |clients| clients.parse().unwrap())
}

/// Clients that leave after any number of bytes; returns how many words each has seen. They give their calls their
/// numbers as names.
async fn leave_at_any_byte(house: &House, org: &Org, clients: usize, dice: &mut Dice) -> Vec<i64> {
    let asks = BOTH.map(|dialect| {
        let ask = Ask::of(dialect).streamed().mock("output-tokens", 40).mock("chunks", 20);
        ask.mock("chunk-delay-ms", 1)
    });
    let mut lengths = [0; 2];
    for (length, ask) in lengths.iter_mut().zip(&asks) {
        let mut client = house.client().await;
        // As long as the names of the others, which are sent back.
        client.send(&ask.clone().header("x-request-id", "none").bytes(&org.token)).await;
        *length = client.read_to(LAST_CHUNK).await.len();
    }
    let mut all_seen = Vec::new();
    while all_seen.len() < clients {
        let first = all_seen.len();
        let leaving = (first..clients.min(first + TOGETHER)).map(|number| {
            let dialect = number % 2;
            // Also within the head, and within the frames around the chunks.
            let count = dice.below(lengths[dialect] + 1);
            let going = GOINGS[dice.below(2)];
            let ask = asks[dialect].clone().header("x-request-id", format!("{number:04}"));
            let request = ask.bytes(&org.token);
            async move {
                let mut client = house.client().await;
                client.send(&request).await;
                let seen = words(&client.read(count).await);
                going.go(client).await;
                seen
            }
        });
        all_seen.extend(join_all(leaving).await);
    }
    all_seen
}

/// The one row of each client's call, by the client's number; none where it left before the provider was asked.
async fn by_client(house: &House, rows: Vec<Row>) -> HashMap<usize, Row> {
    let named = "select client_request_id, request_id from tollgate.usage";
    let named: HashMap<uuid::Uuid, String> = {
        let found = house.admin.query(named, &[]).await.unwrap();
        found.iter().map(|row| (row.get(1), row.get(0))).collect()
    };
    let mut found = HashMap::new();
    for row in rows {
        if let Ok(client) = named[&row.request].parse() {
            assert_eq!(found.insert(client, row), None, "client {client} is settled twice");
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_leaves_at_any_byte_pays_what_the_provider_did() {
    leave_and_pay(Policy::default(), 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_leaves_at_any_byte_pays_as_much_where_the_policy_says_cancel() {
    leave_and_pay(cancelling(), 2).await;
}

async fn leave_and_pay(policy: Policy, number: u64) {
    let mut house = House::open().await;
    let org = house.organization_with(RICH, policy).await;
    let seen = leave_at_any_byte(&house, &org, leaving(), &mut Dice::new(number)).await;
    // One that read nothing at all may be gone before the provider is asked.
    house.some_unserved = true;
    let rows = by_client(&house, house.check().await).await;
    for row in rows.values().filter(|row| row.served.calls == 1) {
        assert!(!row.estimated && row.served.completed == 1, "read on to the end: {row:?}");
        assert_eq!(row.charged, cost(&row.served), "{row:?}");
    }
    for (client, words) in seen.iter().enumerate().filter(|(_, words)| **words > 0) {
        let output = i64::try_from(rows[&client].served.output_tokens).unwrap();
        assert!(output >= *words, "{words} words: {:?}", rows[&client]);
    }
    assert_many_left(&rows);
    house.close().await;
}

/// So many left before the end that it says something.
fn assert_many_left(rows: &HashMap<usize, Row>) {
    let abandoned = rows.values().filter(|row| row.ending == "abandoned").count();
    assert!(abandoned > leaving() / 4, "only {abandoned} clients left before the end");
}

#[tokio::test]
async fn a_provider_that_hangs_without_a_client_is_given_up() {
    // The provider would go on for ever: only the call's own end lets this pass.
    let (head_timeout, idle_timeout) = (10 * DEADLINE, 10 * DEADLINE);
    let house = House::with(Setup { head_timeout, idle_timeout, ..Setup::giving_up() }).await;
    let org = house.organization_with(RICH, cancelling()).await;
    for (number, going) in (1..).zip(GOINGS) {
        for (half, hang) in [(0, "head"), (1, "body")] {
            let ask = Ask::chat().streamed().mock("output-tokens", 8).mock("hang", hang);
            let mut client = house.client().await;
            client.send(&ask.bytes(&org.token)).await;
            if hang == "body" {
                for _chunk in 0..4 {
                    client.read_to(b"walnut walnut\"}").await;
                }
            }
            house.reached(2 * number - 1 + half).await;
            going.go(client).await;
            let rows = house.check().await;
            let row = rows.last().unwrap();
            assert_eq!((row.ending.as_str(), row.estimated), ("abandoned", true), "{row:?}");
            let seen = if hang == "body" {
                counted(COUNTED_INPUT, 8)
            } else {
                // Nobody knows what it has done.
                assert!(row.clamped, "{row:?}");
                row.held
            };
            assert_eq!(row.charged, seen, "{row:?}");
        }
    }
    house.close().await;
}

#[tokio::test]
async fn a_client_that_leaves_before_the_head_pays_the_providers_true_usage() {
    let house = House::open().await;
    let org = house.organization(RICH).await;
    let mut number = 0;
    for dialect in BOTH {
        for stream in [false, true] {
            for going in GOINGS {
                let ask = Ask { stream, ..Ask::of(dialect) };
                let ask = ask.mock("latency-ms", 150).mock("output-tokens", 21);
                let mut client = house.client().await;
                client.send(&ask.bytes(&org.token)).await;
                number += 1;
                house.reached(number).await;
                going.go(client).await;
            }
        }
    }
    let rows = house.check().await;
    assert_eq!(rows.len(), 8);
    for row in rows {
        assert_eq!((row.ending.as_str(), row.estimated), ("abandoned", false), "{row:?}");
        assert_eq!((row.charged, row.served.output_tokens), (cost(&row.served), 21), "{row:?}");
    }
    house.close().await;
}

#[tokio::test]
async fn what_a_client_that_has_its_last_byte_does_next_changes_nothing() {
    let house = House::open().await;
    for policy in [Policy::default(), cancelling()] {
        let org = house.organization_with(RICH, policy).await;
        for dialect in BOTH {
            for going in GOINGS {
                let mut client = house.client().await;
                client.send(&Ask::of(dialect).streamed().bytes(&org.token)).await;
                let end: &[u8] = match dialect {
                    Dialect::OpenAi => b"[DONE]\n\n",
                    Dialect::Anthropic => b"\"message_stop\"}\n\n",
                };
                client.read_to(end).await;
                // The last event is let go when the books have it, not before.
                let rows = house.rows().await;
                let row = rows.last().unwrap();
                assert_eq!((row.ending.as_str(), row.charged), ("complete", cost(&row.served)));
                going.go(client).await;
            }
        }
    }
    assert_eq!(house.check().await.len(), 8);
    house.close().await;
}

#[tokio::test]
async fn one_client_that_resets_does_not_disturb_the_others() {
    let house = House::open().await;
    let org = house.organization(RICH).await;
    let staying = (0..10).map(async |number| {
        let word = format!("walnut{number}");
        let ask = Ask::chat().streamed().saying(&word).mock("chunk-delay-ms", 10);
        let answer = house.ask(&org, &ask).await;
        assert!(answer.has_end() && answer.text().contains(&word), "{}", answer.text());
    });
    let leaving = (0..10).map(async |_| {
        let ask = Ask::chat().streamed().mock("chunk-delay-ms", 10);
        let mut client = house.client().await;
        client.send(&ask.bytes(&org.token)).await;
        client.read_to(b"walnut").await;
        client.reset();
    });
    tokio::join!(join_all(staying), join_all(leaving));
    let rows = house.check().await;
    assert_eq!(rows.len(), 20);
    assert!(rows.iter().all(|row| row.charged == cost(&row.served) && !row.estimated), "{rows:?}");
    house.close().await;
}
