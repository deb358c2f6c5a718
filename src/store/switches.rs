//! The store traits for kill switches.

use super::StoreFuture;
use crate::{
    context::Tenant,
    domain::{
        ids::OrganizationId,
        role::Role,
        switch::{Switch, Switches},
    },
};

/// A store that knows which kill switches are on.
pub trait SwitchStore: Send + Sync + 'static {
    /// All kill switches of an organization that are on, the operator's and the policy's included. None
    /// if the organization is not in this store.
    fn switches(&self, organization: OrganizationId) -> StoreFuture<'_, Switches>;
}

/// A store whose kill switches an organization's own people turn on and off.
///
/// `role` is the tenant's role in the organization. The caller does not check it: if the role is not
/// sufficient, the store refuses with [`Forbidden`](super::StoreError::Forbidden). It does so, too, if a switch of the
/// tenant's own user, team or key is on: who is stopped turns no switch.
pub trait Switchboard: SwitchStore {
    /// The kill switches of the tenant's organization that are on.
    fn list<'a>(&'a self, tenant: &'a Tenant, role: Role) -> StoreFuture<'a, SwitchesOn>;

    /// Turns a switch on and returns it. A switch that is on already stays unchanged. `None` if the
    /// organization has reached the largest number of switches that may be on.
    fn turn_on<'a>(
        &'a self,
        tenant: &'a Tenant,
        role: Role,
        switch: &'a Switch,
        reason: Option<&'a str>,
    ) -> StoreFuture<'a, Option<Flipped>>;

    /// Turns a switch off, if it is on. The operator's suspension cannot be turned off here.
    fn turn_off<'a>(
        &'a self,
        tenant: &'a Tenant,
        role: Role,
        switch: &'a Switch,
    ) -> StoreFuture<'a, ()>;
}

/// One kill switch that is on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flipped {
    /// Which switch.
    pub switch: Switch,
    /// Why, in the words of the person who turned it on.
    pub reason: Option<String>,
    /// Who turned it on: a token's `sub`.
    pub switched_by: Option<String>,
    /// When, as RFC 3339 in UTC.
    pub switched_at: String,
}

/// All kill switches of an organization that are on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SwitchesOn {
    /// The switches that its own people turn on and off, ordered by scope and id.
    pub own: Vec<Flipped>,
    /// The operator has suspended the organization. Only the operator can undo this.
    pub by_operator: bool,
    /// Why, in the operator's words.
    pub operator_reason: Option<String>,
    /// The organization's policy says `suspended`.
    pub by_policy: bool,
}
