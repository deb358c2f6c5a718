//! Inner services: what answers a call once the layers have let it through.
//!
//! Any `Service<Request<_>>` can stand inside the layers; these ship with the crate: a [`mock`] that
//! needs no network.

pub mod mock;
