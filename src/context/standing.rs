//! What an organization may do and what the caller is in it: asked for once a call.

use std::sync::Arc;

use super::Tenant;
use crate::domain::{
    policy::{Policy, RateLimit},
    role::Role,
    scope::Scope,
};

/// What an organization may do, what the caller is in it, and what holds for this caller.
#[derive(Clone, Debug, Default)]
pub struct Standing {
    /// The organization's policy.
    pub policy: Arc<Policy>,
    /// The caller's role: the token's, else the membership table's, else unknown.
    pub role: Option<Role>,
    /// Rates beside the policy's own that this caller meets.
    pub rates: Arc<[RateLimit]>,
    /// The kill switch is on: the widest scope of this caller for which it is.
    pub suspended: Option<Scope>,
}

impl Standing {
    /// The standing of everybody under one policy, in the role that the tenant has.
    pub fn under(policy: Arc<Policy>, role: Option<Role>) -> Self {
        let suspended = policy.suspended.then_some(Scope::Organization);
        Self { policy, role, rates: Arc::default(), suspended }
    }
}

/// A standing that a layer has learned, for the layers further in: one snapshot judges all of a call.
#[derive(Debug)]
pub(super) struct Learned {
    /// Which policies were asked: layers may have been given different ones.
    source: u64,
    /// Who they were asked about; kept, so that its address stays its own.
    tenant: Tenant,
    standing: Standing,
}

impl Learned {
    pub(super) const fn new(source: u64, tenant: Tenant, standing: Standing) -> Self {
        Self { source, tenant, standing }
    }

    /// The standing, where the same policies are asked about the very same tenant.
    pub(super) fn answer(&self, source: u64, tenant: &Tenant) -> Option<&Standing> {
        (self.source == source && self.tenant.is(tenant)).then_some(&self.standing)
    }
}
