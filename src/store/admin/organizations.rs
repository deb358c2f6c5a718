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
    /// Its policy.
    pub policy: Policy,
    /// Its balance.
    pub balance: Balance,
    /// Where its rows are.
    pub whereabouts: Whereabouts,
}

/// Creates and shows organizations.
pub trait OrganizationAdmin: Send + Sync {
    /// Adds an organization with an empty balance and the default policy, in this place. `false` if it exists already,
    /// in any place.
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

    /// Reads an organization.
    fn organization(&self, id: OrganizationId) -> StoreFuture<'_, Organization>;

    /// The next organizations after this one, in order of their ids; none after the last.
    fn organizations_after(&self, after: OrganizationId) -> StoreFuture<'_, Vec<OrganizationId>>;

    /// The place of the organization, as far as it is known without asking a database.
    fn place_of(&self, id: OrganizationId) -> Place;

    /// The place of the organization, and the state of its move.
    fn whereabouts(&self, id: OrganizationId) -> StoreFuture<'_, Whereabouts>;
}
