//! Why an organization was not moved.

use super::super::Place;
use crate::store::StoreError;

/// An organization was not moved, or not created in its place. A move that has begun is kept, so that it can be resumed
/// or undone. It does not hold up calls, unless the variant says so.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MoveError {
    /// The directory does not have the organization.
    #[error("there is no such organization")]
    UnknownOrganization,
    /// The configuration does not have the database.
    #[error("there is no {0} in the configuration: add it to [database.placements]")]
    Unconfigured(Place),
    /// Another program is moving the organization.
    #[error("another program is moving this organization")]
    Busy,
    /// A move to another place has begun.
    #[error("the organization is being moved to {0}: finish that move first, or undo it")]
    OtherMove(Place),
    /// There is nothing to undo.
    #[error("the organization is not being moved")]
    NotMoving,
    /// The move cannot be undone: the organization is in the new place, and only its old rows are still to be removed.
    #[error("the organization has moved already: move it back instead")]
    Moved,
    /// The database lacks migrations.
    #[error(
        "{place} lacks {missing} migrations: run `tollgate migrate` as its administrator first"
    )]
    Behind {
        /// The place.
        place: Place,
        /// How many migrations.
        missing: usize,
    },
    /// Memberships are read from another program's table, which only the main database has.
    #[error("memberships are read from `{0}`, which a separate database does not have")]
    Memberships(String),
    /// The two places have different tables.
    #[error("the tables of the two places are not the same: run `tollgate migrate` first")]
    OtherTables,
    /// Foreign keys that are not deferrable form a circle, so there is no order in which the tables can be filled.
    #[error("these tables reference each other by foreign keys that are not deferrable: {}", .0.join(", "))]
    Circle(Vec<String>),
    /// The copy of a table differs from the original.
    #[error("the copy of {0} differs from the original")]
    Differs(String),
    /// The old place still has rows after they were removed.
    #[error("{rows} rows of {table} are left in the old place")]
    Left {
        /// The table that has them.
        table: String,
        /// How many rows.
        rows: i64,
    },
    /// Transactions that wrote before calls were held up do not end.
    #[error(
        "transactions that have written in the old place do not end; their server processes: {0:?}"
    )]
    Writers(Vec<i32>),
    /// The directory may or may not have been changed: calls wait until the move is run again.
    #[error(
        "the last step may or may not have been done: run it again. Until then, calls of this organization are refused: {0}"
    )]
    Unsure(#[source] StoreError),
    /// A database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}
