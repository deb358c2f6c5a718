//! Policies.

use serde_json::Value;

use crate::{
    domain::{ids::OrganizationId, policy::Policy},
    store::{StoreError, StoreFuture},
};

/// A change of a policy was not made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// What it comes to is not a policy.
    #[error("not a policy: {0}")]
    Invalid(#[from] serde_json::Error),
    /// The store did not take it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Sets policies. [`OrganizationAdmin::organization`](super::OrganizationAdmin::organization) shows them.
pub trait PolicyAdmin: Send + Sync {
    /// Replaces the whole policy.
    ///
    /// # Errors
    /// See [`PolicyError`].
    fn set_policy<'a>(
        &'a self,
        id: OrganizationId,
        policy: &'a Policy,
    ) -> StoreFuture<'a, (), PolicyError>;

    /// Changes what the merge patch (RFC 7396) names and leaves the rest, and returns what it comes to.
    ///
    /// # Errors
    /// The result is not a policy, or others change it all the time.
    fn patch_policy<'a>(
        &'a self,
        id: OrganizationId,
        patch: &'a Value,
    ) -> StoreFuture<'a, Policy, PolicyError>;
}
