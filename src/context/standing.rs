//! The standing of a caller: what the organization may do, and the caller's role in it. Read once per call.

use std::sync::Arc;

use super::Tenant;
use crate::domain::{
    policy::{Policy, RateLimit},
    role::Role,
    scope::Scope,
};

/// What an organization may do, the caller's role in it, and the rates and switches that apply to the caller.
#[derive(Clone, Debug, Default)]
pub struct Standing {
    /// The organization's policy.
    pub policy: Arc<Policy>,
    /// The caller's role: from the token, else from the membership table, else unknown.
    pub role: Option<Role>,
    /// The rates that apply to this caller in addition to the policy's own.
    pub rates: Arc<[RateLimit]>,
    /// The widest scope of this caller in which a kill switch is on.
    pub suspended: Option<Scope>,
}

impl Standing {
    /// A standing by this policy alone, in this role.
    pub fn under(policy: Arc<Policy>, role: Option<Role>) -> Self {
        let suspended = policy.suspended.then_some(Scope::Organization);
        Self { policy, role, rates: Arc::default(), suspended }
    }
}

/// A standing that a layer has read, kept for the layers further in: all layers judge a call by one snapshot.
#[derive(Debug)]
pub(super) struct Learned {
    /// The number of the policies that gave it. Layers may have been given different ones.
    source: u64,
    /// The tenant that it is about. Kept alive, so that no other tenant can get the same address.
    tenant: Tenant,
    standing: Standing,
}

impl Learned {
    pub(super) const fn new(source: u64, tenant: Tenant, standing: Standing) -> Self {
        Self { source, tenant, standing }
    }

    /// The standing, if it came from these policies for this very tenant.
    pub(super) fn answer(&self, source: u64, tenant: &Tenant) -> Option<&Standing> {
        (self.source == source && self.tenant.is(tenant)).then_some(&self.standing)
    }
}
