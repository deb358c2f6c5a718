//! Kill switches, set by the operator.

use crate::{
    domain::{ids::OrganizationId, switch::Switch},
    store::{StoreFuture, SwitchesOn},
};

/// Turns kill switches on and off. [`Switchboard`](crate::store::Switchboard) does it for an organization's people.
pub trait SwitchAdmin: Send + Sync {
    /// The kill switches that are on.
    fn switches(&self, id: OrganizationId) -> StoreFuture<'_, SwitchesOn>;

    /// Turns a kill switch on, with a reason that the organization's people can read. The kill switch of the whole
    /// organization belongs to the operator; owners and admins can also turn off the others. `false` if the maximum
    /// number of the others is on.
    ///
    /// Every later hold checks the switch. Gateways that listen for changes cut open calls.
    fn turn_on<'a>(
        &'a self,
        id: OrganizationId,
        switch: &'a Switch,
        reason: Option<&'a str>,
    ) -> StoreFuture<'a, bool>;

    /// Turns a kill switch off, if it is on.
    fn turn_off<'a>(&'a self, id: OrganizationId, switch: &'a Switch) -> StoreFuture<'a, ()>;
}
