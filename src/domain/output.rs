//! How many output tokens a call may have. Rates, budgets and credits are held for this upper bound.

use std::num::NonZeroU32;

use super::request::CallFacts;

/// The output bound of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutputBound {
    /// The most output tokens of each answer.
    pub per_answer: u64,
    /// The cap that must be sent upstream, because the caller set none. Without it the provider would not know the
    /// bound.
    pub send: Option<NonZeroU32>,
}

/// The output cap of a call: the caller's; else the smallest of the endpoint's documented default, the policy's default
/// and the model's maximum; else `fallback`. An endpoint without output has none.
pub fn bound(
    facts: &CallFacts,
    policy_default: Option<NonZeroU32>,
    model_max: Option<u64>,
    fallback: NonZeroU32,
) -> OutputBound {
    let Some(output) = facts.endpoint.spec().output else {
        return OutputBound { per_answer: 0, send: None };
    };
    if let Some(cap) = facts.output_cap {
        return OutputBound { per_answer: cap, send: None };
    }
    let model_max = model_max.filter(|max| *max > 0).map(|max| {
        NonZeroU32::try_from(u32::try_from(max).unwrap_or(u32::MAX)).unwrap_or(NonZeroU32::MAX)
    });
    let known = [output.cap_default, policy_default, model_max];
    let cap = known.into_iter().flatten().min().unwrap_or(fallback);
    OutputBound { per_answer: u64::from(cap.get()), send: Some(cap) }
}

/// The most output tokens of a call: those of every answer, with what its cap does not bound. `None` if the sum does
/// not fit a `u64`.
pub fn output_tokens(facts: &CallFacts, bound: OutputBound) -> Option<u64> {
    bound.per_answer.checked_add(facts.output_added)?.checked_mul(facts.answers)
}

/// The most tokens of a call: its input and every answer. `None` if the sum does not fit a `u64`.
pub fn tokens(facts: &CallFacts, bound: OutputBound) -> Option<u64> {
    output_tokens(facts, bound)?.checked_add(facts.input_bound)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::endpoint::Endpoint;

    fn facts(endpoint: Endpoint, output_cap: Option<u64>) -> CallFacts {
        CallFacts {
            endpoint,
            model: "small".into(),
            stream: false,
            wants_usage: false,
            output_cap,
            output_added: 0,
            answers: 2,
            hidden_answers: 0,
            echoed_bytes: 0,
            input_bound: 10,
            input_estimate: 3,
            may_write_cache: false,
            newer_cap: None,
        }
    }

    const FALLBACK: NonZeroU32 = NonZeroU32::new(4096).unwrap();

    #[test]
    fn the_callers_own_cap_comes_first_and_is_not_sent_again() {
        let facts = facts(Endpoint::ChatCompletions, Some(7));
        let bound = bound(&facts, NonZeroU32::new(100), Some(50), FALLBACK);
        assert_eq!(bound, OutputBound { per_answer: 7, send: None });
        assert_eq!(tokens(&facts, bound), Some(24));
    }

    #[test]
    fn without_one_the_policys_default_is_sent_but_never_more_than_the_model_writes() {
        let facts = facts(Endpoint::Messages, None);
        for (default, max, expected) in [
            (Some(100), Some(50), 50),
            (Some(100), None, 100),
            (None, Some(50), 50),
            (None, None, 4096),
            (None, Some(0), 4096),
        ] {
            let bound = bound(&facts, default.and_then(NonZeroU32::new), max, FALLBACK);
            assert_eq!(bound.per_answer, expected);
            assert_eq!(bound.send.map(|cap| u64::from(cap.get())), Some(expected));
        }
    }

    #[test]
    fn embeddings_write_nothing() {
        let facts = facts(Endpoint::Embeddings, Some(7));
        let bound = bound(&facts, NonZeroU32::new(100), Some(50), FALLBACK);
        assert_eq!(tokens(&facts, bound), Some(10));
        assert_eq!(bound.send, None);
    }

    #[test]
    fn a_bound_that_does_not_fit_is_no_bound() {
        let facts = facts(Endpoint::ChatCompletions, Some(u64::MAX));
        assert_eq!(tokens(&facts, bound(&facts, None, None, FALLBACK)), None);
    }
}
