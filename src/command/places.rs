//! `tollgate org create` and `org move`: where an organization's rows are.

use std::{
    io::{self, Write},
    sync::Arc,
};

use clap::ValueEnum;
use serde_json::{Value, json};

use super::{
    Failure,
    operator::{Operator as Named, begin, refused},
};
use crate::{
    domain::{ids::OrganizationId, place::Place},
    store::{
        StoreError,
        admin::{Copied, MoveError, OrganizationAdmin, PlaceAdmin, TellStep, Whereabouts},
    },
};

/// Where an organization's rows are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Placement {
    /// In the tables that organizations share
    #[default]
    Row,
    /// In a schema of its own in the main database
    Schema,
    /// In a further database
    Database,
}

/// The place that was asked for.
pub(super) fn named(placement: Placement, database: Option<String>) -> Result<Place, Failure> {
    match (placement, database) {
        (Placement::Row, None) => Ok(Place::Row),
        (Placement::Schema, None) => Ok(Place::Schema),
        (Placement::Database, Some(name)) => Ok(Place::Database(name)),
        _ => Err(Failure::new(
            "--database names the place of an organization that has one of its own",
        )),
    }
}

pub(super) async fn create(
    id: OrganizationId,
    name: &str,
    time_zone: &str,
    place: &Place,
    operator: &Named,
) -> Result<(), Failure> {
    let (store, output) = begin(operator).await?;
    let created = store.create(id, name, time_zone, place).await;
    let created = created.map_err(|error| failed(id, error))?;
    if !created {
        return Err(Failure::new(format!("there is an organization {id} already")));
    }
    let whereabouts = store.whereabouts(id).await.map_err(|error| refused(id, error))?;
    output.result(
        format_args!(
            "{name} is {id}. It has no credits yet: tollgate credits grant --org {id} --amount 10"
        ),
        &json!({
            "organization_id": id,
            "name": name,
            "time_zone": time_zone,
            "placement": json_of(id, &whereabouts),
        }),
    )
}

pub(super) async fn move_to(
    id: OrganizationId,
    place: &Place,
    operator: &Named,
) -> Result<(), Failure> {
    let (store, output) = begin(operator).await?;
    let copied = store.move_to(id, place, told()).await.map_err(|error| failed(id, error))?;
    let moved = copied.is_some();
    let Copied { rows: tables, rows_held_up, held_up } = copied.unwrap_or_default();
    let rows = tables.values().fold(0_i64, |sum, rows| sum.saturating_add(*rows));
    let held_up_ms = u64::try_from(held_up.as_millis()).unwrap_or(u64::MAX);
    let text = if moved {
        format!(
            "{id} is in {place} now: {rows} rows, {rows_held_up} of them copied while calls waited, for {held_up_ms} ms."
        )
    } else {
        format!("{id} is in {place} already.")
    };
    let document = json!({
        "organization_id": id,
        "moved": moved,
        "rows": rows,
        "rows_held_up": rows_held_up,
        "held_up_ms": held_up_ms,
        "tables": tables,
    });
    output.result(text, &document)
}

pub(super) async fn abort(id: OrganizationId, operator: &Named) -> Result<(), Failure> {
    let (store, output) = begin(operator).await?;
    store.abort_move(id, told()).await.map_err(|error| failed(id, error))?;
    let whereabouts = store.whereabouts(id).await.map_err(|error| refused(id, error))?;
    output.result(
        format_args!("{id} stays in {}.", whereabouts.place),
        &json!({"organization_id": id, "placement": json_of(id, &whereabouts)}),
    )
}

/// The steps of a move, for whoever watches; nobody has to.
fn told() -> TellStep {
    Arc::new(|step| drop(writeln!(io::stderr().lock(), "{step}")))
}

fn failed(id: OrganizationId, error: MoveError) -> Failure {
    if let MoveError::Store(error) = error {
        return refused(id, error);
    }
    if let MoveError::UnknownTimeZone(zone) = &error {
        return Failure::new(format!(
            "{zone} is no time zone that this Postgres knows: write it as Europe/Berlin"
        ));
    }
    if let MoveError::OtherMove(place) = &error {
        return Failure::new(format!(
            "{id} is being moved to {place}: finish that first (`tollgate org move {id} --to …`), or undo it with --abort"
        ));
    }
    if matches!(error, MoveError::UnknownOrganization) {
        return refused(id, StoreError::UnknownOrganization);
    }
    error.into()
}

/// Nothing for an organization that shares its tables and stays.
pub(super) fn text_of(whereabouts: &Whereabouts) -> String {
    let Whereabouts { place, moving_to, held_up, moved_from } = whereabouts;
    let mut text = String::new();
    if *place != Place::Row {
        text.extend(["\n  Placed in ", &place.to_string(), "."]);
    }
    if let Some(to) = moving_to {
        let calls = if *held_up { "its calls wait" } else { "its calls go on" };
        text.extend(["\n  Being moved to ", &to.to_string(), "; ", calls, "."]);
    }
    if let Some(from) = moved_from {
        let from = from.to_string();
        text.extend(["\n  Moved; what it left in ", &from, " is yet to be removed."]);
    }
    text
}

pub(super) fn json_of(id: OrganizationId, whereabouts: &Whereabouts) -> Value {
    let name = |place: &Option<Place>| place.as_ref().map(ToString::to_string);
    json!({
        "kind": whereabouts.place.placement(),
        "name": whereabouts.place.name(id),
        "moving_to": name(&whereabouts.moving_to),
        "held_up": whereabouts.held_up,
        "moved_from": name(&whereabouts.moved_from),
    })
}
