//! Setting credits and budget tokens aside before a call, and what the ledger may answer.

use std::time::Duration;

use super::{credits::Credits, ids::RequestId};

/// What is to be set aside for one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HoldRequest {
    /// The call; repeating the same request with the same amount changes nothing.
    pub request_id: RequestId,
    /// An upper bound of what the call can cost.
    pub amount: Credits,
    /// An upper bound of the tokens it can use, for daily and monthly budgets.
    pub tokens: i64,
    /// How long the hold stands without a finish before it may be expired.
    pub ttl: Duration,
}

/// The calendar window of a token budget, in the organization's time zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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

/// The ledger's answer to a [`HoldRequest`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HoldVerdict {
    /// Set aside (or set aside before, by the same request).
    Granted,
    /// The free balance does not cover the amount, or there is an unpaid debt.
    Insufficient {
        /// What was free.
        available: Credits,
    },
    /// A token budget does not cover the call.
    BudgetExceeded {
        /// Which budget.
        window: Window,
        /// Until that window ends.
        retry_after: Duration,
    },
    /// The kill switch is on.
    Suspended,
    /// No such organization in this database.
    UnknownOrganization,
    /// The request id was used before for something else, or is already finished.
    Conflict,
}
