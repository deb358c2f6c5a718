//! Reads the record back: compares every column of `usage` and `audit_events` with what the test knew before the call,
//! or with what the client and the provider saw.

mod case;
mod finish;

use std::time::Duration;

use serde_json::json;
use tollgate::domain::{
    dialect::Dialect,
    policy::{Disconnect, Keep, Policy},
    switch::Switch,
};
use tollgate::store::admin::SwitchAdmin;

use super::harness::{Ask, BOTH, Columns, House, Setup};
use case::{Case, LATENCY, chunk, millis, provider_says, text};

/// A call that uses tokens of every class.
fn of_every_class(dialect: Dialect) -> Ask {
    let reasoning = if dialect == Dialect::OpenAi { 10 } else { 0 };
    let ask = Ask::of(dialect).saying("walnut ".repeat(400)).mock("reasoning-tokens", reasoning);
    let ask = ask.mock("input-tokens", 560).mock("cached-tokens", 200);
    ask.mock("cache-write-tokens", 100).mock("output-tokens", 40)
}

/// A call of a word, whose answer says it so often. Four bytes are counted as a token where nobody reports it: 21 of
/// `role`, `user`, `content` and `walnut`, 55 of the answer. The provider itself reports three tokens of input.
fn of_eight_words(dialect: Dialect) -> Ask {
    Ask::of(dialect).saying("walnut").mock("output-tokens", 8)
}

fn cancelling() -> Policy {
    Policy { disconnect: Disconnect::Cancel, ..Policy::default() }
}

/// What was not reported, counted.
fn counted(columns: Columns, input: i64, delivered: i64) -> Columns {
    let columns = columns.with("input_tokens", input).with("cached_read_tokens", 0);
    let columns = columns.with("cache_write_5m_tokens", 0).with("output_tokens", delivered);
    let columns = columns.with("reasoning_tokens", 0).with("estimated", true);
    columns.with("cost", input * 1_000 + delivered * 4_000)
}

/// The input of a stream that broke off: one vendor reports it first, the other last.
fn reported_early(dialect: Dialect) -> i64 {
    if dialect == Dialect::Anthropic { 3 } else { 6 }
}

/// The price is what was held.
async fn held(house: &House, case: &Case, columns: Columns) -> Columns {
    let held = "select amount from tollgate.credit_holds where organization_id = $1";
    let held = house.admin.query_one(held, &[&case.caller.id.as_uuid()]).await.unwrap();
    columns.with("clamped", true).with("cost", held.get::<_, i64>(0))
}

fn nothing(columns: Columns) -> Columns {
    counted(columns, 0, 0).with("estimated", false)
}

#[tokio::test]
async fn a_whole_answer_is_read_back() {
    let house = House::open().await;
    // A body that comes slowly is a part of the call.
    let pause = Duration::from_millis(500);
    for dialect in BOTH {
        let mut case = Case::new(&house, Policy::default(), of_every_class(dialect)).await;
        let mut client = case.send(&house, pause).await;
        case.answer(&mut client, 200).await;
        let expected = case.whole(&house, pause).await;
        assert_eq!(text(&case.got), provider_says(&case.ask, case.request(&house).await).await);
        case.reads_back(&house, expected).await;
    }
    house.close().await;
}

#[tokio::test]
async fn a_stream_is_read_back_under_its_callers_own_name() {
    let house = House::open().await;
    for dialect in BOTH {
        let ask = of_every_class(dialect).streamed().mock("chunk-delay-ms", 50);
        let ask = ask.header("x-request-id", "call-of-olga");
        let mut case = Case::new(&house, Policy::default(), ask).await;
        let mut client = case.send(&house, Duration::ZERO).await;
        case.answer(&mut client, 200).await;
        let whole = case.begun.elapsed();
        let expected = case.whole(&house, Duration::ZERO).await;
        assert_eq!(text(&case.got), provider_says(&case.ask, case.request(&house).await).await);
        let expected = expected.with("client_request_id", "call-of-olga");
        let expected = expected.between("latency_ms", LATENCY + 4 * 50, millis(whole));
        case.reads_back(&house, expected).await;
    }
    house.close().await;
}

#[tokio::test]
async fn of_a_call_whose_contents_are_not_kept_the_figures_are() {
    let house = House::open().await;
    for dialect in BOTH {
        let policy = Policy { keep: Keep::Metadata, ..Policy::default() };
        let mut case = Case::new(&house, policy, of_every_class(dialect)).await;
        let mut client = case.send(&house, Duration::ZERO).await;
        case.answer(&mut client, 200).await;
        let expected = case.whole(&house, Duration::ZERO).await;
        let expected = expected.with("request", json!(null)).with("response", json!(null));
        case.reads_back(&house, expected).await;
    }
    house.close().await;
}

#[tokio::test]
async fn of_a_long_prompt_the_beginning_is_read_back() {
    let house = House::open().await;
    let ask = of_every_class(Dialect::OpenAi).saying("walnut ".repeat(50_000));
    let mut case = Case::new(&house, Policy::default(), ask).await;
    let mut client = case.send(&house, Duration::ZERO).await;
    case.answer(&mut client, 200).await;
    let expected = case.whole(&house, Duration::ZERO).await;
    let expected = expected.with("request", &case.ask.body()[..256 << 10]).with("truncated", true);
    case.reads_back(&house, expected).await;
    house.close().await;
}

#[tokio::test]
async fn what_a_provider_refuses_is_read_back() {
    let house = House::open().await;
    for stream in [false, true] {
        for dialect in BOTH {
            let ask = Ask { stream, ..of_every_class(dialect) }.mock("status", 429);
            let mut case = Case::new(&house, Policy::default(), ask).await;
            let mut client = case.send(&house, Duration::ZERO).await;
            case.answer(&mut client, 429).await;
            assert!(text(&case.got).contains("The error that was asked for."));
            let expected = nothing(case.whole(&house, Duration::ZERO).await);
            let expected = expected.with("answered_by", json!(null)).with("stream", false);
            let expected = expected.with("ending", "failed").with("status", 429);
            case.reads_back(&house, expected).await;
        }
    }
    house.close().await;
}

#[tokio::test]
async fn what_is_refused_here_leaves_no_row() {
    let house = House::open().await;
    let policy = || Policy { models: Some(vec!["other".to_owned()]).into(), ..Policy::default() };
    for dialect in BOTH {
        let mut case = Case::new(&house, policy(), of_every_class(dialect)).await;
        let mut client = case.send(&house, Duration::ZERO).await;
        case.answer(&mut client, 403).await;
        for table in ["usage", "audit_events", "credit_holds"] {
            assert_eq!(house.count(&format!("select count(*) from tollgate.{table}")).await, 0);
        }
    }
    house.close().await;
}

#[tokio::test]
async fn figures_that_nobody_believes_are_read_back_as_counted_here() {
    let house = House::open().await;
    for dialect in BOTH {
        let ask = of_eight_words(dialect).mock("input-tokens", 19_000_000);
        let mut case = Case::new(&house, Policy::default(), ask).await;
        let mut client = case.send(&house, Duration::ZERO).await;
        case.answer(&mut client, 200).await;
        let expected = counted(case.whole(&house, Duration::ZERO).await, 6, 14);
        let expected = held(&house, &case, expected).await;
        case.reads_back(&house, expected).await;
    }
    house.close().await;
}

#[tokio::test]
async fn a_stream_that_is_cut_is_read_back_as_far_as_it_came() {
    let house = House::with(Setup::giving_up()).await;
    for dialect in BOTH {
        let ask = of_eight_words(dialect).streamed().mock("hang", "body");
        let mut case = Case::new(&house, Policy::default(), ask).await;
        let mut client = case.send(&house, Duration::ZERO).await;
        let head = client.head().await.unwrap();
        case.got = chunk(&mut client).await;
        case.first = case.begun.elapsed();
        while text(&case.got).matches("walnut").count() < 8 {
            case.got.extend(chunk(&mut client).await);
        }
        let delivered = text(&case.got).to_owned();
        house.operator.turn_on(case.caller.id, &Switch::User("olga".into()), None).await.unwrap();
        case.got.extend(client.rest(head).await.body);
        assert!(text(&case.got)[delivered.len()..].contains("user_suspended"));
        let said = provider_says(&case.ask, case.request(&house).await).await;
        assert!(said.starts_with(&delivered), "{said}");
        let expected = case.whole(&house, Duration::ZERO).await.with("ending", "cut");
        let expected = counted(expected, reported_early(dialect), 14);
        case.reads_back(&house, expected).await;
    }
    house.close().await;
}

#[tokio::test]
async fn a_call_that_is_cut_before_its_answer_is_read_back() {
    let house = House::with(Setup::giving_up()).await;
    for dialect in BOTH {
        let ask = of_eight_words(dialect).mock("hang", "head");
        let mut case = Case::new(&house, Policy::default(), ask).await;
        let reached = house.mock.served_total().calls;
        let mut client = case.send(&house, Duration::ZERO).await;
        house.reached(reached + 1).await;
        house.operator.turn_on(case.caller.id, &Switch::User("olga".into()), None).await.unwrap();
        case.answer(&mut client, 403).await;
        let most = millis(case.begun.elapsed());
        let expected = counted(case.whole(&house, Duration::ZERO).await, 6, 0);
        let expected = held(&house, &case, expected).await;
        let expected = expected.with("answered_by", json!(null)).with("provider", json!(null));
        let expected = expected.with("ending", "cut").with("status", 403);
        let expected = expected.between("latency_ms", 0, most).between("first_byte_ms", 0, most);
        case.reads_back(&house, expected).await;
    }
    house.close().await;
}

#[tokio::test]
async fn a_stream_whose_client_leaves_is_read_back_with_what_the_provider_said_to_nobody() {
    let house = House::open().await;
    for dialect in BOTH {
        // Long enough for the gateway to hear that the client has left.
        let ask = of_every_class(dialect).streamed().mock("chunks", 1);
        let ask = ask.mock("chunk-delay-ms", 3_000);
        let mut case = Case::new(&house, Policy::default(), ask).await;
        let mut client = case.send(&house, Duration::ZERO).await;
        client.head().await.unwrap();
        let opening = chunk(&mut client).await;
        case.first = case.begun.elapsed();
        client.reset();
        case.got = provider_says(&case.ask, case.request(&house).await).await.into_bytes();
        assert!(case.got.starts_with(&opening));
        let expected = case.whole(&house, Duration::ZERO).await.with("ending", "abandoned");
        let most = millis(case.begun.elapsed());
        case.reads_back(&house, expected.between("latency_ms", LATENCY + 3_000, most)).await;
    }
    house.close().await;
}

#[tokio::test]
async fn a_stream_that_is_given_up_with_its_client_is_read_back_as_far_as_it_came() {
    let house = House::with(Setup::giving_up()).await;
    for dialect in BOTH {
        let ask = of_eight_words(dialect).streamed().mock("hang", "body");
        let mut case = Case::new(&house, cancelling(), ask).await;
        let mut client = case.send(&house, Duration::ZERO).await;
        client.head().await.unwrap();
        case.got = chunk(&mut client).await;
        case.first = case.begun.elapsed();
        while text(&case.got).matches("walnut").count() < 8 {
            case.got.extend(chunk(&mut client).await);
        }
        client.reset();
        let said = provider_says(&case.ask, case.request(&house).await).await;
        assert!(said.starts_with(text(&case.got)), "{said}");
        let expected = case.whole(&house, Duration::ZERO).await;
        case.reads_back(
            &house,
            counted(expected, reported_early(dialect), 14).with("ending", "abandoned"),
        )
        .await;
    }
    house.close().await;
}

#[tokio::test]
async fn a_call_that_is_given_up_before_its_answer_is_read_back() {
    let house = House::with(Setup::giving_up()).await;
    for dialect in BOTH {
        let ask = of_eight_words(dialect).mock("hang", "head");
        let mut case = Case::new(&house, cancelling(), ask).await;
        let reached = house.mock.served_total().calls;
        let client = case.send(&house, Duration::ZERO).await;
        house.reached(reached + 1).await;
        client.reset();
        let expected = counted(case.whole(&house, Duration::ZERO).await, 6, 0);
        let expected = held(&house, &case, expected).await;
        let expected = expected.with("answered_by", json!(null)).with("provider", json!(null));
        let expected = expected.with("ending", "abandoned").with("status", 499);
        let expected = expected.with("first_byte_ms", json!(null));
        let most = millis(case.begun.elapsed());
        case.reads_back(&house, expected.between("latency_ms", 0, most)).await;
    }
    house.close().await;
}
