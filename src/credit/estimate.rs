//! The dearest that a call can come to: facts in, figures out.

use std::num::NonZeroU32;

use crate::{
    domain::{
        credits::Credits,
        output,
        policy::Policy,
        price::{ModelPrice, Quote},
        request::CallFacts,
    },
    refusal::Refusal,
};

/// What is to be held for a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Estimate {
    pub(super) amount: Credits,
    pub(super) tokens: i64,
    /// The output cap that must be sent upstream for the amount to hold.
    pub(super) send_cap: Option<NonZeroU32>,
}

/// The figures, or 400 where they fit no amount of money.
pub(super) fn of(
    facts: &CallFacts,
    policy: &Policy,
    price: &Quote,
    fallback: NonZeroU32,
) -> Result<Estimate, Refusal> {
    let bound =
        output::bound(facts, policy.output_tokens_default, price.output_tokens_max(), fallback);
    let figures = || {
        let output_bound = bound.per_answer.checked_mul(facts.answers)?;
        let amount =
            price.upper_bound(facts.input_bound, output_bound, facts.may_write_cache).ok()?;
        let tokens = i64::try_from(output::tokens(facts, bound)?).ok()?;
        Some(Estimate { amount, tokens, send_cap: bound.send })
    };
    figures().ok_or_else(|| Refusal::InvalidBody {
        // The one that is larger is the one to lower.
        field: Some(if bound.per_answer >= facts.answers { "max_tokens" } else { "n" }.into()),
        message: "The call could cost more than any amount of credits. Lower its output cap or the number of answers.".into(),
    })
}

/// Whether a price can be gone by. One without tiers, or with a negative rate, would make calls free
/// or pay for them.
pub(super) fn is_sound(price: &ModelPrice) -> bool {
    price.per_request >= Credits::ZERO
        && price.tiers.first().is_some_and(|tier| tier.from_input_tokens == 0)
        && price.tiers.iter().flat_map(|tier| tier.rates.by_class()).all(|(_, rate)| rate >= 0)
}
