//! Whether the books of every organization are in order.

use crate::{
    domain::{credits::Credits, ids::OrganizationId},
    store::{Balance, StoreFuture},
};

/// The books of one organization, at one moment.
#[derive(Clone, Debug)]
pub struct Books {
    /// Whose they are.
    pub organization_id: OrganizationId,
    /// What it has.
    pub balance: Balance,
    /// What it was charged in all, debts not counted.
    pub charged: Credits,
    /// Holds that stand.
    pub holds_open: u64,
    /// Holds that ran out of time, and whose calls have not ended yet.
    pub expired: u64,
    /// What these calls may have used and were not charged for, at the most.
    pub unbilled_max: Credits,
    /// What is wrong; nothing, if all is well. At most a hundred findings.
    pub broken: Vec<String>,
}

/// The books of all organizations.
#[derive(Clone, Debug, Default)]
pub struct Reconciliation {
    /// How many organizations were checked.
    pub organizations: u64,
    /// The sums over all of them, each as of the moment it was read.
    pub balance: Balance,
    /// The sum of all charges.
    pub charged: Credits,
    /// Holds that stand.
    pub holds_open: u64,
    /// Holds that ran out of time, and whose calls have not ended yet.
    pub expired: u64,
    /// What these calls may have used and were not charged for, at the most.
    pub unbilled_max: Credits,
    /// The organizations whose books are broken; none, if all is well.
    pub broken: Vec<Books>,
}

impl Reconciliation {
    /// With the books of one more organization.
    #[must_use]
    pub fn with(mut self, books: Books) -> Self {
        let add = |sum: Credits, more: Credits| sum.checked_add(more).unwrap_or(Credits::MAX);
        self.organizations = self.organizations.saturating_add(1);
        self.balance.posted = add(self.balance.posted, books.balance.posted);
        self.balance.held = add(self.balance.held, books.balance.held);
        self.balance.debt = add(self.balance.debt, books.balance.debt);
        self.charged = add(self.charged, books.charged);
        self.holds_open = self.holds_open.saturating_add(books.holds_open);
        self.expired = self.expired.saturating_add(books.expired);
        self.unbilled_max = add(self.unbilled_max, books.unbilled_max);
        if !books.broken.is_empty() {
            self.broken.push(books);
        }
        self
    }
}

/// Checks books.
pub trait BookAdmin: Send + Sync {
    /// Checks the books of one organization: one statement, one snapshot. Then, in slices, that each
    /// call costs what its usage comes to by the price it names. An organization that is not there is found broken.
    fn books(&self, id: OrganizationId) -> StoreFuture<'_, Books>;

    /// Checks the books of every organization, wherever it is, one after the other, while calls go on. Books that
    /// cannot be read because their place is away are broken.
    fn reconcile(&self) -> StoreFuture<'_, Reconciliation>;
}
