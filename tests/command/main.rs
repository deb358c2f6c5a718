//! The command as its users run it: as a process, with its line of JSON, its ports and its signals. Also runs the
//! commands of the README.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod budgets;
mod dev;
mod examples;
mod kit;
mod limits;
#[path = "../shared/logs.rs"]
#[expect(dead_code, reason = "shared with other suites, which use the rest")]
mod logs;
mod operate;
#[path = "../shared/program.rs"]
mod program;
mod readme;
mod seals;
mod serve;
mod switches;
mod upstream;
