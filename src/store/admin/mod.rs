//! The operator's actions on the organizations of an installation: one trait for each resource.
//!
//! `crate::admin` checks inputs and makes the answers; an implementation of these traits reads and writes. So every
//! front and every store has the same checks.
//!
//! A method names an organization by its id. It acts for the operator, not for a person of the organization. Unless a
//! method says otherwise, it fails with [`UnknownOrganization`](super::StoreError::UnknownOrganization) if the
//! organization is not in the store, and with another [`StoreError`](super::StoreError) if the store does not answer.

mod accounts;
mod agreements;
mod bills;
mod books;
mod budgets;
mod credits;
mod limits;
mod organizations;
mod places;
mod policies;
mod prices;
mod switches;

pub use accounts::{AccountAdmin, AccountWindow};
pub use agreements::{AgreementAdmin, AgreementError, Begins};
pub use bills::{Bill, BillAdmin, Difference, OtherPrices, Rebill, RebillWindow};
pub use books::{BookAdmin, Books, Reconciliation};
pub use budgets::{
    Budget, BudgetAdmin, BudgetError, BudgetEvent, Budgeted, CapChange, WindowUsage,
};
pub use credits::{CreditAdmin, GrantError, Granted};
pub use limits::{LimitAdmin, Limited, RateChange, RateChanges, RateLimitError};
pub use organizations::{Organization, OrganizationAdmin};
pub use places::{Copied, MoveError, PlaceAdmin, Step, TellStep, Whereabouts};
pub use policies::{PolicyAdmin, PolicyError};
pub use prices::{Import, ImportError, ImportOptions, PriceAdmin, ScheduledPrice};
pub use switches::SwitchAdmin;
