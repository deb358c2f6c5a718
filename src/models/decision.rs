//! Whether a caller may call a model, as a pure function.

use crate::{domain::policy::AllowList, refusal::Refusal, store::Standing};

/// Whether a caller with this standing may call `model`.
///
/// A caller with an unknown role may. Without a role claim and a membership, a person may call models
/// and see their own calls, and do nothing else.
pub(super) fn by_standing(standing: &Standing, model: &str) -> Result<(), Refusal> {
    if let Some(scope) = standing.suspended {
        return Err(Refusal::Suspended(scope));
    }
    if standing.role.is_some_and(|role| !role.may_call()) {
        return Err(Refusal::RoleNotAllowed);
    }
    by_list(&standing.policy.models, model)
}

/// Whether `model` is on the list.
pub(super) fn by_list(list: &AllowList, model: &str) -> Result<(), Refusal> {
    if list.allows(model) { Ok(()) } else { Err(Refusal::ModelNotAllowed(model.into())) }
}
