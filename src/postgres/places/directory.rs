//! Reads from the directory in the main database where organizations are.

use tokio_postgres::{Row, types::Type};

use super::{Place, Whereabouts};
use crate::{
    domain::{ids::OrganizationId, role::Role},
    postgres::{
        door::{Door, DoorRole},
        query::Query,
        rows::{column, own_claims, unexpected},
    },
    store::StoreError,
};

const PLACED: Query = Query::new(include_str!("../sql/statements/places/placed.sql"), &[]);
const PLACE_OF: Query =
    Query::new(include_str!("../sql/statements/places/place_of.sql"), &[Type::UUID]);

const STANDING: Query =
    Query::new(include_str!("../sql/statements/places/standing_of.sql"), &[Type::UUID]);

/// All organizations that are not in the shared tables, with their places.
pub(super) async fn placed(main: &Door) -> Result<Vec<(OrganizationId, Place)>, StoreError> {
    let claims = own_claims(None, Some(Role::Platform.as_str()));
    let rows = main.run(&claims, DoorRole::Platform, &PLACED, &[]).await?;
    rows.iter().map(|row| Ok((OrganizationId::new(column(row, 0)?), place(row, 1)?))).collect()
}

/// The place of the organization; `None` if the organization does not exist.
pub(super) async fn place_of(main: &Door, id: OrganizationId) -> Result<Option<Place>, StoreError> {
    let claims = own_claims(None, Some(Role::Platform.as_str()));
    let rows = main.run(&claims, DoorRole::Platform, &PLACE_OF, &[&id.as_uuid()]).await?;
    rows.first().map(|row| place(row, 0)).transpose()
}

/// The place of the organization, and the state of its move.
pub(super) async fn whereabouts(
    main: &Door,
    id: OrganizationId,
) -> Result<Whereabouts, StoreError> {
    let claims = own_claims(None, Some(Role::Platform.as_str()));
    let rows = main.run(&claims, DoorRole::Platform, &STANDING, &[&id.as_uuid()]).await?;
    Whereabouts::read(rows.first().ok_or(StoreError::UnknownOrganization)?)
}

fn place(row: &Row, first: usize) -> Result<Place, StoreError> {
    let placement: &str = column(row, first)?;
    Place::from_directory(placement, column(row, first.saturating_add(1))?)
        .ok_or_else(|| unexpected(&format!("placement {placement}")))
}
