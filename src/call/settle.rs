//! What a call comes to: a pure decision from what the provider said and what was held.

use crate::{
    context::Hold,
    domain::{
        credits::Credits,
        finish::Settlement,
        request::CallFacts,
        usage::{Meter, Usage, is_plausible, may_reason, output_max},
    },
};

/// How the reading of an answer came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The answer was read whole.
    Whole,
    /// The provider did not answer, or broke off its answer.
    Broken,
    /// The answer was given up here.
    Stopped {
        /// A part of the answer is not known: it does not come in pieces, or was too long to be read.
        unseen: bool,
    },
}

/// What is billed, and how sure we are of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bill {
    pub(super) usage: Usage,
    pub(super) estimated: bool,
    pub(super) clamped: bool,
    pub(super) settlement: Option<Settlement>,
}

/// The provider refused, or was not reached: the hold is given back.
pub(super) fn release(hold: Option<&Hold>) -> Bill {
    let settlement = hold.map(|hold| Settlement {
        amount: Credits::ZERO,
        tokens: 0,
        price_id: hold.price.price_id(),
        markup_bps: hold.price.markup_bps(),
        release: true,
    });
    Bill { usage: Usage::default(), estimated: false, clamped: false, settlement }
}

/// The bill of a call that delivered something, or may have.
///
/// The provider's own figures where it gave them all; else what can be counted here, marked
/// `estimated`. An answer that was not read to its end may have reported only its beginning. A figure that
/// contradicts the prompt and the completion is left out, and the bill is marked `estimated` as well.
///
/// If an answer was given up here and the provider may have done more than was seen of it, the hold is charged, or what
/// was seen if that is more. The bill is marked `clamped`.
///
/// Where no figures are left that can be true (negative, far beyond what was sent or could be written), usage is what
/// can be counted here, the hold is charged, and the bill is marked `clamped`. Figures above the hold that can be true
/// are charged as they are.
pub(super) fn settle(meter: &Meter, facts: &CallFacts, hold: Option<&Hold>, end: End) -> Bill {
    let complete = end == End::Whole || meter.finished();
    let counted = meter.count(facts);
    let can_be = |usage: &Usage| {
        let cost = hold.map(|hold| hold.price.cost(usage));
        can_be(usage, &counted, facts, hold) && !matches!(cost, Some(Err(_)))
    };
    let reported = meter.usage().filter(|_| complete);
    let (usage, estimated) = match reported {
        Some(usage) if can_be(&usage) => (usage, meter.corrected()),
        // The total cannot be; its parts may.
        Some(usage) => (meter.usage_of_parts().unwrap_or(usage), true),
        None => (estimate(meter, facts, hold), true),
    };
    if reported.is_none() && may_be_more(meter, facts, end) {
        let seen = hold.and_then(|hold| hold.price.cost(&usage).ok().map(|cost| (hold, cost)));
        if seen.is_none_or(|(hold, cost)| cost <= hold.amount) {
            return clamp(usage, hold);
        }
    }
    if meter.absurd() || !can_be(&usage) {
        return clamp(counted, hold);
    }
    let cost = hold.and_then(|hold| hold.price.cost(&usage).ok());
    let settlement = hold.zip(cost).map(|(hold, amount)| Settlement {
        amount,
        tokens: i64::try_from(usage.total()).unwrap_or(hold.tokens),
        price_id: hold.price.price_id(),
        markup_bps: hold.price.markup_bps(),
        release: false,
    });
    Bill { usage, estimated, clamped: false, settlement }
}

/// Whether the provider may have done more for an answer than was seen of it.
fn may_be_more(meter: &Meter, facts: &CallFacts, end: End) -> bool {
    match end {
        End::Whole | End::Broken => false,
        End::Stopped { unseen } => {
            unseen || !meter.delivers() || meter.reasons() || may_reason(&facts.model)
        }
    }
}

/// What has been used so far, of a call that goes on: as it would be billed if it ended here.
pub(super) fn so_far(meter: &Meter, facts: &CallFacts, hold: Option<&Hold>) -> Usage {
    let usage = estimate(meter, facts, hold);
    if !meter.reports() {
        return usage;
    }
    let counted = meter.count(facts);
    if can_be(&usage, &counted, facts, hold) { usage } else { counted }
}

/// What was used, where the provider does not say.
///
/// `best_of`: of an answer that is not returned nothing is seen, so it is taken to be as long as its cap. `echo`: where
/// the prompt is tokens, nobody here knows to the byte where the answer begins. In both cases no more than what is held
/// is taken to be written.
fn estimate(meter: &Meter, facts: &CallFacts, hold: Option<&Hold>) -> Usage {
    let mut usage = meter.estimate(facts);
    let as_seen = facts.hidden_answers == 0 && facts.echoed_bytes == 0;
    if as_seen || hold.is_none() || usage.output_total() == 0 {
        return usage;
    }
    let bound = to_be_written(facts, hold);
    let cap = bound.checked_div(facts.answers).unwrap_or(0);
    let hidden = cap.saturating_mul(facts.hidden_answers);
    let most = bound.saturating_sub(usage.reasoning);
    usage.output = usage.output.saturating_add(hidden).min(most);
    usage
}

fn clamp(counted: Usage, hold: Option<&Hold>) -> Bill {
    let settlement = hold.map(|hold| Settlement {
        amount: hold.amount,
        tokens: hold.tokens,
        price_id: hold.price.price_id(),
        markup_bps: hold.price.markup_bps(),
        release: false,
    });
    Bill { usage: counted, estimated: true, clamped: true, settlement }
}

/// The output tokens after which a stream is one that does not end: its provider pays no heed to the cap.
pub(super) fn written_max(facts: &CallFacts, hold: Option<&Hold>) -> u64 {
    output_max(facts, to_be_written(facts, hold), hold.map(|hold| &hold.price))
        // The prompt that comes back goes by as well, and no token of it is shorter than a byte.
        .saturating_add(facts.echoed_bytes)
}

fn can_be(usage: &Usage, counted: &Usage, facts: &CallFacts, hold: Option<&Hold>) -> bool {
    // What went by has been written, whatever the cap was.
    let output_bound = to_be_written(facts, hold).max(counted.output_total());
    is_plausible(usage, facts, output_bound, hold.map(|hold| &hold.price))
}

fn to_be_written(facts: &CallFacts, hold: Option<&Hold>) -> u64 {
    match hold {
        // What is held beyond the input is for the answers.
        Some(hold) => u64::try_from(hold.tokens).unwrap_or(0).saturating_sub(facts.input_bound),
        // Nothing was bounded, so nothing but the model bounds it.
        None => facts.output_cap.unwrap_or(u64::MAX).saturating_mul(facts.answers),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{endpoint::Endpoint, request};

    #[test]
    fn what_was_seen_of_a_call_that_goes_on_is_believed_like_its_end() {
        let body =
            br#"{"model":"small","max_tokens":9,"messages":[{"role":"user","content":"hello"}]}"#;
        let facts = request::read(Endpoint::Messages, body).unwrap();
        let seen = |usage: &str| {
            let mut meter = Meter::new(Endpoint::Messages);
            let start = format!(r#"{{"type":"message_start","message":{{"usage":{usage}}}}}"#);
            meter.read_document(start.as_bytes());
            so_far(&meter, &facts, None)
        };
        assert_eq!(seen(r#"{"input_tokens":12,"output_tokens":1}"#).input, 12);
        let counted = Usage { input: facts.input_estimate, ..Usage::default() };
        for usage in [r#"{"input_tokens":19000000}"#, r#"{"input_tokens":-1}"#, "{}"] {
            assert_eq!(seen(usage), counted, "{usage}");
        }
    }
}
