//! Whether reported figures can be those of the call that was made.

use super::Usage;
use crate::domain::{price::Quote, request::CallFacts};

/// More tokens than any context holds: a figure above it is a provider's fault, not a bill.
const TOKENS_MAX: u64 = 20_000_000;

/// What a provider may add to a prompt unasked: instructions of its own, what it has looked up.
const ADDED_INPUT_TOKENS_MAX: u64 = 200_000;

/// What a model may write or think beyond a cap that its provider takes loosely.
const ADDED_OUTPUT_TOKENS_MAX: u64 = 16_384;

/// How often a provider may be out by what it was told. A provider that reasons beyond the cap, or tells a
/// context that the price book does not know yet, is to be paid; one that reports another call's figures
/// is not.
const MARGIN: u64 = 2;

/// Whether `usage` can be that of a call with these facts, of which `output_bound` tokens were to be
/// written at the most. More than was held for is plausible up to a margin, and charged.
///
/// Input: not more than twice the bound and what a provider may add unasked; and, above its bound, not more
/// than the model's context. Output: not more than twice the cap, or than twice what the model can write in
/// as many answers, where that is known and more.
pub fn is_plausible(
    usage: &Usage,
    facts: &CallFacts,
    output_bound: u64,
    price: Option<&Quote>,
) -> bool {
    let input = usage.input_total();
    let input_max = facts.input_bound.saturating_mul(MARGIN).saturating_add(ADDED_INPUT_TOKENS_MAX);
    let context = price.and_then(Quote::input_tokens_max).unwrap_or(u64::MAX);
    let fits_context = input <= context || input <= facts.input_bound;

    usage.total() <= TOKENS_MAX
        && input <= input_max
        && fits_context
        && usage.output_total() <= output_max(facts, output_bound, price)
}

/// The most output that is believed of such a call. A stream that goes on beyond it has no end.
pub fn output_max(facts: &CallFacts, output_bound: u64, price: Option<&Quote>) -> u64 {
    let model_writes = price.and_then(Quote::output_tokens_max).unwrap_or(0);
    output_bound
        .max(model_writes.saturating_mul(facts.answers))
        .saturating_mul(MARGIN)
        .saturating_add(ADDED_OUTPUT_TOKENS_MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::domain::{credits::Credits, endpoint::Endpoint, ids::PriceId, price::ModelPrice};

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
            input_bound: 50_000,
            input_estimate: 40_000,
            may_write_cache: false,
            newer_cap: None,
        }
    }

    fn price(input_tokens_max: Option<u64>, output_tokens_max: Option<u64>) -> Quote {
        let price = ModelPrice {
            price_id: PriceId::new(uuid::Uuid::nil()),
            model: "small".into(),
            provider: "mock".into(),
            mode: "chat".into(),
            per_request: Credits::ZERO,
            tiers: vec![],
            input_tokens_max,
            output_tokens_max,
        };
        Quote::new(Arc::new(price), 0)
    }

    fn plausible(input: u64, output: u64, price: Option<&Quote>) -> bool {
        // In all classes: they are one sum.
        let usage = Usage {
            cached_read: input / 2,
            input: input.saturating_sub(input / 2),
            reasoning: output / 2,
            output: output.saturating_sub(output / 2),
            ..Usage::default()
        };
        is_plausible(&usage, &facts(), 200, price)
    }

    #[test]
    fn figures_up_to_what_was_held_for_and_somewhat_more_are_believed() {
        for price in [None, Some(&price(None, None)), Some(&price(Some(128_000), Some(4_096)))] {
            for (input, output) in [(0, 0), (50_000, 200), (50_001, 201), (120_000, 16_784)] {
                assert!(plausible(input, output, price), "{input} {output}");
            }
        }
    }

    #[test]
    fn much_more_input_than_was_sent_is_not_believed() {
        assert!(plausible(300_000, 1, None));
        assert!(!plausible(300_001, 1, None));
        assert!(!plausible(300_001, 1, Some(&price(Some(1_000_000), None))));
        assert!(!plausible(u64::MAX, 1, None));
    }

    #[test]
    fn more_input_than_the_context_holds_is_not_believed_unless_as_much_was_sent() {
        let small = price(Some(40_000), None);
        assert!(plausible(40_000, 1, Some(&small)));
        // The price book's context may be an old one.
        assert!(plausible(50_000, 1, Some(&small)));
        assert!(!plausible(50_001, 1, Some(&small)));
    }

    #[test]
    fn much_more_output_than_the_cap_and_the_model_allow_is_not_believed() {
        assert!(!plausible(1, 16_785, None));
        // Some models reason beyond the cap.
        let large = price(None, Some(100_000));
        assert!(plausible(1, 416_384, Some(&large)));
        assert!(!plausible(1, 416_385, Some(&large)));
        assert!(!plausible(1, 20_000_001, None));
    }
}
