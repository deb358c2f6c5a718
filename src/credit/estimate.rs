//! The upper bound of a call's cost, as a pure function of its facts.

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

/// The credits and tokens to hold for a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Estimate {
    pub(super) amount: Credits,
    pub(super) tokens: i64,
    /// The output cap to send upstream, without which the amount would be no upper bound.
    pub(super) send_cap: Option<NonZeroU32>,
}

/// The estimate, or 400 on overflow.
pub(super) fn of(
    facts: &CallFacts,
    policy: &Policy,
    price: &Quote,
    fallback: NonZeroU32,
) -> Result<Estimate, Refusal> {
    let bound =
        output::bound(facts, policy.output_tokens_default, price.output_tokens_max(), fallback);
    let figures = || {
        let output_bound = output::output_tokens(facts, bound)?;
        let amount =
            price.upper_bound(facts.input_bound, output_bound, facts.may_write_cache).ok()?;
        let tokens = i64::try_from(output::tokens(facts, bound)?).ok()?;
        Some(Estimate { amount, tokens, send_cap: bound.send })
    };
    figures().ok_or_else(|| Refusal::InvalidBody {
        // The message names the larger of the two factors as the one to lower.
        field: Some(if bound.per_answer >= facts.answers { "max_tokens" } else { "n" }.into()),
        message: "The call could cost more than the largest amount of credits. Lower its output cap or the number of answers.".into(),
    })
}

/// Whether a price is valid. Without a tier from 0, calls would be free; a negative rate would pay the
/// caller.
pub(super) fn is_sound(price: &ModelPrice) -> bool {
    price.per_request >= Credits::ZERO
        && price.tiers.first().is_some_and(|tier| tier.from_input_tokens == 0)
        && price.tiers.iter().flat_map(|tier| tier.rates.by_class()).all(|(_, rate)| rate >= 0)
}
