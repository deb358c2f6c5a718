//! Amounts at the limits of their range: a sum is exact, or the operation is refused and changes nothing.

use proptest::{
    collection::vec,
    prelude::*,
    strategy::ValueTree,
    test_runner::{Config, TestRunner},
};
use tollgate::{
    domain::{
        finish::Finished,
        hold::{HoldRequest, HoldVerdict},
        ids::RequestId,
    },
    store::{Balance, Journal, Ledger, StoreError},
};

use super::fixture::{Fixture, Memory, Postgres, costing, hold};

const HISTORIES: usize = 60;
const STEPS: usize = 12;
const EDGES: [i64; 8] =
    [0, 1, 2, i64::MAX / 2, i64::MAX / 2 + 1, i64::MAX - 2, i64::MAX - 1, i64::MAX];

#[derive(Clone, Debug)]
enum Step {
    Grant(i64),
    Hold(i64),
    /// Of the open hold at this place, counted round and round, if there is any.
    Finish(usize, i64),
    /// Of a call whose hold was lost.
    Late(i64),
}

fn amount() -> impl Strategy<Value = i64> {
    prop_oneof![6 => proptest::sample::select(&EDGES[..]), 2 => 0..=i64::MAX]
}

fn step() -> impl Strategy<Value = Step> {
    let below = prop_oneof![Just(i64::MIN), Just(-1)];
    prop_oneof![
        4 => amount().prop_map(|amount| Step::Grant(amount.max(1))),
        4 => amount().prop_map(Step::Hold),
        4 => (any::<usize>(), amount()).prop_map(|(place, amount)| Step::Finish(place, amount)),
        2 => amount().prop_map(Step::Late),
        1 => below.clone().prop_map(Step::Grant),
        1 => below.prop_map(Step::Hold),
    ]
}

/// The same books, in numbers that hold any sum of them.
#[derive(Clone, Debug, Default)]
struct Exact {
    posted: i128,
    held: i128,
    debt: i128,
    /// All that was ever charged or owed.
    spent: i128,
    open: Vec<HoldRequest>,
}

impl Exact {
    /// Whether it is granted.
    fn grant(&mut self, amount: i64) -> bool {
        let amount = i128::from(amount);
        let paid = self.debt.min(amount);
        let granted = amount >= 0 && self.posted + amount - paid <= i64::MAX.into();
        if granted {
            self.posted += amount - paid;
            self.debt -= paid;
        }
        granted
    }

    fn hold(&mut self, request: &HoldRequest) -> bool {
        let amount = i128::from(request.amount.nanos());
        let granted = amount >= 0 && self.debt == 0 && amount <= self.posted - self.held;
        if granted {
            self.held += amount;
            self.open.push(request.clone());
        }
        granted
    }

    /// What is charged and owed, where that can be counted.
    fn finish(&mut self, request: RequestId, amount: i64) -> Option<(i128, i128)> {
        let place = self.open.iter().position(|hold| hold.request_id == request);
        let own = place.map_or(0, |place| i128::from(self.open[place].amount.nanos()));
        let amount = i128::from(amount);
        let charged = amount.min(self.posted - self.held + own);
        let debt = amount - charged;
        if self.debt + debt > i64::MAX.into() {
            return None;
        }
        place.map(|place| self.open.remove(place));
        self.held -= own;
        self.posted -= charged;
        self.debt += debt;
        self.spent += amount;
        Some((charged, debt))
    }
}

impl Exact {
    /// The same in both ways; how many were refused.
    fn agrees(
        &mut self,
        finished: Result<Finished, StoreError>,
        request: RequestId,
        amount: i64,
        at: &str,
    ) -> usize {
        let mut after = self.clone();
        let expected = after.finish(request, amount);
        match finished {
            Ok(finished) => {
                let told = [finished.charged, finished.debt].map(|told| i128::from(told.nanos()));
                assert_eq!(expected, Some((told[0], told[1])), "{at}");
                assert!(!finished.replayed, "{at}");
                *self = after;
                0
            }
            Err(StoreError::Refused(_)) => {
                // Also for a sum on the way.
                let nearly = self.debt + i128::from(amount) > i64::MAX.into();
                assert!(expected.is_none() || nearly, "{at}: refused instead of {expected:?}");
                1
            }
            Err(error) => panic!("{at}: {error}"),
        }
    }
}

async fn every_sum_is_exact_or_refused<F: Fixture>() {
    let config = Config { failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, deterministic());
    let f = F::start().await;
    let mut refused = [0; 3];
    for _ in 0..HISTORIES {
        let steps = vec(step(), STEPS).new_tree(&mut runner).unwrap().current();
        let ann = f.organization(0).await;
        let mut exact = Exact::default();
        for (place, step) in steps.iter().enumerate() {
            let at = format!("step {place} of {steps:?}");
            match *step {
                Step::Grant(amount) => {
                    let granted = f.try_grant(ann.organization_id(), amount).await;
                    let mut after = exact.clone();
                    let fits = after.grant(amount);
                    if granted.is_ok() {
                        assert!(fits, "{at}: {granted:?}");
                        exact = after;
                    } else {
                        // Refused for a sum on the way is refused as well.
                        let nearly = exact.posted + i128::from(amount) > i64::MAX.into();
                        assert!(!fits || nearly, "{at}: {granted:?}");
                    }
                    refused[0] += usize::from(granted.is_err());
                }
                Step::Hold(amount) => {
                    let request = hold(amount, 1);
                    let verdict = f.store().hold(&ann, request.clone()).await;
                    let granted = matches!(verdict, Ok(HoldVerdict::Granted));
                    assert_eq!(granted, exact.hold(&request), "{at}: {verdict:?}");
                    refused[1] += usize::from(!granted);
                }
                Step::Finish(place, amount) => {
                    let Some(count) = std::num::NonZeroUsize::new(exact.open.len()) else {
                        continue;
                    };
                    let request = exact.open[place % count].request_id;
                    let finished = f.store().finish(&ann, &costing(request, amount, 1)).await;
                    refused[2] += exact.agrees(finished, request, amount, &at);
                }
                Step::Late(amount) => {
                    let request = RequestId::generate();
                    let finished = f.store().finish(&ann, &costing(request, amount, 1)).await;
                    refused[2] += exact.agrees(finished, request, amount, &at);
                }
            }
            // What reconcile sums up over all time must be an amount, too.
            let countable = exact.spent <= i64::MAX.into();
            if countable {
                assert_eq!(f.broken(ann.organization_id()).await, Vec::<String>::new(), "{at}");
            }
            let Balance { posted, held, debt } = f.balance(ann.organization_id()).await;
            let books = [posted, held, debt].map(|amount| i128::from(amount.nanos()));
            assert_eq!(books, [exact.posted, exact.held, exact.debt], "{at}");
        }
    }
    assert!(
        refused.iter().all(|count| *count > 5),
        "{refused:?} refused: too few to tell anything"
    );
}

fn deterministic() -> proptest::test_runner::TestRng {
    proptest::test_runner::TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha)
}

#[tokio::test]
async fn in_memory_every_sum_is_exact_or_refused() {
    every_sum_is_exact_or_refused::<Memory>().await;
}

#[tokio::test]
async fn in_postgres_every_sum_is_exact_or_refused() {
    every_sum_is_exact_or_refused::<Postgres>().await;
}
