//! The ready-made server: configuration, telemetry, serving, shutdown, and the commands.
//!
//! It is built from nothing but the layers of this crate and a provider router; whoever wants
//! another server takes the layers and writes their own.

pub mod config;
mod observe;
mod request_id;
mod route;
pub mod server;
pub mod telemetry;
