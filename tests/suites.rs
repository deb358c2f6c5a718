//! All suites that run a gateway or a database, as one program: one cluster, one harness, one link, and whatever waits
//! does so beside the others. A suite is a folder: `cargo test --test suites money::` runs one, `cargo test --test suites
//! money::exact` a part of it.
#![cfg(feature = "server")]
#![expect(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a test fails by panicking, and its figures are small"
)]

mod command;
mod harness;
mod identity;
#[path = "shared/logs.rs"]
mod logs;
mod money;
mod neighbours;
mod places;
mod postgres_floor;
mod prices;
#[path = "shared/program.rs"]
mod program;
mod prove;
mod stores;
mod survive;
mod tls;
