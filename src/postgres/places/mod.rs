//! Where an organization's rows are: in the shared tables, in a schema of its own, or in a database of its own. An
//! organization can move from one place to another while its calls go on.
//!
//! The main database has the directory: `organizations` has a row of every organization there, wherever its other
//! rows are. [`PostgresStore`] sends each call to the place of its organization, and a [`Mover`] moves organizations.
//!
#![doc = include_str!("../../../docs/placements.md")]

mod anywhere;
mod directory;
mod lookups;
mod mover;
mod prices;
mod stores;
mod strays;
mod sweep;

pub use anywhere::PostgresStore;
pub use mover::Mover;

pub use crate::{
    domain::place::{Place, UnknownPlace},
    store::admin::{Copied, MoveError, Step, Whereabouts},
};
