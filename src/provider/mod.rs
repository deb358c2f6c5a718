//! Inner services: they answer the calls that the layers have let through.
//!
//! Any `Service<Request<_>>` can stand inside the layers. The crate ships a [`Router`], which picks a provider by
//! the request's dialect and model, and a [`mock`] that needs no network. With the feature `http` it also ships an
//! [`upstream`]: a provider behind a URL.

pub mod mock;
mod router;
#[cfg(feature = "http")]
pub mod upstream;

pub use router::{Route, Router, RouterFuture};
