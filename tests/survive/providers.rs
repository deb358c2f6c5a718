//! Providers that refuse, fail, break off an answer, or report wrong usage.

use std::time::{Duration, Instant};

use serde_json::json;
use tollgate::domain::dialect::Dialect;

use super::harness::{
    Answer, Ask, BOTH, Client, DEADLINE, House, RICH, Row, Setup, cost, plain_cost,
};

/// Input tokens of [`Ask::of`] as they are counted where the provider reports none: two of its text, four around it.
pub(crate) const COUNTED_INPUT: u64 = 6;

/// What a call comes to of which so many words `walnut` were seen and no usage at the end: they and the spaces between
/// them are counted, four bytes a token, and what has begun has at least one.
pub(crate) fn counted(input_tokens: u64, words: u64) -> i64 {
    let text = (7 * words).saturating_sub(1);
    plain_cost(input_tokens, text.div_ceil(4).max(1))
}

/// The input tokens of a stream of [`Ask::of`] that has begun and not ended: one dialect reports them first, the
/// other last.
pub(crate) const fn input_of_begun(dialect: Dialect, row: &Row) -> u64 {
    match dialect {
        Dialect::OpenAi => COUNTED_INPUT,
        Dialect::Anthropic => row.served.input_tokens,
    }
}

/// How many words an answer has.
pub(crate) fn words(answer: &Answer) -> u64 {
    u64::try_from(String::from_utf8_lossy(&answer.body).matches("walnut").count()).unwrap()
}

/// Both dialects, streamed or not.
fn each() -> impl Iterator<Item = Ask> {
    BOTH.into_iter()
        .flat_map(|dialect| [false, true].map(|stream| Ask { stream, ..Ask::of(dialect) }))
}

/// The answer is an error document of this dialect.
fn assert_error(answer: &Answer, dialect: Dialect) {
    let document = answer.json();
    let error = &document["error"];
    assert!(error["message"].is_string() && error["type"].is_string(), "{document}");
    match dialect {
        Dialect::OpenAi => assert!(error.get("param").is_some() && error.get("code").is_some()),
        Dialect::Anthropic => assert_eq!(document["type"], "error"),
    }
    assert!(answer.header("x-request-id").is_some());
}

/// The provider may have done all that was asked for, and nobody knows.
fn assert_held(row: &Row) {
    assert_eq!(
        (row.ending.as_str(), row.released, row.clamped),
        ("failed", false, true),
        "{row:?}"
    );
    assert_eq!(row.charged, row.held, "{row:?}");
}

async fn last(house: &House) -> Row {
    house.check().await.pop().unwrap()
}

#[tokio::test]
async fn what_a_provider_refuses_costs_nothing_and_is_said_in_the_callers_dialect() {
    let house = House::open().await;
    let org = house.organization(RICH).await;
    for status in [400, 401, 403, 404, 429, 500, 503, 529] {
        for ask in each() {
            let answer = house.ask(&org, &ask.clone().mock("status", status)).await;
            // That our credential is refused is none of the caller's business.
            let expected = if matches!(status, 401 | 403) { 502 } else { status };
            assert_eq!(answer.status, expected, "{status}");
            assert_error(&answer, ask.dialect);
            let waits = matches!(status, 429 | 503 | 529);
            assert_eq!(answer.header("retry-after").is_some(), waits, "{status}");
        }
    }
    let rows = house.check().await;
    assert_eq!(rows.len(), 8 * each().count());
    for row in rows {
        assert!(row.released && row.ending == "failed", "{row:?}");
    }
    assert_eq!(house.balance(&org).await, (RICH, 0, 0));
    house.close().await;
}

#[tokio::test]
async fn an_error_page_instead_of_an_error_document_is_replaced_by_one() {
    let house = House::open().await;
    let org = house.organization(RICH).await;
    for ask in each() {
        for garbage in ["html", "true"] {
            let ask = ask.clone().mock("status", 503).mock("garbage", garbage);
            let answer = house.ask(&org, &ask).await;
            assert_eq!(answer.status, 503);
            assert_error(&answer, ask.dialect);
            assert!(!answer.text().contains("nginx"));
        }
    }
    let rows = house.check().await;
    assert_eq!(rows.len(), 2 * each().count());
    assert!(rows.iter().all(|row| row.released), "{rows:?}");
    house.close().await;
}

/// Time-outs of a provider that are not the one under test: never met.
fn patient() -> Setup {
    Setup { head_timeout: 10 * DEADLINE, idle_timeout: 10 * DEADLINE, ..Setup::default() }
}

#[tokio::test]
async fn a_provider_that_never_begins_is_timed_out() {
    let head_timeout = Duration::from_millis(200);
    let mut setup = Setup { head_timeout, ..patient() };
    // An answer that is not a stream has the time of an answer.
    setup.server.answer_timeout = Duration::from_secs(3);
    setup.server.drain_max = Setup::giving_up().server.drain_max;
    let house = House::with(setup).await;
    let org = house.organization(RICH).await;
    for ask in each() {
        let asked = Instant::now();
        let answer = house.ask(&org, &ask.clone().mock("hang", "head")).await;
        assert!(asked.elapsed() >= head_timeout, "{:?}", asked.elapsed());
        assert_eq!(answer.status, 504);
        assert_error(&answer, ask.dialect);
        assert_held(&last(&house).await);
    }
    house.close().await;
}

#[tokio::test]
async fn a_provider_that_falls_silent_in_the_middle_is_given_up() {
    let idle_timeout = Duration::from_millis(200);
    let server = Setup::giving_up().server;
    let house = House::with(Setup { server, idle_timeout, ..patient() }).await;
    let org = house.organization(RICH).await;
    for ask in each() {
        let answer = house.ask(&org, &ask.clone().mock("hang", "body")).await;
        let row = last(&house).await;
        assert_eq!(row.ending, "failed");
        if ask.stream {
            assert!(answer.status == 200 && answer.ends_in_error(), "{}", answer.text());
            assert!(!answer.has_end() && words(&answer) > 0, "{}", answer.text());
            assert_eq!(
                row.charged,
                counted(input_of_begun(ask.dialect, &row), words(&answer)),
                "{row:?}"
            );
        } else {
            assert_eq!(answer.status, 502);
            assert_error(&answer, ask.dialect);
            assert_held(&row);
        }
    }
    house.close().await;
}

#[tokio::test]
async fn a_provider_that_is_away_costs_nothing() {
    let mut house = House::open().await;
    let org = house.organization(RICH).await;
    house.lose_provider().await;
    house.start().await;
    house.some_unserved = true;
    for ask in each() {
        let mut client = Client::open(house.gateways[1].address).await;
        client.send(&ask.bytes(&org.token)).await;
        let answer = client.answer().await.unwrap();
        assert_eq!(answer.status, 502);
        assert_error(&answer, ask.dialect);
        assert!(last(&house).await.released);
    }
    house.close().await;
}

#[tokio::test]
async fn the_usage_that_only_the_gateway_asked_for_is_seen_by_the_gateway_only() {
    let house = House::open().await;
    let org = house.organization(RICH).await;
    let ask = Ask::chat().streamed();
    let silent = house.ask(&org, &ask).await;
    assert!(silent.has_end() && !silent.text().contains("prompt_tokens"), "{}", silent.text());
    assert!(!silent.text().contains("\"choices\":[]"));
    let asked = ask.field("stream_options", json!({"include_usage": true}));
    let told = house.ask(&org, &asked).await;
    assert!(told.has_end() && told.text().contains("prompt_tokens"), "{}", told.text());
    let rows = house.check().await;
    assert_eq!(rows.len(), 2);
    assert!(rows.iter().all(|row| !row.estimated), "{rows:?}");
    house.close().await;
}

#[tokio::test]
async fn a_provider_that_breaks_before_its_head_costs_the_input() {
    let house = House::open().await;
    let org = house.organization(RICH).await;
    for ask in each() {
        let answer = house.ask(&org, &ask.clone().mock("break-after", "nothing")).await;
        assert_eq!(answer.status, 502);
        assert_error(&answer, ask.dialect);
        let row = last(&house).await;
        assert_eq!((row.ending.as_str(), row.estimated, row.released), ("failed", true, false));
        assert_eq!(row.charged, plain_cost(COUNTED_INPUT, 0), "{row:?}");
    }
    house.close().await;
}

#[tokio::test]
async fn a_stream_that_breaks_ends_in_an_error_and_is_paid_as_far_as_it_came() {
    let house = House::open().await;
    let org = house.organization(RICH).await;
    for dialect in BOTH {
        for chunks in 0..4 {
            let ask = Ask::of(dialect).streamed().mock("break-after", chunks);
            let answer = house.ask(&org, &ask).await;
            assert_eq!(answer.status, 200);
            assert!(answer.ends_in_error() && !answer.has_end(), "{}", answer.text());
            let row = last(&house).await;
            assert_eq!((row.ending.as_str(), row.estimated), ("failed", true), "{row:?}");
            assert_eq!(words(&answer), 4 * chunks);
            let input = input_of_begun(dialect, &row);
            assert_eq!(row.charged, counted(input, 4 * chunks), "{row:?}");
        }
        // What was to come in one piece is not passed on in pieces.
        let answer = house.ask(&org, &Ask::of(dialect).mock("break-after", 2)).await;
        assert_eq!(answer.status, 502);
        assert_error(&answer, dialect);
        assert_held(&last(&house).await);
    }
    house.close().await;
}

#[tokio::test]
async fn an_answer_that_cannot_be_read_is_withheld_and_one_that_broke_inside_a_stream_is_paid() {
    let house = House::open().await;
    let org = house.organization(RICH).await;
    for ask in each() {
        for garbage in ["html", "true"] {
            let answer = house.ask(&org, &ask.clone().mock("garbage", garbage)).await;
            let row = last(&house).await;
            if ask.stream && garbage == "true" {
                let text = String::from_utf8_lossy(&answer.body);
                assert!(answer.whole && text.contains("\"error\":{"), "{text}");
                assert_eq!(answer.status, 200);
                assert!(row.estimated, "{row:?}");
                // Not a word can be read.
                assert_eq!(row.charged, plain_cost(COUNTED_INPUT, 0), "{row:?}");
            } else {
                assert_eq!(answer.status, 502, "{row:?}");
                assert_held(&row);
                assert_error(&answer, ask.dialect);
            }
        }
    }
    house.close().await;
}

#[tokio::test]
async fn an_answer_without_usage_is_counted_here_and_never_free() {
    let house = House::open().await;
    let org = house.organization(RICH).await;
    for ask in each() {
        let ask = ask.mock("usage", "none").mock("output-tokens", 30);
        let answer = house.ask(&org, &ask).await;
        assert_eq!((answer.status, words(&answer)), (200, 30));
        let row = last(&house).await;
        assert!(row.estimated && row.ending == "complete", "{row:?}");
        assert_eq!(row.charged, counted(COUNTED_INPUT, 30), "{row:?}");
    }
    house.close().await;
}

#[tokio::test]
async fn every_class_of_token_is_charged_once_however_often_it_is_reported() {
    let house = House::open().await;
    let org = house.organization(RICH).await;
    for ask in each() {
        for usage in ["final", "cumulative"] {
            let ask = ask.clone().mock("usage", usage).mock("output-tokens", 40);
            let ask = ask.mock("input-tokens", 500).mock("cached-tokens", 200);
            let ask = ask.mock("cache-write-tokens", 100);
            // Reasoning has a price of its own where it has a figure of its own.
            let reasoning = if ask.dialect == Dialect::OpenAi { 10 } else { 0 };
            let ask = ask.mock("reasoning-tokens", reasoning);
            let answer = house.ask(&org, &ask).await;
            assert!(answer.status == 200 && answer.whole);
            if ask.stream {
                assert!(answer.has_end());
            }
            let row = last(&house).await;
            assert!(!row.estimated && row.served.reasoning_tokens == reasoning, "{row:?}");
            assert_eq!(row.charged + row.debt, cost(&row.served));
        }
    }
    house.close().await;
}

#[tokio::test]
async fn a_stream_split_anywhere_is_the_same_stream() {
    let house = House::open().await;
    let org = house.organization(RICH).await;
    for dialect in BOTH {
        let ask = Ask::of(dialect).streamed().saying("walnut grün 🌰").header("x-request-id", "a");
        let as_one = house.ask(&org, &ask).await;
        assert!(as_one.has_end());
        for split in [1, 2, 3, 7] {
            let answer = house.ask(&org, &ask.clone().mock("split", split)).await;
            let [one, split] = [&as_one, &answer].map(|answer| without_ids(answer.text()));
            assert_eq!(one, split);
            assert!(answer.has_end());
        }
    }
    let rows = house.check().await;
    assert_eq!(rows.len(), 5 * BOTH.len());
    assert!(rows.iter().all(|row| row.charged == cost(&row.served) && !row.estimated), "{rows:?}");
    house.close().await;
}

/// The mock names its answers by the gateway's own id, which differs from call to call.
fn without_ids(text: &str) -> String {
    let mut parts = text.split("\"id\":\"");
    let mut clean = parts.next().unwrap().to_owned();
    for part in parts {
        clean.push_str(part.split_once('"').unwrap().1);
    }
    clean
}

#[tokio::test]
async fn usage_above_the_hold_is_taken_from_what_is_free() {
    let house = House::open().await;
    let org = house.organization(RICH).await;
    for ask in each() {
        let answer = house.ask(&org, &ask.mock("input-tokens", 100_000)).await;
        assert_eq!(answer.status, 200);
        let row = last(&house).await;
        assert!(row.charged > row.held && row.debt == 0, "{row:?}");
        assert_eq!(row.charged, cost(&row.served));
    }
    house.close().await;
}

#[tokio::test]
async fn usage_above_everything_is_owed_and_paid_by_the_next_grant() {
    let house = House::open().await;
    for ask in each() {
        let org = house.organization(1_000_000).await;
        let answer = house.ask(&org, &ask.clone().mock("input-tokens", 100_000)).await;
        assert_eq!(answer.status, 200);
        let row = last(&house).await;
        assert_eq!((row.charged, row.charged + row.debt), (1_000_000, cost(&row.served)));
        assert_eq!(house.balance(&org).await, (0, 0, row.debt));

        let reached = house.mock.served_total().calls;
        let answer = house.ask(&org, &ask).await;
        assert_eq!(answer.status, 402);
        assert_error(&answer, ask.dialect);
        // Not all of it is not enough.
        house.grant(&org, row.debt - 1).await;
        assert_eq!(house.ask(&org, &ask).await.status, 402);
        assert_eq!(house.mock.served_total().calls, reached, "a refused call went upstream");

        // Ten times what the first call needed: after one so far above its bound, holds are ten times as large.
        house.grant(&org, 10_000_001).await;
        assert_eq!(house.balance(&org).await, (10_000_000, 0, 0));
        assert_eq!(house.ask(&org, &ask).await.status, 200);
    }
    // What was paid by grants is in the ledger, not in the charges of calls.
    house.close().await;
}

#[tokio::test]
async fn several_answers_to_one_call_are_all_paid() {
    let house = House::open().await;
    let org = house.organization(RICH).await;
    for stream in [false, true] {
        let ask = Ask { stream, ..Ask::chat() }.field("n", 3).mock("output-tokens", 5);
        let answer = house.ask(&org, &ask).await;
        assert_eq!((answer.status, answer.text().matches("walnut").count()), (200, 15));
        let row = last(&house).await;
        assert_eq!((row.served.output_tokens, row.charged), (15, cost(&row.served)));
    }
    house.close().await;
}
