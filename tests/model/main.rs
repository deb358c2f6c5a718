//! Model checking of holds: explores every order of steps that two gateways, a provider, and a database server that may
//! crash at any moment can produce.
//!
//! The model's statements do what the SQL functions `hold` and `finish` do. Each is one step and commits
//! asynchronously, except a finish: it is reported as written only once everything up to it is on disk. A crash of the
//! server restores the state on disk. A crash of a gateway loses its calls.
#![expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::print_stderr,
    reason = "a model of few small numbers"
)]

mod ledger;
mod world;

use std::collections::BTreeSet;

use stateright::{Checker, HasDiscoveries, Model};
use world::{Flaw, World};

#[test]
fn in_every_order_the_books_balance_and_nobody_pays_twice() {
    for world in [World::of(&[2, 3], 4), World::of(&[1, 1], 1)] {
        let checker = world.checker().threads(2).spawn_bfs().join();
        checker.assert_properties();
        eprintln!("{} states", checker.unique_state_count());
        assert!(checker.unique_state_count() > 1_000, "{}", checker.unique_state_count());
    }
}

#[test]
fn each_flaw_breaks_what_must_always_hold() {
    for (flaw, broken) in [
        (
            Flaw::LateSettleForgetsTheExpiry,
            "a call is charged its cost, or its last heartbeat, once",
        ),
        (Flaw::FinishIsToldBeforeItIsOnDisk, "what was told as written stays written"),
        (Flaw::FinishIsNotIdempotent, "a call is charged its cost, or its last heartbeat, once"),
        (Flaw::SettlementTakesWhatOthersHold, "posted covers held, and neither is below zero"),
        (Flaw::LostHoldIsFree, "what was told as written was charged or is owed"),
        (Flaw::HoldLooksWithoutLock, "posted covers held, and neither is below zero"),
        (Flaw::ExpiryKeepsTheCredits, "held is the sum of open holds"),
        (Flaw::ProviderIsCalledFirst, "the provider works for granted holds only"),
    ] {
        let world = World { flaw: Some(flaw), ..World::of(&[2, 3], 4) };
        let until = HasDiscoveries::AnyOf(BTreeSet::from([broken]));
        let checker = world.checker().finish_when(until).spawn_bfs().join();
        assert!(checker.discovery(broken).is_some(), "{flaw:?} breaks nothing");
    }
}
