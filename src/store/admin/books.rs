//! Checks the books of every organization.

use crate::{
    domain::{credits::Credits, ids::OrganizationId},
    store::{Balance, StoreFuture},
};

/// The books of one organization, at one moment.
#[derive(Clone, Debug)]
pub struct Books {
    /// The organization.
    pub organization_id: OrganizationId,
    /// The organization's balance.
    pub balance: Balance,
    /// All charges to the organization, without debts.
    pub charged: Credits,
    /// Holds that stand.
    pub holds_open: u64,
    /// Holds that ran out of time, and whose calls have not ended yet.
    pub expired: u64,
    /// What these calls may have used and were not charged for, at the most.
    pub unbilled_max: Credits,
    /// The findings, at most a hundred; empty if the books are right.
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
    /// The books that are broken.
    pub broken: Vec<Books>,
}

impl Reconciliation {
    /// Adds the books of one more organization.
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
    /// Checks the books of one organization with one statement, in one snapshot. Then checks in slices that the cost of
    /// each call is its usage times the price it names. The books of an organization that does not exist are broken.
    fn books(&self, id: OrganizationId) -> StoreFuture<'_, Books>;

    /// Checks the books of every organization in every place, while calls go on. Books that cannot be read because
    /// their place does not answer are reported as broken.
    fn reconcile(&self) -> StoreFuture<'_, Reconciliation>;
}
