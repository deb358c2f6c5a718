//! Why an organization was not moved.

use super::super::Place;
use crate::store::StoreError;

/// An organization was not moved, or not created in its place. What was begun is kept, for the next attempt or to be
/// undone, and calls are not held up by it, except where that is said.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MoveError {
    /// The directory does not have it.
    #[error("there is no such organization")]
    UnknownOrganization,
    /// The configuration does not have the database.
    #[error("there is no {0} in the configuration: add it to [database.placements]")]
    Unconfigured(Place),
    /// Another program is at it.
    #[error("another program is moving this organization")]
    Busy,
    /// It is on its way to somewhere else.
    #[error("it is being moved to {0}: finish that first, or undo it")]
    OtherMove(Place),
    /// There is nothing to undo.
    #[error("it is not being moved")]
    NotMoving,
    /// It has arrived, and cannot be called back: only what it left behind has yet to be removed.
    #[error("it has moved already: move it back instead")]
    Moved,
    /// The database lacks migrations.
    #[error(
        "{place} lacks {missing} migrations: run `tollgate migrate` as its administrator first"
    )]
    Behind {
        /// Which.
        place: Place,
        /// How many.
        missing: usize,
    },
    /// Memberships are read from another program's table, which only the main database has.
    #[error("memberships are read from `{0}`, which a database of its own does not have")]
    Memberships(String),
    /// The two places have different tables.
    #[error("the tables of the two places are not the same: run `tollgate migrate` first")]
    OtherTables,
    /// Tables that point at each other cannot be filled in any order.
    #[error("these tables point at each other, and not deferrably: {}", .0.join(", "))]
    Circle(Vec<String>),
    /// What was copied is not what it was copied from.
    #[error("the copy of {0} is not the same as what was copied")]
    Differs(String),
    /// Rows are left where none should be.
    #[error("{rows} rows of {table} are left in the old place")]
    Left {
        /// Of which table.
        table: String,
        /// How many.
        rows: i64,
    },
    /// Transactions that wrote before calls were held up do not end.
    #[error("transactions that have written do not end; their server processes: {0:?}")]
    Writers(Vec<i32>),
    /// Nobody knows whether the directory was changed: calls wait until it is run again.
    #[error(
        "the last step may or may not have been done: run it again. Until then, calls of this organization are refused: {0}"
    )]
    Unsure(#[source] StoreError),
    /// A database does not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}
