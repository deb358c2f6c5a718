//! How a call ended, and everything that is written about it, as one value that is written at once.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{
    credits::Credits,
    endpoint::Endpoint,
    ids::{PriceId, RequestId},
    usage::Usage,
};

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ending {
    /// The provider's answer was passed on completely.
    Complete,
    /// The provider refused, failed, timed out or broke off; or the answer was withheld, because the finish could not be
    /// written in time. What the provider reported of a withheld answer is charged.
    Failed,
    /// The client left before the end.
    Abandoned,
    /// A layer answered instead of the provider.
    Refused,
    /// A kill switch ended the call while it was open.
    Cut,
}

impl Ending {
    /// The word used in logs, metrics and SQL.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Failed => "failed",
            Self::Abandoned => "abandoned",
            Self::Refused => "refused",
            Self::Cut => "cut",
        }
    }
}

/// The charge for a call that had a hold. A release is a settlement of [`Credits::ZERO`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settlement {
    /// The cost of the usage, rounded up once.
    pub amount: Credits,
    /// The budget tokens that were used.
    pub tokens: i64,
    /// The price row the amount was computed by.
    pub price_id: PriceId,
    /// The mark-up on that price, in basis points.
    pub markup_bps: u32,
    /// Whether the hold is released because nothing was used. The ledger then says `release`.
    pub release: bool,
}

/// What the audit log keeps of a call besides its figures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The request body as the client sent it, if the policy keeps it.
    pub request: Option<String>,
    /// The response body as the client got it (a stream: its bytes), if the policy keeps it. A withheld answer is kept
    /// as the client would have got it.
    pub response: Option<String>,
    /// The request or the response was longer than the capture bound; only its beginning is kept.
    pub truncated: bool,
}

/// Everything that is known about a call at its end: settlement, usage and record, written in one
/// transaction. Repeating the same finish changes nothing.
#[derive(Clone, Debug)]
pub struct Finish {
    /// The call.
    pub request_id: RequestId,
    /// The caller's own valid `x-request-id`, for correlation only.
    pub client_request_id: Option<String>,
    /// The endpoint that was called.
    pub endpoint: Endpoint,
    /// The model the caller named.
    pub model: String,
    /// The model that answered, as the provider reports it.
    pub answered_by: Option<String>,
    /// The provider that answered, if it put its name into the response extensions (`ServedBy`).
    pub provider: Option<String>,
    /// Whether the answer was streamed.
    pub stream: bool,
    /// How the call ended.
    pub ending: Ending,
    /// The status of the client's answer; 499 if the client left before there was one.
    pub status: u16,
    /// The usage, in disjoint classes.
    pub usage: Usage,
    /// The provider reported no usage: `usage` was counted here.
    pub estimated: bool,
    /// The provider's figures were absurd and were clamped to the hold.
    pub clamped: bool,
    /// The charge, if there was a hold.
    pub settlement: Option<Settlement>,
    /// From the request's first byte to the end.
    pub latency: Duration,
    /// From the request's first byte to the answer's first body byte.
    pub first_byte: Option<Duration>,
    /// What the audit log keeps; `None` if no audit layer asked for a record.
    pub record: Option<Record>,
}

/// The result of writing a [`Finish`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Finished {
    /// The amount taken from the balance.
    pub charged: Credits,
    /// The amount owed, because the balance did not cover the settlement. It blocks new holds until it is paid.
    pub debt: Credits,
    /// This finish had been written before.
    pub replayed: bool,
}

impl Finished {
    /// The debt that this finish caused; `None` if there is none, or if the finish had been written before.
    pub(crate) fn newly_owed(&self) -> Option<Credits> {
        (self.debt.nanos() > 0 && !self.replayed).then_some(self.debt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_debt_is_new_once() {
        let owed = |debt, replayed| {
            let debt = Credits::from_nanos(debt);
            Finished { debt, replayed, ..Finished::default() }.newly_owed().map(Credits::nanos)
        };
        assert_eq!([owed(1, false), owed(1, true), owed(0, false)], [Some(1), None, None]);
    }
}
