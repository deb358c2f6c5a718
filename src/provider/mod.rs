//! Inner services: what answers a call once the layers have let it through.
//!
//! Any `Service<Request<_>>` can stand inside the layers; these ship with the crate: a [`Router`]
//! that picks an [`upstream`] by what is asked for, and a [`mock`] that needs no network.

pub mod mock;
mod router;
pub mod upstream;

pub use router::{Route, Router, RouterFuture, Target, TargetBody, TargetBroke, TargetFuture};
