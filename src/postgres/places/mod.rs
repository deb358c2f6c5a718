//! Where an organization's rows are: in the tables that all share, in a schema of its own, or in a database of its
//! own; and moving it from one to another while calls go on.
//!
//! The main database has the directory: `organizations` has a row of every organization there, wherever its other
//! rows are. [`Places`] sends each call to where its organization is, and a [`Mover`] moves one.

mod anywhere;
mod directory;
mod lookups;
mod mover;
mod prices;
mod stores;
mod strays;
mod sweep;

pub use anywhere::Places;
pub use mover::Mover;

pub use crate::{
    domain::place::{Place, UnknownPlace},
    store::admin::{Copied, MoveError, Step, Whereabouts},
};
