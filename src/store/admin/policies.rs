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
    /// The result of the change is not a valid policy.
    #[error("not a policy: {0}")]
    Invalid(#[from] serde_json::Error),
    /// The store failed.
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

    /// Applies a merge patch (RFC 7396), and returns the resulting policy.
    ///
    /// # Errors
    /// The result is not a valid policy, or concurrent changes prevent this one.
    fn patch_policy<'a>(
        &'a self,
        id: OrganizationId,
        patch: &'a Value,
    ) -> StoreFuture<'a, Policy, PolicyError>;
}
