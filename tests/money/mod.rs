//! Money under concurrency, crashes and hostile callers. The gateways are separate processes over one database, and the
//! books are checked after each case.

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
