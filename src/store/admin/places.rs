//! The places of organizations, and moves between places.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use crate::{
    domain::{ids::OrganizationId, place::Place},
    store::{StoreError, StoreFuture},
};

/// The place of an organization, and the state of its move.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Whereabouts {
    /// Where its rows are.
    pub place: Place,
    /// Where the organization is being moved.
    pub moving_to: Option<Place>,
    /// Whether its calls wait because its last rows are being copied.
    pub held_up: bool,
    /// Where a move has left rows that are no longer used.
    pub moved_from: Option<Place>,
}

/// How much was copied, and how long calls waited for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Copied {
    /// The number of rows, by table.
    pub rows: BTreeMap<String, i64>,
    /// How many rows were copied while calls waited.
    pub rows_held_up: i64,
    /// How long calls waited.
    pub held_up: Duration,
}

/// The progress of a move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// The new place is made ready.
    Preparing,
    /// Long tables are copied; calls go on.
    Copying,
    /// Calls wait.
    HeldUp,
    /// Calls go on in the new place.
    Moved,
    /// Calls go on in the old place: the move is undone.
    LetGo,
    /// Rows that are no longer used are removed.
    Removing,
}

/// An organization was not moved, or not created in its place. A move that has begun is kept, so that it can be resumed
/// or undone. It does not hold up calls, unless the variant says so.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MoveError {
    /// No database knows the time zone.
    #[error("{0} is not a time zone")]
    UnknownTimeZone(String),
    /// The login of the operator may not do it.
    #[error("{0}. This needs the administrator of both databases, not tollgate_login")]
    Forbidden(#[source] StoreError),
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
    /// Foreign keys form a circle, so there is no order in which the tables can be filled.
    #[error("these tables reference each other by foreign keys: {}", .0.join(", "))]
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

/// A callback for the steps of a move.
pub type TellStep = Arc<dyn Fn(Step) + Send + Sync>;

/// Moves organizations while their calls go on.
pub trait PlaceAdmin: Send + Sync {
    /// Moves an organization, or resumes a move to the same place. `None` if the organization is in that place already.
    ///
    /// # Errors
    /// See [`MoveError`].
    fn move_to<'a>(
        &'a self,
        id: OrganizationId,
        place: &'a Place,
        tell: TellStep,
    ) -> StoreFuture<'a, Option<Copied>, MoveError>;

    /// Undoes a move that has begun and is not complete.
    ///
    /// # Errors
    /// See [`MoveError`].
    fn abort_move(&self, id: OrganizationId, tell: TellStep) -> StoreFuture<'_, (), MoveError>;
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Preparing => "the new place is made ready",
            Self::Copying => "copying; calls go on",
            Self::HeldUp => "calls are held up",
            Self::Moved => "moved: calls go on in the new place",
            Self::LetGo => "undone: calls go on in the old place",
            Self::Removing => "removing what is left behind",
        })
    }
}
