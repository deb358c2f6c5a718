//! Kill switches: which are on, and turning them on and off in the role of the caller.

use tokio_postgres::{Row, error::SqlState, types::Type};

use super::{
    door::{Door, DoorRole, Step},
    error::PostgresError,
    query::{Parameter, Query},
    rows::{column, known, own_claims, unexpected},
};
use crate::{
    domain::{
        ids::OrganizationId,
        role::Role,
        scope::UnknownScope,
        switch::{Switch, Switches},
    },
    store::{Flipped, StoreError, SwitchesOn},
};

const SWITCHES: Query =
    Query::new(include_str!("sql/statements/limits/switches.sql"), &[Type::UUID]);
const SUSPENSION: Query =
    Query::new(include_str!("sql/statements/limits/suspension.sql"), &[Type::UUID]);
const KILL_SWITCHES: Query = Query::new(
    include_str!("sql/statements/limits/kill_switches.sql"),
    &[Type::UUID, Type::TEXT, Type::TEXT],
);
const TURN_ON: Query = Query::new(
    include_str!("sql/statements/limits/turn_switch_on.sql"),
    &[Type::UUID, Type::TEXT, Type::TEXT, Type::TEXT, Type::INT8],
);
const TURN_OFF: Query = Query::new(
    include_str!("sql/statements/limits/turn_switch_off.sql"),
    &[Type::UUID, Type::TEXT, Type::TEXT],
);

/// How many switches may be on in one organization: all of them are read whenever one changes.
const ON_MAX: i64 = 1_000;

/// All switches that are on; an error if the organization is not here.
pub(super) async fn on(door: &Door, organization: OrganizationId) -> Result<Switches, StoreError> {
    let id = organization.as_uuid();
    let claims = own_claims(Some(id), Some(Role::Viewer.as_str()));
    let organization: [Parameter<'_>; 1] = [&id];
    let steps = [Step::new(&SUSPENSION, &organization), Step::new(&SWITCHES, &organization)];
    let answers = door.run_all(&claims, DoorRole::Viewer, &steps).await?;
    let mut on = Switches::default();
    for row in there(&answers)? {
        if let Some(switch) = switch(row)? {
            on.insert(switch);
        }
    }
    Ok(on)
}

pub(super) async fn list(
    door: &Door,
    claims: &str,
    role: DoorRole,
    organization: OrganizationId,
) -> Result<SwitchesOn, StoreError> {
    let id = organization.as_uuid();
    let (all, nobody): (Option<&str>, Option<&str>) = (None, None);
    let suspension: [Parameter<'_>; 1] = [&id];
    let everything: [Parameter<'_>; 3] = [&id, &all, &nobody];
    let steps = [Step::new(&SUSPENSION, &suspension), Step::new(&KILL_SWITCHES, &everything)];
    let answers = door.run_all(claims, role, &steps).await.map_err(forbidden)?;
    let [suspension, rows] = answers.as_slice() else {
        return Err(unexpected("not one for each step"));
    };
    let suspension = suspension.first().ok_or(StoreError::UnknownOrganization)?;
    let mut own = Vec::with_capacity(rows.len());
    for row in rows {
        own.extend(flipped(row)?);
    }
    Ok(SwitchesOn {
        own,
        by_operator: column(suspension, 0)?,
        operator_reason: column(suspension, 1)?,
        by_policy: column(suspension, 2)?,
    })
}

pub(super) async fn turn_on(
    door: &Door,
    claims: &str,
    role: DoorRole,
    organization: OrganizationId,
    switch: &Switch,
    reason: Option<&str>,
) -> Result<Option<Flipped>, StoreError> {
    let (id, scope, scope_id) =
        (organization.as_uuid(), switch.scope().as_str(), switch.scope_id());
    let scope_id = &*scope_id;
    let turn: [Parameter<'_>; 5] = [&id, &scope, &scope_id, &reason, &ON_MAX];
    let show: [Parameter<'_>; 3] = [&id, &scope, &scope_id];
    let steps = [Step::new(&TURN_ON, &turn), Step::new(&KILL_SWITCHES, &show)];
    let answers = door.run_all(claims, role, &steps).await.map_err(forbidden)?;
    match answers.last().and_then(|rows| rows.first()) {
        Some(row) => flipped(row),
        None => Ok(None),
    }
}

pub(super) async fn turn_off(
    door: &Door,
    claims: &str,
    role: DoorRole,
    organization: OrganizationId,
    switch: &Switch,
) -> Result<(), StoreError> {
    let (id, scope, scope_id) =
        (organization.as_uuid(), switch.scope().as_str(), switch.scope_id());
    // A missing organization is an error, unlike a switch that is off already.
    let organization: [Parameter<'_>; 1] = [&id];
    let turn: [Parameter<'_>; 3] = [&id, &scope, &&*scope_id];
    let steps = [
        Step::new(&SUSPENSION, &organization),
        Step::new(&TURN_OFF, &turn),
        Step::new(&KILL_SWITCHES, &turn),
    ];
    let answers = door.run_all(claims, role, &steps).await.map_err(forbidden)?;
    match answers.as_slice() {
        [organization, ..] if organization.is_empty() => Err(StoreError::UnknownOrganization),
        // Row-level security leaves out of a DELETE what the caller may not delete, without an error.
        [_, _, still_on] if !still_on.is_empty() => Err(StoreError::Forbidden),
        [_, _, _] => Ok(()),
        _ => Err(unexpected("not one for each step")),
    }
}

/// The rows of the second statement, if the first one, [`SUSPENSION`], has found the organization.
fn there(answers: &[Vec<Row>]) -> Result<&[Row], StoreError> {
    match answers {
        [organization, rows] if !organization.is_empty() => Ok(rows),
        [_, _] => Err(StoreError::UnknownOrganization),
        _ => Err(unexpected("not one for each step")),
    }
}

/// The switch that a row describes; `None` if its id can belong to nobody.
fn switch(row: &Row) -> Result<Option<Switch>, StoreError> {
    let scope = column::<&str>(row, 0)?.parse();
    let scope = scope.map_err(|error: UnknownScope| unexpected(&error.to_string()))?;
    Ok(Switch::read(scope, column(row, 1)?).ok())
}

/// As [`switch`], with the other columns of the row.
fn flipped(row: &Row) -> Result<Option<Flipped>, StoreError> {
    let Some(switch) = switch(row)? else { return Ok(None) };
    Ok(Some(Flipped {
        switch,
        reason: column(row, 2)?,
        switched_by: column(row, 3)?,
        switched_at: column(row, 4)?,
    }))
}

/// Row-level security and grants decide who may: a call that they refuse is forbidden, and not a fault of the store.
fn forbidden(error: StoreError) -> StoreError {
    match PostgresError::of(&error).and_then(PostgresError::code) {
        Some(&SqlState::INSUFFICIENT_PRIVILEGE) => StoreError::Forbidden,
        // A switch has a foreign key to its organization.
        Some(&SqlState::FOREIGN_KEY_VIOLATION) => StoreError::UnknownOrganization,
        _ => known(error),
    }
}
