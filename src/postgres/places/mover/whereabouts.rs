//! Reads and writes where an organization is: in the directory, and in a place.

use tokio_postgres::{Row, types::Type};

use super::{MoveError, Place, Whereabouts, session::Session};
use crate::{
    postgres::{
        Parameter, Query,
        rows::{column, unexpected},
    },
    store::StoreError,
};

const STANDING: Query =
    Query::new(include_str!("../../sql/statements/places/standing_of.sql"), &[Type::UUID]);
const STAND: Query = Query::new(
    include_str!("../../sql/statements/places/stand.sql"),
    &[Type::UUID, Type::TEXT, Type::TEXT, Type::TEXT, Type::TEXT, Type::BOOL],
);
const HERE: &str = "row";
const ELSEWHERE: &str = "elsewhere";

impl Whereabouts {
    /// In this place, and not being moved.
    pub(super) const fn at(place: Place) -> Self {
        Self { place, moving_to: None, held_up: false, moved_from: None }
    }

    /// Reads the columns placement, place, `moving_to`, `moved_from`, `held_up`.
    pub(in crate::postgres) fn read(row: &Row) -> Result<Self, StoreError> {
        let placement: &str = column(row, 0)?;
        let named = |index| {
            let text: Option<&str> = column(row, index)?;
            let place = text.map(str::parse::<Place>).transpose();
            place.map_err(|error| unexpected(&error.to_string()))
        };
        Ok(Self {
            place: Place::from_directory(placement, column(row, 1)?)
                .ok_or_else(|| unexpected(&format!("placement {placement}")))?,
            moving_to: named(2)?,
            moved_from: named(3)?,
            held_up: column(row, 4)?,
        })
    }
}

/// Reads the whereabouts from the directory.
pub(super) async fn in_directory(main: &Session) -> Result<Whereabouts, MoveError> {
    let rows = main.run(&STANDING, &[&main.id().as_uuid()]).await?;
    let row = rows.first().ok_or(MoveError::UnknownOrganization)?;
    Ok(Whereabouts::read(row)?)
}

/// Writes the whereabouts into the directory.
pub(super) async fn set(main: &Session, whereabouts: &Whereabouts) -> Result<(), StoreError> {
    let Whereabouts { place, moving_to, held_up, moved_from } = whereabouts;
    let text = |place: &Option<Place>| place.as_ref().map(ToString::to_string);
    let name = place.name(main.id());
    write(main, place.placement(), name, text(moving_to), text(moved_from), *held_up).await
}

/// Marks the organization as in use in this place, and as being moved to `leaving_for` if that is given. Not for the
/// directory.
pub(super) async fn set_here(
    session: &Session,
    leaving_for: Option<&Place>,
) -> Result<(), StoreError> {
    let to = leaving_for.map(ToString::to_string);
    let held_up = to.is_some();
    write(session, HERE, None, to, None, held_up).await
}

/// Marks this place's copy of the organization as unused (`elsewhere`). Not for the directory.
pub(super) async fn set_elsewhere(session: &Session) -> Result<(), StoreError> {
    write(session, ELSEWHERE, None, None, None, false).await
}

async fn write(
    session: &Session,
    placement: &str,
    name: Option<String>,
    moving_to: Option<String>,
    moved_from: Option<String>,
    held_up: bool,
) -> Result<(), StoreError> {
    let parameters: [Parameter<'_>; 6] =
        [&session.id().as_uuid(), &placement, &name, &moving_to, &moved_from, &held_up];
    session.run(&STAND, &parameters).await.map(drop)
}
