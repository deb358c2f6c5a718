//! The ready-made server: configuration, telemetry, serving, shutdown.
//!
//! It is built from nothing but the layers of this crate and a provider router; whoever wants
//! another server takes the layers and writes their own.

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
