//! Bills computed anew: by the prices that the calls name, and by others.

use std::collections::BTreeMap;

use crate::{
    domain::{
        credits::Credits,
        ids::{OrganizationId, RequestId},
        instant::Moment,
    },
    store::StoreFuture,
};

/// Which calls are billed anew: those that arrived in a window.
#[derive(Clone, Debug)]
pub struct RebillWindow {
    /// The first moment of it; a day begins at midnight in the organization's time zone.
    pub from: Moment,
    /// The first moment after it; now, without one.
    pub until: Option<Moment>,
}

/// By which other prices calls are billed as well.
#[derive(Clone, Debug, Default)]
pub enum OtherPrices {
    /// By none.
    #[default]
    None,
    /// By those in force now, the organization's own and its mark-up included.
    Current,
    /// By those in force at that moment.
    At(Moment),
}

/// A window of an organization, billed anew.
#[derive(Clone, Debug)]
pub struct Rebill {
    /// Whose it is.
    pub organization_id: OrganizationId,
    /// Its name.
    pub name: String,
    /// The window, in microseconds since the Unix epoch: from the first to before the second.
    pub window_micros: (i64, i64),
    /// What all calls come to.
    pub total: Bill,
    /// What the calls of each model come to.
    pub models: BTreeMap<String, Bill>,
    /// The calls that do not come to what was charged for them: the first hundred.
    pub differences: Vec<Difference>,
    /// How many of them there are.
    pub differences_count: u64,
}

/// What some calls come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bill {
    /// How many calls.
    pub calls: u64,
    /// How many of them were charged what was held for them, because their figures were absurd.
    pub clamped: u64,
    /// What was charged, debts included.
    pub charged: Credits,
    /// What they come to by the prices they name.
    pub recomputed: Credits,
    /// What they come to by the other prices, where those were asked for.
    pub other: Credits,
    /// How many have no other price; they are not in `other`.
    pub unpriced: u64,
}

/// A call that does not come to what was charged for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The call.
    pub request_id: RequestId,
    /// What its usage row says it costs.
    pub cost: Credits,
    /// What the ledger took and is owed for it; `None` where it knows nothing of it.
    pub charged: Option<Credits>,
    /// What it comes to by the price it names; `None` where that price is not there.
    pub recomputed: Option<Credits>,
}

impl Rebill {
    /// Whether every call comes to what was charged for it.
    pub const fn holds(&self) -> bool {
        self.differences_count == 0
    }
}

/// Computes bills anew.
pub trait BillAdmin: Send + Sync {
    /// Computes anew what the calls of a window cost, holds it against what was charged, and against
    /// other prices. Read in slices, while calls go on.
    fn rebill<'a>(
        &'a self,
        id: OrganizationId,
        window: &'a RebillWindow,
        other: &'a OtherPrices,
    ) -> StoreFuture<'a, Rebill>;
}
