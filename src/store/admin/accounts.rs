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
    /// Whose it is.
    pub organization_id: OrganizationId,
    /// Its name.
    pub name: String,
    /// Whose days it counts.
    pub time_zone: String,
    /// Its first moment, in microseconds since the Unix epoch.
    pub from_micros: i64,
    /// The first moment after it.
    pub until_micros: i64,
    /// Nothing can come into it any more: it reads the same for ever.
    pub is_final: bool,
    /// The last movement before it; 0 where there is none.
    pub opening_seq: i64,
    /// The balance that it opens with.
    pub opening: Amounts,
    /// The last movement in it, or before it.
    pub closing_seq: i64,
    /// The balance that it closes with.
    pub closing: Amounts,
}

/// Reads accounts.
pub trait AccountAdmin: Send + Sync {
    /// A window of an organization's account, from a moment to before another one (now, without one). A
    /// day begins at midnight in the organization's time zone.
    fn account_window<'a>(
        &'a self,
        id: OrganizationId,
        from: &'a Moment,
        until: Option<&'a Moment>,
    ) -> StoreFuture<'a, AccountWindow>;

    /// The next movements of a window after the movement `after`: none where that was the last one.
    fn account_lines<'a>(
        &'a self,
        window: &'a AccountWindow,
        after: i64,
    ) -> StoreFuture<'a, Vec<Line>>;
}
