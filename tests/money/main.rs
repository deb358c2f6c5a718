//! Money under concurrency, crashes and hostile callers. The gateways are separate processes over one database, and the
//! books are checked after each case.
#![cfg(feature = "server")]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::print_stderr,
    reason = "a test that cannot be set up has failed"
)]

mod books;
mod cases;
#[path = "../stores/corruptions.rs"]
mod corruptions;
mod covered;
mod disk;
mod exact;
mod failover;
#[path = "../survive/harness/mod.rs"]
#[expect(dead_code, unused_imports, reason = "shared with another suite, which uses the rest")]
mod harness;
mod kills;
mod load;
mod metrics;
mod outages;
mod process;
#[path = "../shared/program.rs"]
mod program;
mod providers;
