//! All suites that run a gateway or a database, as one program: they mostly wait, and so they wait at the same time. A
//! suite is a folder: `cargo test --test suites money::` runs one, `cargo test --test suites money::exact` a part of it.
#![cfg(feature = "server")]

mod command;
mod harness;
mod identity;
#[path = "shared/logs.rs"]
#[expect(clippy::expect_used, clippy::indexing_slicing, reason = "a fault ends the tests")]
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
