//! Money under concurrency, crashes and hostile callers. The gateways are separate processes over one database, and the
//! books are checked after each case.
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
mod covered;
mod disk;
mod exact;
mod failover;
mod kills;
mod load;
mod metrics;
mod outages;
mod process;
mod providers;

use crate::{harness, program, stores::corruptions};
