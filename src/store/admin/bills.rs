//! Recomputed bills: by the prices that the calls name, and by other prices.

use std::collections::BTreeMap;

use crate::{
    domain::{
        credits::Credits,
        ids::{OrganizationId, RequestId},
        instant::Moment,
    },
    store::StoreFuture,
};

/// The window of a recomputed bill: the bill is about the calls that arrived in it.
#[derive(Clone, Debug)]
pub struct RebillWindow {
    /// The first moment of the window. A day begins at midnight in the organization's time zone.
    pub from: Moment,
    /// The first moment after the window. `None` is now.
    pub until: Option<Moment>,
}

/// The other prices by which calls are billed as well.
#[derive(Clone, Debug, Default)]
pub enum OtherPrices {
    /// No other prices.
    #[default]
    None,
    /// The prices in force now, including the organization's own and its mark-up.
    Current,
    /// The prices in force at that moment.
    At(Moment),
}

/// The recomputed bill of an organization.
#[derive(Clone, Debug)]
pub struct Rebill {
    /// The organization.
    pub organization_id: OrganizationId,
    /// The organization's name.
    pub name: String,
    /// The window, in microseconds since the Unix epoch: from the first to before the second.
    pub window_micros: (i64, i64),
    /// The bill of all calls.
    pub total: Bill,
    /// The bill of each model's calls.
    pub models: BTreeMap<String, Bill>,
    /// The first hundred calls whose recomputed cost differs from the charge.
    pub differences: Vec<Difference>,
    /// How many such calls there are.
    pub differences_count: u64,
}

/// The bill of some calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bill {
    /// How many calls.
    pub calls: u64,
    /// How many of the calls were charged their whole hold, because their usage figures were absurd.
    pub clamped: u64,
    /// The charges, including debts.
    pub charged: Credits,
    /// The recomputed cost by the prices that the calls name.
    pub recomputed: Credits,
    /// The cost by the other prices, if those were asked for.
    pub other: Credits,
    /// How many calls have no other price. They are not included in `other`.
    pub unpriced: u64,
}

/// A call whose recomputed cost differs from its charge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The call.
    pub request_id: RequestId,
    /// The cost in the call's usage row.
    pub cost: Credits,
    /// The call's charge and debt in the ledger; `None` if the ledger has no entry for the call.
    pub charged: Option<Credits>,
    /// The cost by the price that the call names; `None` if that price does not exist.
    pub recomputed: Option<Credits>,
}

impl Rebill {
    /// Whether the recomputed cost of every call equals its charge.
    pub const fn holds(&self) -> bool {
        self.differences_count == 0
    }
}

/// Recomputes bills.
pub trait BillAdmin: Send + Sync {
    /// Recomputes the costs of a window's calls, and compares them with the charges and with other prices. Calls are
    /// read in slices, while new calls go on.
    fn rebill<'a>(
        &'a self,
        id: OrganizationId,
        window: &'a RebillWindow,
        other: &'a OtherPrices,
    ) -> StoreFuture<'a, Rebill>;
}
