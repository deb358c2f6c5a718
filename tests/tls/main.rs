//! TLS: to Postgres by every way the program has, to providers, and to whoever publishes the keys of tokens. What is not
//! proven to be the other side is told nothing: no password, no key of a provider, no prompt.
//!
//! The authority is the test's own, and the program is run as a process, which is told to trust it by `SSL_CERT_FILE`.
#![cfg(feature = "server")]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test that cannot be set up has failed"
)]

mod authority;
mod cancel;
mod door;
mod encrypted;
mod front;
#[path = "../survive/harness/mod.rs"]
#[expect(dead_code, unused_imports, reason = "shared with another suite, which uses the rest")]
mod harness;
mod keys;
mod modes;
mod plain;
mod process;
#[path = "../shared/program.rs"]
mod program;
mod providers;
mod refused;
mod server;
