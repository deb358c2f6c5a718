//! The amount that is held equals the largest possible cost of the call, and invalid prices are recognized.

use std::sync::Arc;

use super::estimate::{Estimate, is_sound, of};
use crate::{
    domain::{
        credits::Credits,
        endpoint::Endpoint,
        policy::Policy,
        price::{ModelPrice, Quote, Rates, Tier},
        request::CallFacts,
    },
    refusal::Refusal,
    testing::price,
};
use std::num::NonZeroU32;

const FALLBACK: NonZeroU32 = NonZeroU32::new(7).unwrap();

fn facts(output_cap: Option<u64>, answers: u64) -> CallFacts {
    CallFacts {
        endpoint: Endpoint::ChatCompletions,
        model: "small".into(),
        stream: false,
        wants_usage: false,
        output_cap,
        output_added: 0,
        answers,
        hidden_answers: 0,
        echoed_bytes: 0,
        input_bound: 50,
        input_estimate: 40,
        may_write_cache: false,
        newer_cap: None,
    }
}

fn estimate(facts: &CallFacts, policy: &Policy, price: ModelPrice) -> Result<Estimate, Refusal> {
    of(facts, policy, &Quote::new(Arc::new(price), 0), FALLBACK)
}

#[test]
fn each_answer_is_held_for_up_to_the_cap_that_stands() {
    let held = |facts: &CallFacts, policy: &Policy, output_tokens_max| {
        let price = ModelPrice { output_tokens_max, ..price("small") };
        let estimate = estimate(facts, policy, price).unwrap();
        (estimate.amount.nanos(), estimate.tokens, estimate.send_cap.map(NonZeroU32::get))
    };
    let policy = Policy { output_tokens_default: NonZeroU32::new(20), ..Policy::default() };
    // 50 input tokens at one nano-dollar, each output token at two.
    assert_eq!(held(&facts(Some(100), 3), &policy, Some(10)), (650, 350, None));
    assert_eq!(held(&facts(None, 3), &policy, Some(10)), (110, 80, Some(10)));
    assert_eq!(held(&facts(None, 3), &policy, None), (170, 110, Some(20)));
    assert_eq!(held(&facts(None, 3), &Policy::default(), None), (92, 71, Some(7)));
    assert_eq!(held(&facts(Some(0), 3), &policy, None), (50, 50, None));
}

#[test]
fn writing_to_a_cache_is_held_for_where_the_call_may() {
    let mut price = price("small");
    price.tiers[0].rates.cache_write_1h = 3_000_000;
    let amount = |may_write_cache| {
        let facts = CallFacts { may_write_cache, ..facts(Some(0), 1) };
        estimate(&facts, &Policy::default(), price.clone()).unwrap().amount.nanos()
    };
    assert_eq!((amount(false), amount(true)), (50, 150));
}

#[test]
fn a_call_beyond_any_amount_is_refused_by_the_larger_of_its_two_factors() {
    let refused = |cap, answers| match estimate(
        &facts(Some(cap), answers),
        &Policy::default(),
        price("small"),
    ) {
        Err(Refusal::InvalidBody { field, .. }) => field.unwrap(),
        other => format!("{other:?}"),
    };
    assert_eq!(refused(u64::MAX, 1), "max_tokens");
    assert_eq!(refused(u64::MAX, u64::MAX), "max_tokens");
    assert_eq!(refused(2, u64::MAX), "n");
    assert_eq!(refused(1 << 32, 1 << 32), "max_tokens");
    assert_eq!(refused(1 << 31, 1 << 33), "n");
    // The amount does not overflow, but the tokens do.
    let free = ModelPrice {
        tiers: vec![Tier { from_input_tokens: 0, rates: Rates::default() }],
        ..price("small")
    };
    let edge = u64::try_from(i64::MAX).unwrap().saturating_sub(50);
    let tokens = |cap| {
        estimate(&facts(Some(cap), 1), &Policy::default(), free.clone()).map(|held| held.tokens)
    };
    assert_eq!(tokens(edge).ok(), Some(i64::MAX));
    assert!(tokens(edge.saturating_add(1)).is_err());
}

#[test]
fn a_price_is_sound_from_nothing_on_and_with_a_tier_for_every_call() {
    assert!(is_sound(&price("small")));
    let free = Tier { from_input_tokens: 0, rates: Rates::default() };
    let with = |tiers: Vec<Tier>, per_request| ModelPrice {
        tiers,
        per_request: Credits::from_nanos(per_request),
        ..price("small")
    };
    assert!(is_sound(&with(vec![free], 0)));
    assert!(!is_sound(&with(vec![free], -1)));
    assert!(!is_sound(&with(vec![], 0)));
    assert!(!is_sound(&with(vec![Tier { from_input_tokens: 1, ..free }], 0)));
    let below = |rates| Tier { from_input_tokens: 9, rates };
    for rates in [
        Rates { input: -1, ..Rates::default() },
        Rates { cached_read: -1, ..Rates::default() },
        Rates { cache_write_5m: -1, ..Rates::default() },
        Rates { cache_write_1h: -1, ..Rates::default() },
        Rates { output: -1, ..Rates::default() },
        Rates { reasoning: -1, ..Rates::default() },
    ] {
        assert!(!is_sound(&with(vec![free, below(rates)], 0)), "{rates:?}");
        assert!(!is_sound(&with(vec![Tier { from_input_tokens: 0, rates }, free], 0)), "{rates:?}");
    }
}
