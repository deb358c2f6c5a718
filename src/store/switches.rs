//! Kill switches as stores keep them.

use super::StoreFuture;
use crate::{
    context::Tenant,
    domain::{
        ids::OrganizationId,
        role::Role,
        switch::{Switch, Switches},
    },
};

/// Where it stands which kill switches are on.
pub trait SwitchStore: Send + Sync + 'static {
    /// All kill switches of an organization that are on, whoever has turned them on; none where the
    /// organization is not in this store.
    fn switches(&self, organization: OrganizationId) -> StoreFuture<'_, Switches>;
}

/// A store whose kill switches an organization's own people turn on and off.
///
/// `role` is what the tenant is in the organization. It is not decided here whether that is enough: the
/// store refuses with [`Forbidden`](super::StoreError::Forbidden) what the role may not do.
pub trait Switchboard: SwitchStore {
    /// The kill switches of the tenant's organization that are on.
    fn list<'a>(&'a self, tenant: &'a Tenant, role: Role) -> StoreFuture<'a, SwitchesOn>;

    /// Turns one on, and returns it as it is then: one that is on already stays as it is. `None` where
    /// as many are on as may be.
    fn turn_on<'a>(
        &'a self,
        tenant: &'a Tenant,
        role: Role,
        switch: &'a Switch,
        reason: Option<&'a str>,
    ) -> StoreFuture<'a, Option<Flipped>>;

    /// Turns one off, where it is on. The operator's own is not among them.
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
    /// Which.
    pub switch: Switch,
    /// Why, in the words of whoever turned it on.
    pub reason: Option<String>,
    /// Who turned it on: a token's `sub`.
    pub switched_by: Option<String>,
    /// When, as RFC 3339 in UTC.
    pub switched_at: String,
}

/// All kill switches of an organization that are on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SwitchesOn {
    /// Those that its own people turn on and off, in the order of scopes and ids.
    pub own: Vec<Flipped>,
    /// The operator has suspended the organization, which only the operator can take back.
    pub by_operator: bool,
    /// Why, in the operator's words.
    pub operator_reason: Option<String>,
    /// The organization's policy says `suspended`.
    pub by_policy: bool,
}
