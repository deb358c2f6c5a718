//! What a call comes to: a pure decision from what the provider said and what was held.

use crate::{
    context::Hold,
    domain::{
        credits::Credits,
        finish::Settlement,
        request::CallFacts,
        usage::{Meter, Usage},
    },
};

/// More tokens than any context holds: a figure above it is a provider's fault, not a bill.
const PLAUSIBLE_TOKENS_MAX: u64 = 20_000_000;

/// What is billed, and how sure we are of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bill {
    pub(super) usage: Usage,
    pub(super) estimated: bool,
    pub(super) clamped: bool,
    pub(super) settlement: Option<Settlement>,
}

/// Nothing was delivered, so nothing is owed: the hold is given back.
pub(super) fn release(hold: Option<&Hold>) -> Bill {
    let settlement = hold.map(|hold| Settlement {
        amount: Credits::ZERO,
        tokens: 0,
        price_id: hold.price.price_id,
        release: true,
    });
    Bill { usage: Usage::default(), estimated: false, clamped: false, settlement }
}

/// The bill of a call that delivered something, or may have.
///
/// The provider's own figures where it gave them all; else what can be counted here, marked
/// `estimated`. Figures that cannot be true are clamped to the hold and marked. An answer that was
/// not read as a `whole` may have reported only its beginning.
pub(super) fn settle(meter: &Meter, facts: &CallFacts, hold: Option<&Hold>, whole: bool) -> Bill {
    let reported = meter.usage().filter(|_| whole || meter.finished());
    let estimated = reported.is_none();
    let usage = reported.unwrap_or_else(|| meter.estimate(facts));
    let absurd = meter.absurd() || usage.total() > PLAUSIBLE_TOKENS_MAX;
    let Some(hold) = hold else {
        return Bill { usage, estimated, clamped: absurd, settlement: None };
    };
    let cost = if absurd { None } else { hold.price.cost(&usage).ok() };
    let (amount, tokens, clamped) = match cost {
        Some(amount) => (amount, i64::try_from(usage.total()).unwrap_or(hold.tokens), false),
        None => (hold.amount, hold.tokens, true),
    };
    let settlement = Settlement { amount, tokens, price_id: hold.price.price_id, release: false };
    Bill { usage, estimated, clamped, settlement: Some(settlement) }
}
