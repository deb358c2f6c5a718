//! Where organizations are, and moving them.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use crate::{
    domain::{ids::OrganizationId, place::Place},
    store::{StoreError, StoreFuture},
};

/// Where an organization is, and what is under way with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Whereabouts {
    /// Where its rows are.
    pub place: Place,
    /// Where it is being moved.
    pub moving_to: Option<Place>,
    /// Whether its calls wait, because the last of it is being copied.
    pub held_up: bool,
    /// Where rows of it are left that nobody uses any more.
    pub moved_from: Option<Place>,
}

/// What was copied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Copied {
    /// All rows, by table.
    pub rows: BTreeMap<String, i64>,
    /// How many of them while calls waited.
    pub rows_held_up: i64,
    /// How long calls waited.
    pub held_up: Duration,
}

/// What a move has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// The new place is made ready.
    Preparing,
    /// What may be long is copied; calls go on.
    Copying,
    /// Calls wait.
    HeldUp,
    /// Calls go on in the new place.
    Moved,
    /// Calls go on in the old place: the move is undone.
    LetGo,
    /// What nobody uses any more is removed.
    Removing,
}

/// An organization was not moved, or not created in its place. What was begun is kept, for the next attempt or to be
/// undone, and calls are not held up by it, except where that is said.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MoveError {
    /// No database knows the time zone.
    #[error("{0} is not a time zone")]
    UnknownTimeZone(String),
    /// The login of the operator may not do it.
    #[error("{0}. This needs the administrator of both databases, not tollgate_login")]
    Forbidden(#[source] StoreError),
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

/// Is told the steps of a move.
pub type TellStep = Arc<dyn Fn(Step) + Send + Sync>;

/// Moves organizations while their calls go on.
pub trait PlaceAdmin: Send + Sync {
    /// Moves an organization, or goes on where a move to the same place stopped. `None` if it is there already.
    ///
    /// # Errors
    /// See [`MoveError`].
    fn move_to<'a>(
        &'a self,
        id: OrganizationId,
        place: &'a Place,
        tell: TellStep,
    ) -> StoreFuture<'a, Option<Copied>, MoveError>;

    /// Undoes a move that was begun and has not come to its end.
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
