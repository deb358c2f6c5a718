//! Inner services: they answer the calls that the layers have let through.
//!
//! Any `Service<Request<_>>` can stand inside the layers. The crate ships a [`Router`], which picks an [`upstream`] by
//! the request's dialect and model, and a [`mock`] that needs no network.

pub mod mock;
mod router;
pub mod upstream;

pub use router::{Route, Router, RouterFuture};
