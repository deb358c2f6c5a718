//! The places of organizations, and moves between places.

use serde_json::{Value, json};

use super::problem::Problem;
use crate::{
    domain::{ids::OrganizationId, place::Place},
    store::admin::{Copied, MoveError, OrganizationAdmin, PlaceAdmin, TellStep, Whereabouts},
};

/// The result of a move.
#[derive(Debug)]
pub(crate) struct Moved {
    id: OrganizationId,
    /// `None` if the organization was in that place already.
    pub(crate) copied: Option<Copied>,
}

pub(crate) async fn move_to(
    store: &impl PlaceAdmin,
    id: OrganizationId,
    place: &Place,
    tell: TellStep,
) -> Result<Moved, Problem> {
    let copied = store.move_to(id, place, tell).await.map_err(|error| problem(id, error))?;
    Ok(Moved { id, copied })
}

impl Moved {
    pub(crate) fn document(&self) -> Value {
        let nothing = Copied::default();
        let copied = self.copied.as_ref().unwrap_or(&nothing);
        json!({
            "organization_id": self.id,
            "moved": self.copied.is_some(),
            "rows": rows(copied),
            "rows_held_up": copied.rows_held_up,
            "held_up_ms": held_up_ms(copied),
            "tables": copied.rows,
        })
    }
}

/// How many rows of all tables were copied.
pub(crate) fn rows(copied: &Copied) -> i64 {
    copied.rows.values().fold(0, |sum, rows| sum.saturating_add(*rows))
}

/// How long calls waited, in milliseconds.
pub(crate) fn held_up_ms(copied: &Copied) -> u64 {
    u64::try_from(copied.held_up.as_millis()).unwrap_or(u64::MAX)
}

/// Undoes a move, and returns where the organization stays.
pub(crate) async fn abort(
    store: &(impl OrganizationAdmin + PlaceAdmin),
    id: OrganizationId,
    tell: TellStep,
) -> Result<Whereabouts, Problem> {
    store.abort_move(id, tell).await.map_err(|error| problem(id, error))?;
    store.whereabouts(id).await.map_err(Problem::of(id))
}

/// The place of an organization, as part of a JSON document.
pub(crate) fn document(id: OrganizationId, whereabouts: &Whereabouts) -> Value {
    let name = |place: &Option<Place>| place.as_ref().map(ToString::to_string);
    json!({
        "kind": whereabouts.place.placement(),
        "name": whereabouts.place.name(id),
        "moving_to": name(&whereabouts.moving_to),
        "held_up": whereabouts.held_up,
        "moved_from": name(&whereabouts.moved_from),
    })
}

pub(super) fn problem(id: OrganizationId, error: MoveError) -> Problem {
    if matches!(error, MoveError::UnknownOrganization) {
        return Problem::UnknownOrganization(id);
    }
    if let MoveError::Store(error) = error {
        return Problem::of(id)(error);
    }
    Problem::Move(id, error)
}
