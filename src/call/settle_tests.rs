//! What a call comes to, figure by figure: reported, counted, clamped or given back.
#![expect(clippy::arithmetic_side_effects, reason = "sums of small test data")]

use std::sync::Arc;

use uuid::Uuid;

use super::settle::{Bill, End, release, settle, so_far, written_max};
use crate::{
    context::Hold,
    domain::{
        credits::Credits,
        endpoint::Endpoint,
        finish::Settlement,
        ids::PriceId,
        policy::Disconnect,
        price::{ModelPrice, Quote},
        request::CallFacts,
        usage::{Meter, Usage},
    },
    testing::price,
};

const PRICE: PriceId = PriceId::new(Uuid::from_u128(7));
const BPS: u32 = 5_000;
const STOPPED: End = End::Stopped { unseen: false };
const UNSEEN: End = End::Stopped { unseen: true };

fn facts() -> CallFacts {
    CallFacts {
        endpoint: Endpoint::ChatCompletions,
        model: "small".into(),
        stream: false,
        wants_usage: false,
        output_cap: Some(100),
        output_added: 0,
        answers: 2,
        hidden_answers: 0,
        echoed_bytes: 0,
        input_bound: 50,
        input_estimate: 40,
        may_write_cache: false,
        newer_cap: None,
    }
}

/// Of 1,000 nano-dollars and 250 tokens; a nano-dollar and a half an input token, three an output token.
fn hold() -> Hold {
    let price = ModelPrice { price_id: PRICE, output_tokens_max: None, ..price("small") };
    Hold {
        amount: Credits::from_nanos(1_000),
        tokens: 250,
        price: Quote::new(Arc::new(price), BPS),
        disconnect: Disconnect::default(),
    }
}

fn settlement(amount: i64, tokens: i64, release: bool) -> Settlement {
    Settlement {
        amount: Credits::from_nanos(amount),
        tokens,
        price_id: PRICE,
        markup_bps: BPS,
        release,
    }
}

fn answer(finish: &str, usage: &str) -> Meter {
    let mut meter = Meter::new(Endpoint::ChatCompletions);
    let document = format!(
        r#"{{"model":"small-2","choices":[{{"message":{{"content":"Hello, my friend"}},"finish_reason":{finish}}}]{usage}}}"#
    );
    meter.read_document(document.as_bytes());
    meter
}

fn reporting(prompt: i64, completion: i64) -> Meter {
    let usage =
        format!(r#","usage":{{"prompt_tokens":{prompt},"completion_tokens":{completion}}}"#);
    answer(r#""stop""#, &usage)
}

/// Only the beginning of a stream, with figures that were current when it broke off.
fn broken_off() -> Meter {
    let mut meter = Meter::new(Endpoint::Messages);
    let start =
        br#"{"type":"message_start","message":{"usage":{"input_tokens":9,"output_tokens":3}}}"#;
    meter.read_document(start);
    meter.read_document(br#"{"type":"message_delta","delta":{},"usage":{"output_tokens":3}}"#);
    meter
}

fn usage(input: u64, output: u64) -> Usage {
    Usage { input, output, ..Usage::default() }
}

#[test]
fn a_release_costs_nothing_names_its_price_and_is_no_estimate() {
    let expected = Bill {
        usage: Usage::default(),
        estimated: false,
        clamped: false,
        settlement: Some(settlement(0, 0, true)),
    };
    assert_eq!(release(Some(&hold())), expected);
    assert_eq!(release(None), Bill { settlement: None, ..expected });
}

#[test]
fn what_the_provider_reports_of_a_whole_answer_is_charged_to_the_token() {
    let expected = Bill {
        usage: usage(10, 4),
        estimated: false,
        clamped: false,
        settlement: Some(settlement(27, 14, false)),
    };
    for end in [End::Whole, End::Broken, STOPPED, UNSEEN] {
        // It came to its own end, whether or not the connection did.
        assert_eq!(settle(&reporting(10, 4), &facts(), Some(&hold()), end), expected, "{end:?}");
    }
    let without = Bill { settlement: None, ..expected };
    assert_eq!(settle(&reporting(10, 4), &facts(), None, End::Whole), without);
}

#[test]
fn what_the_provider_does_not_report_is_counted_and_says_so() {
    let bill = settle(&answer(r#""stop""#, ""), &facts(), Some(&hold()), End::Whole);
    // As many bytes as come to four tokens; the request's own estimate.
    assert_eq!((bill.usage, bill.estimated, bill.clamped), (usage(40, 4), true, false));
    assert_eq!(bill.settlement, Some(settlement(72, 44, false)));
}

#[test]
fn figures_of_the_beginning_of_an_answer_are_not_its_end() {
    let facts = CallFacts { endpoint: Endpoint::Messages, ..facts() };
    let told = |end| settle(&broken_off(), &facts, Some(&hold()), end);
    // What has been counted is not less than what was reported so far.
    assert_eq!((told(End::Broken).usage, told(End::Broken).estimated), (usage(9, 3), true));
    assert_eq!((told(End::Whole).usage, told(End::Whole).estimated), (usage(9, 3), false));
}

#[test]
fn an_answer_that_is_given_up_costs_the_hold_where_more_may_have_been_done() {
    let bill = |meter: &Meter, facts: &CallFacts, end| settle(meter, facts, Some(&hold()), end);
    let seen = answer("null", "");
    let counted = Some(settlement(72, 44, false));
    let held = Some(settlement(1_000, 250, false));
    for end in [End::Broken, STOPPED] {
        let bill = bill(&seen, &facts(), end);
        assert_eq!((bill.settlement, bill.estimated, bill.clamped), (counted, true, false));
    }
    let thinks = CallFacts { model: "o3".into(), ..facts() };
    let mut thought = Meter::new(Endpoint::ChatCompletions);
    thought.read_document(br#"{"choices":[{"message":{"reasoning":"hm","content":"Hi"}}]}"#);
    let nothing = Meter::new(Endpoint::ChatCompletions);
    for (meter, facts, end) in [
        (&seen, &facts(), UNSEEN),
        (&seen, &thinks, STOPPED),
        (&thought, &facts(), STOPPED),
        (&nothing, &facts(), STOPPED),
    ] {
        let bill = bill(meter, facts, end);
        assert_eq!((bill.settlement, bill.estimated, bill.clamped), (held, true, true), "{end:?}");
    }
    // The provider itself broke off: what was seen of it.
    assert_eq!(bill(&nothing, &facts(), End::Broken).settlement, Some(settlement(60, 40, false)));
    // More was seen than was held for.
    let mut long = Meter::new(Endpoint::ChatCompletions);
    let text = "word ".repeat(2_000);
    let document = format!(r#"{{"choices":[{{"message":{{"content":"{text}"}}}}]}}"#);
    long.read_document(document.as_bytes());
    assert!(bill(&long, &thinks, STOPPED).settlement.unwrap().amount > hold().amount);
}

#[test]
fn figures_above_the_hold_that_can_be_true_are_charged_as_they_are() {
    let bill = settle(&reporting(60, 400), &facts(), Some(&hold()), End::Whole);
    assert_eq!((bill.estimated, bill.clamped), (false, false));
    assert_eq!(bill.settlement, Some(settlement(1_290, 460, false)));
}

#[test]
fn figures_that_cannot_be_true_cost_what_was_held_and_what_can_be_counted_is_written() {
    let expected = Bill {
        usage: usage(40, 4),
        estimated: true,
        clamped: true,
        settlement: Some(settlement(1_000, 250, false)),
    };
    // Negative; beyond any context; beyond twice the cap and what may be added to it.
    let output_max = written_max(&facts(), Some(&hold()));
    for meter in [
        reporting(10, -1),
        reporting(20_000_001, 4),
        reporting(10, i64::try_from(output_max).unwrap().saturating_add(1)),
    ] {
        assert_eq!(settle(&meter, &facts(), Some(&hold()), End::Whole), expected, "{meter:?}");
        let without = Bill { settlement: None, ..expected };
        assert_eq!(settle(&meter, &facts(), None, End::Whole), without, "{meter:?}");
    }
    let most = reporting(10, output_max.try_into().unwrap());
    assert!(!settle(&most, &facts(), Some(&hold()), End::Whole).clamped);
}

#[test]
fn a_cost_that_is_no_amount_is_clamped_too() {
    let mut dear = price("small");
    dear.price_id = PRICE;
    dear.tiers[0].rates.output = i64::MAX;
    let hold = Hold { price: Quote::new(Arc::new(dear), BPS), ..hold() };
    let bill = settle(&reporting(10, 1_000_000), &facts(), Some(&hold), End::Whole);
    assert!(bill.clamped);
    assert_eq!(bill.settlement, Some(settlement(1_000, 250, false)));
}

#[test]
fn what_is_held_beyond_the_input_is_for_the_answers() {
    let most = |facts: &CallFacts, hold: Option<&Hold>| written_max(facts, hold);
    let beyond = 16_384;
    assert_eq!(most(&facts(), Some(&hold())), 200 * 2 + beyond);
    let tokens = |tokens| Hold { tokens, ..hold() };
    // A hold of less than the input, or of nothing that can be, is for no answer.
    assert_eq!(most(&facts(), Some(&tokens(49))), beyond);
    assert_eq!(most(&facts(), Some(&tokens(50))), beyond);
    assert_eq!(most(&facts(), Some(&tokens(51))), 2 + beyond);
    assert_eq!(most(&facts(), Some(&tokens(-1))), beyond);
    // What the model can write is believed where it is more.
    let writes = ModelPrice { output_tokens_max: Some(1_000), ..price("small") };
    let hold = Hold { price: Quote::new(Arc::new(writes), 0), ..hold() };
    assert_eq!(most(&facts(), Some(&hold)), 2_000 * 2 + beyond);
    // Without a hold it is the caller's cap, for each answer.
    assert_eq!(most(&facts(), None), 200 * 2 + beyond);
    let uncapped = CallFacts { output_cap: None, ..facts() };
    assert_eq!(most(&uncapped, None), u64::MAX);
}

#[test]
fn what_went_by_has_been_written_whatever_the_cap_was() {
    let facts = CallFacts { output_cap: Some(0), ..facts() };
    let mut meter = Meter::new(Endpoint::ChatCompletions);
    let text = "word ".repeat(40_000);
    let document = format!(
        r#"{{"choices":[{{"message":{{"content":"{text}"}},"finish_reason":"stop"}}],"usage":{{"prompt_tokens":10,"completion_tokens":50000}}}}"#
    );
    meter.read_document(document.as_bytes());
    let hold = Hold { tokens: 50, ..hold() };
    let bill = settle(&meter, &facts, Some(&hold), End::Whole);
    assert_eq!((bill.clamped, bill.usage), (false, usage(10, 50_000)));
}

#[test]
fn a_call_that_goes_on_is_seen_by_what_is_reported_where_that_can_be() {
    assert_eq!(so_far(&reporting(10, 6), &facts(), Some(&hold())), usage(10, 6));
    assert_eq!(so_far(&answer("null", ""), &facts(), Some(&hold())), usage(40, 4));
    assert_eq!(so_far(&reporting(20_000_001, 6), &facts(), Some(&hold())), usage(40, 4));
    assert_eq!(so_far(&reporting(-1, 6), &facts(), Some(&hold())), usage(40, 6));
    assert_eq!(so_far(&reporting(10, -1), &facts(), Some(&hold())), usage(40, 4));
}

/// Two answers are returned of ten tokens each at the most, of as many as `answers`.
fn completion(answers: u64, echoed_bytes: u64) -> (CallFacts, Hold) {
    let facts = CallFacts {
        endpoint: Endpoint::Completions,
        output_cap: Some(10),
        output_added: 0,
        answers,
        hidden_answers: answers - 2,
        echoed_bytes,
        ..facts()
    };
    let written = i64::try_from(10 * answers).unwrap();
    (facts, Hold { tokens: 50 + written, ..hold() })
}

fn completed(text: &str, usage: &str) -> Meter {
    let mut meter = Meter::new(Endpoint::Completions);
    let choice = format!(r#"{{"text":"{text}","finish_reason":"stop"}}"#);
    meter.read_document(format!(r#"{{"choices":[{choice},{choice}]{usage}}}"#).as_bytes());
    meter
}

#[test]
fn an_answer_that_is_not_returned_is_charged_up_to_its_cap_unless_the_provider_says_what_it_was() {
    let (facts, hold) = completion(5, 0);
    let bill = settle(&completed("Hello, my friend", ""), &facts, Some(&hold), End::Whole);
    // Three of ten tokens each, and two texts of sixteen bytes.
    assert_eq!((bill.usage, bill.estimated, bill.clamped), (usage(40, 38), true, false));
    let long = settle(&completed(&"a".repeat(99), ""), &facts, Some(&hold), End::Whole);
    assert_eq!((long.usage, long.clamped), (usage(40, 50), false), "no more than is held");
    let told = completed("Hello", r#","usage":{"prompt_tokens":30,"completion_tokens":21}"#);
    let bill = settle(&told, &facts, Some(&hold), End::Whole);
    assert_eq!((bill.usage, bill.estimated, bill.clamped), (usage(30, 21), false, false));
    // Nothing was set aside, and nothing is charged: what was seen counts.
    let bill = settle(&completed("Hello, my friend", ""), &facts, None, End::Whole);
    assert_eq!((bill.usage, bill.settlement), (usage(40, 8), None));
    // Nothing of an answer came.
    let bill = settle(&Meter::new(Endpoint::Completions), &facts, Some(&hold), End::Broken);
    assert_eq!(bill.usage, usage(40, 0));
    // A heartbeat says what would be charged.
    assert_eq!(so_far(&completed("Hello", ""), &facts, Some(&hold)), usage(40, 33));
}

#[test]
fn a_prompt_that_comes_back_is_neither_charged_as_output_nor_a_stream_without_an_end() {
    let (facts, hold) = completion(2, 24);
    // Each text is sixteen bytes, twelve of which are the prompt.
    let bill = settle(&completed("Hello, my friend", ""), &facts, Some(&hold), End::Whole);
    assert_eq!((bill.usage, bill.estimated), (usage(40, 2), true));
    // Tokens of the prompt are longer than four bytes here: no more than was held is charged.
    let long = "a".repeat(400);
    let bill = settle(&completed(&long, ""), &facts, Some(&hold), End::Whole);
    assert_eq!((bill.usage, bill.clamped), (usage(40, 20), false));

    let (plain, _) = completion(2, 0);
    let (echoing, _) = completion(2, 1_000_000);
    let written_max = |facts| written_max(facts, Some(&hold));
    assert_eq!(written_max(&echoing), written_max(&plain) + 1_000_000);
}
