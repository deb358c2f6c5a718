//! Requests to set credits and budget tokens aside for a call, heartbeats, and the ledger's verdicts.

use std::time::Duration;

use serde::Serialize;

use super::{credits::Credits, ids::RequestId, scope::Scope};

/// The credits and tokens to set aside for one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HoldRequest {
    /// The call. Repeating the request with the same amount changes nothing.
    pub request_id: RequestId,
    /// An upper bound of what the call can cost.
    pub amount: Credits,
    /// An upper bound of the tokens that the call can use, for daily and monthly budgets.
    pub tokens: i64,
    /// How long the hold stands without a finish before it may be expired.
    pub ttl: Duration,
}

/// The usage of an open call so far. If neither another heartbeat nor a finish follows, this is its charge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    /// The call.
    pub request_id: RequestId,
    /// Its cost so far.
    pub used: Credits,
    /// Its tokens so far.
    pub tokens: i64,
}

/// The calendar window of a budget, in the organization's time zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Window {
    /// From midnight to midnight.
    Day,
    /// From the first of the month.
    Month,
}

impl Window {
    /// The word used in logs and SQL.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Month => "month",
        }
    }
}

/// What a budget counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// Input and output tokens.
    Tokens,
    /// Nano-dollars.
    Credits,
}

impl Unit {
    /// The word used in logs and SQL.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tokens => "tokens",
            Self::Credits => "credits",
        }
    }
}

/// A budget that does not cover a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exceeded {
    /// Whose budget.
    pub scope: Scope,
    /// The budget's window.
    pub window: Window,
    /// The unit that the budget counts.
    pub unit: Unit,
    /// The time until that window ends.
    pub retry_after: Duration,
    /// The call would fit if other calls held nothing, so it may fit once they release their holds.
    pub may_wait: bool,
}

/// The ledger's answer to a [`HoldRequest`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HoldVerdict {
    /// The amount is set aside, now or before by the same request.
    Granted,
    /// The free balance does not cover the amount, or there is an unpaid debt.
    Insufficient {
        /// The free balance.
        available: Credits,
        /// The call would fit if other calls held nothing, so it may fit once they release their holds.
        may_wait: bool,
    },
    /// A budget does not cover the call.
    BudgetExceeded(Exceeded),
    /// A kill switch is on in this scope of the caller.
    Suspended(Scope),
    /// The request id was used before for another hold, or its call is already finished.
    Conflict,
}

impl HoldVerdict {
    /// Whether the call would have been granted if others held nothing.
    pub const fn may_wait(&self) -> bool {
        match self {
            Self::Insufficient { may_wait, .. }
            | Self::BudgetExceeded(Exceeded { may_wait, .. }) => *may_wait,
            Self::Granted | Self::Suspended(_) | Self::Conflict => false,
        }
    }
}
