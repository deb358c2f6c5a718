//! The command as its users run it: as a process, with its line of JSON, its ports and its signals. Also runs the
//! commands of the README.
#![cfg(feature = "server")]
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
mod operate;
mod readme;
mod seals;
mod serve;
mod switches;
mod upstream;

use crate::{logs, program};
