//! `tollgate org move`, and the options for an organization's place.

use std::{
    io::{self, Write},
    sync::Arc,
};

use clap::ValueEnum;
use serde_json::json;

use super::{
    Failure,
    operator::{Operator, begin},
};
use crate::{
    admin::places,
    domain::{ids::OrganizationId, place::Place},
    store::admin::{TellStep, Whereabouts},
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

pub(super) async fn move_to(
    id: OrganizationId,
    place: &Place,
    operator: &Operator,
) -> Result<(), Failure> {
    let (store, output) = begin(operator).await?;
    let moved = places::move_to(&store, id, place, told()).await?;
    let text = match &moved.copied {
        Some(copied) => format!(
            "{id} is in {place} now: {} rows, {} of them copied while calls waited, for {} ms.",
            places::rows(copied),
            copied.rows_held_up,
            places::held_up_ms(copied)
        ),
        None => format!("{id} is in {place} already."),
    };
    output.result(text, &moved.document())
}

pub(super) async fn abort(id: OrganizationId, operator: &Operator) -> Result<(), Failure> {
    let (store, output) = begin(operator).await?;
    let whereabouts = places::abort(&store, id, told()).await?;
    output.result(
        format_args!("{id} stays in {}.", whereabouts.place),
        &json!({"organization_id": id, "placement": places::document(id, &whereabouts)}),
    )
}

/// Writes the steps of a move for a person who watches. A failed write is ignored.
fn told() -> TellStep {
    Arc::new(|step| drop(writeln!(io::stderr().lock(), "{step}")))
}

/// The place and the state of a move, as text. Empty for an organization in the shared tables that is not being moved.
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
