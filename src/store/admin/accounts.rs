//! The account of an organization in a window of time, line by line.

use crate::{
    domain::{
        ids::OrganizationId,
        instant::Moment,
        statement::{Amounts, Line},
    },
    store::StoreFuture,
};

/// A window of an organization's account: the balances at both of its ends, and which movements are
/// between them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountWindow {
    /// The organization.
    pub organization_id: OrganizationId,
    /// The organization's name.
    pub name: String,
    /// The organization's time zone, in which days are counted.
    pub time_zone: String,
    /// The first moment of the window, in microseconds since the Unix epoch.
    pub from_micros: i64,
    /// The first moment after the window.
    pub until_micros: i64,
    /// Whether the window is final: no movement can be added to it any more.
    pub is_final: bool,
    /// The number of the last movement before the window; 0 if there is none.
    pub opening_seq: i64,
    /// The balance at the start of the window.
    pub opening: Amounts,
    /// The number of the last movement in the window or before it.
    pub closing_seq: i64,
    /// The balance at the end of the window.
    pub closing: Amounts,
}

/// Reads accounts.
pub trait AccountAdmin: Send + Sync {
    /// A window of an organization's account, from a moment to before another one. Without an end, the window ends now.
    /// A day begins at midnight in the organization's time zone.
    fn account_window<'a>(
        &'a self,
        id: OrganizationId,
        from: &'a Moment,
        until: Option<&'a Moment>,
    ) -> StoreFuture<'a, AccountWindow>;

    /// The next movements of a window after the movement `after`; none after the last.
    fn account_lines<'a>(
        &'a self,
        window: &'a AccountWindow,
        after: i64,
    ) -> StoreFuture<'a, Vec<Line>>;
}
