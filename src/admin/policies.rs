//! Policies.

use serde_json::{Map, Value};

use super::problem::Problem;
use crate::{
    domain::{ids::OrganizationId, policy::Policy},
    store::admin::{OrganizationAdmin, PolicyAdmin, PolicyError},
};

/// A change of a policy.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Change(Map<String, Value>);

impl Change {
    /// A change from JSON. Its members are a policy's, and `null` restores a default.
    pub(crate) fn read(json: &[u8]) -> Result<Self, Problem> {
        match serde_json::from_slice(json) {
            Ok(Value::Object(change)) => Ok(Self(change)),
            Ok(_) => Err(Problem::NoPolicyObject),
            Err(error) => Err(Problem::NotAPolicy(error)),
        }
    }
}

pub(crate) async fn show(
    store: &impl OrganizationAdmin,
    id: OrganizationId,
) -> Result<Policy, Problem> {
    Ok(store.organization(id).await.map_err(Problem::of(id))?.policy)
}

/// Changes the members that are named, and returns the resulting policy.
pub(crate) async fn change(
    store: &impl PolicyAdmin,
    id: OrganizationId,
    change: Change,
) -> Result<Policy, Problem> {
    store.patch_policy(id, &Value::Object(change.0)).await.map_err(problem(id))
}

/// Replaces the policy. Members that are not named get their defaults.
pub(crate) async fn replace(
    store: &impl PolicyAdmin,
    id: OrganizationId,
    change: Change,
) -> Result<Policy, Problem> {
    let policy = serde_json::from_value(Value::Object(change.0)).map_err(Problem::NotAPolicy)?;
    store.set_policy(id, &policy).await.map_err(problem(id))?;
    Ok(policy)
}

fn problem(id: OrganizationId) -> impl Fn(PolicyError) -> Problem {
    move |error| match error {
        PolicyError::Invalid(error) => Problem::NotAPolicy(error),
        PolicyError::Store(error) => Problem::of(id)(error),
    }
}
