//! Organizations in the shared tables, in their own schemas and in further databases, and moves between these places
//! while calls go on.

mod away;
mod blocked;
mod calls;
mod caps;
mod changes;
mod command;
mod crowd;
mod death;
mod moves;
mod proof;
mod residence;
mod sealed;
mod stale;
mod street;
mod sweep;
mod switches;
mod walk;

use crate::{harness, program};
