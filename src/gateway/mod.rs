//! The ready-made server: configuration, telemetry, serving, shutdown, and the commands.
//!
//! It is built from nothing but the layers of this crate and a provider router; whoever wants
//! another server takes the layers and writes their own.

mod assemble;
mod books;
mod changes;
pub mod cli;
pub mod config;
mod cors;
mod database;
pub mod dev;
mod dev_tokens;
mod dialect;
mod front;
mod in_memory;
mod installation;
pub mod issuer;
mod observe;
mod ready;
mod request_id;
mod route;
mod routes;
pub mod server;
mod signals;
pub mod telemetry;

pub use assemble::{Gateway, StartError, Stores, Upkeep};
pub use database::DatabaseError;
