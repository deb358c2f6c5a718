//! Kill switches, set by the operator or by an organization's people.

use serde_json::{Value, json};

use super::problem::{Input, Problem, REASON_BYTES_MAX};
use crate::{
    context::Tenant,
    domain::{ids::OrganizationId, role::Role, switch::Switch},
    store::{Flipped, StoreError, Switchboard, admin::SwitchAdmin},
};

/// Checks a reason, which the organization's people can read.
pub(crate) fn reason(reason: Option<&str>) -> Result<Option<&str>, Input> {
    match reason {
        // Postgres accepts no NUL in a text.
        Some(text) if text.len() > REASON_BYTES_MAX || text.contains('\0') => Err(Input::Reason),
        reason => Ok(reason),
    }
}

/// A kill switch, and whether it is on.
#[derive(Debug)]
pub(crate) struct Turned {
    pub(crate) organization: OrganizationId,
    pub(crate) switch: Switch,
    pub(crate) on: bool,
}

/// A kill switch was not turned on.
#[derive(Debug)]
pub(crate) enum NotTurned {
    /// The reason is too long or contains NUL.
    Reason,
    /// The maximum number of kill switches is on.
    TooMany,
    /// The store failed.
    Store(StoreError),
}

/// Turns a kill switch on, for the operator.
pub(crate) async fn suspend(
    store: &impl SwitchAdmin,
    organization: OrganizationId,
    switch: Switch,
    why: Option<&str>,
) -> Result<Turned, Problem> {
    let turned = store.turn_on(organization, &switch, reason(why)?).await;
    if !turned.map_err(Problem::of(organization))? {
        return Err(Problem::TooManySwitches);
    }
    Ok(Turned { organization, switch, on: true })
}

/// Turns a kill switch off, for the operator.
pub(crate) async fn resume(
    store: &impl SwitchAdmin,
    organization: OrganizationId,
    switch: Switch,
) -> Result<Turned, Problem> {
    let turned = store.turn_off(organization, &switch).await;
    turned.map_err(Problem::of(organization))?;
    Ok(Turned { organization, switch, on: false })
}

impl Turned {
    pub(crate) fn document(&self) -> Value {
        let mut document = json!({"organization_id": self.organization, "suspended": self.on});
        if self.switch != Switch::Organization
            && let Some(fields) = document.as_object_mut()
        {
            fields.insert("scope".to_owned(), json!(self.switch.scope()));
            fields.insert("scope_id".to_owned(), json!(self.switch.scope_id()));
        }
        document
    }
}

/// Turns a kill switch on for a person of the organization, and returns its state after that.
pub(crate) async fn turn_on(
    board: &dyn Switchboard,
    tenant: &Tenant,
    role: Role,
    switch: &Switch,
    why: Option<&str>,
) -> Result<Flipped, NotTurned> {
    let why = reason(why).map_err(|_| NotTurned::Reason)?;
    let turned = board.turn_on(tenant, role, switch, why).await;
    turned.map_err(NotTurned::Store)?.ok_or(NotTurned::TooMany)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_a_text_that_postgres_takes_of_two_thousand_bytes_at_the_most() {
        let (longest, too_long) = ("x".repeat(2_000), "x".repeat(2_001));
        for fine in [None, Some(""), Some("a leaked key"), Some(&*longest)] {
            assert_eq!(reason(fine), Ok(fine));
        }
        for wrong in [&*too_long, "a\0b"] {
            assert_eq!(reason(Some(wrong)), Err(Input::Reason));
        }
    }
}
