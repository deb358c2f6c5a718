//! Kill switches, as the operator sets them.

use crate::{
    domain::{ids::OrganizationId, switch::Switch},
    store::{StoreFuture, SwitchesOn},
};

/// Turns kill switches on and off. [`Switchboard`](crate::store::Switchboard) does it for an organization's people.
pub trait SwitchAdmin: Send + Sync {
    /// The kill switches that are on.
    fn switches(&self, id: OrganizationId) -> StoreFuture<'_, SwitchesOn>;

    /// Turns a kill switch on, with a reason that the organization's people can read. The one of the
    /// whole organization is the operator's own; the others its owners and admins can turn off. `false`
    /// where as many of those are on as may be.
    ///
    /// Every hold from now on sees it; gateways that listen cut open calls.
    fn turn_on<'a>(
        &'a self,
        id: OrganizationId,
        switch: &'a Switch,
        reason: Option<&'a str>,
    ) -> StoreFuture<'a, bool>;

    /// Turns a kill switch off, where it is on.
    fn turn_off<'a>(&'a self, id: OrganizationId, switch: &'a Switch) -> StoreFuture<'a, ()>;
}
