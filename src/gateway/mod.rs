//! The ready-made server: configuration, telemetry, serving, shutdown.
//!
//! The server consists of this crate's layers and a provider router only. To build a different server, use the same
//! layers in your own code.

pub(crate) mod addresses;
mod assemble;
mod books;
mod changes;
pub mod config;
mod cors;
pub(crate) mod database;
pub mod dev;
mod dev_tokens;
mod dialect;
mod front;
mod in_memory;
pub(crate) mod installation;
pub mod issuer;
mod local;
mod metrics_list;
mod observe;
mod ready;
mod request_id;
mod route;
mod routes;
pub mod server;
pub(crate) mod signals;
pub mod telemetry;

pub use assemble::{Gateway, StartError, Stores, Upkeep};
pub use database::DatabaseError;
