//! Organizations.

use super::{MoveError, Whereabouts};
use crate::{
    domain::{ids::OrganizationId, place::Place, policy::Policy},
    store::{Balance, StoreFuture},
};

/// An organization as the operator sees it.
#[derive(Clone, Debug)]
pub struct Organization {
    /// Its id.
    pub organization_id: OrganizationId,
    /// Its name.
    pub name: String,
    /// Whether the operator's kill switch is on.
    pub suspended: bool,
    /// The time zone in which its budgets count days and months.
    pub time_zone: String,
    /// What it may do.
    pub policy: Policy,
    /// What it has.
    pub balance: Balance,
    /// Where its rows are.
    pub whereabouts: Whereabouts,
}

/// Creates and shows organizations.
pub trait OrganizationAdmin: Send + Sync {
    /// Adds an organization with an empty balance and the default policy, in this place. `false` if it is there, in
    /// whatever place.
    ///
    /// # Errors
    /// The time zone is unknown, or the place cannot be used.
    fn create<'a>(
        &'a self,
        id: OrganizationId,
        name: &'a str,
        time_zone: &'a str,
        place: &'a Place,
    ) -> StoreFuture<'a, bool, MoveError>;

    /// The organization.
    fn organization(&self, id: OrganizationId) -> StoreFuture<'_, Organization>;

    /// The next organizations, in order of their ids, after this one; none after the last.
    fn organizations_after(&self, after: OrganizationId) -> StoreFuture<'_, Vec<OrganizationId>>;

    /// Where the organization is, by what is known without asking.
    fn place_of(&self, id: OrganizationId) -> Place;

    /// Where the organization is, and what is under way with it.
    fn whereabouts(&self, id: OrganizationId) -> StoreFuture<'_, Whereabouts>;
}
