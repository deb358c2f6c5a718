//! The harness of all cases: a gateway with real parts around it, clients that misbehave, and the checker that reads
//! the books afterwards.

mod ask;
mod books;
mod bounds;
mod client;
mod columns;
mod house;

use std::time::Duration;

use tokio::time::{Instant, sleep};

pub(crate) use crate::logs;
pub(crate) use ask::{Ask, BOTH, MODEL, cost, plain_cost, price};
pub(crate) use books::Row;
pub(crate) use client::{Answer, Client};
pub(crate) use columns::Columns;
pub(crate) use house::{House, Org, Setup};

/// Credits that last.
pub(crate) const RICH: i64 = 1_000_000_000_000;

/// How long anything may take that must happen. Never waited for in full, unless it does not.
pub(crate) const DEADLINE: Duration = Duration::from_secs(45);

/// Waits until `holds` is, within the deadline.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let begun = Instant::now();
    while !holds().await {
        assert!(begun.elapsed() < DEADLINE, "it never came to this: {what}");
        sleep(Duration::from_millis(5)).await;
    }
}

/// Numbers that look random and are the same in every run: a failure can be looked at again.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        // SplitMix64
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let end = u64::try_from(end).unwrap();
        usize::try_from((mixed ^ (mixed >> 31)) % end).unwrap()
    }
}
