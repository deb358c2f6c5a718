//! Many clients, few organizations, every operation, again and again: the books must balance.

use std::time::Duration;

use futures_util::future::join_all;
use tollgate::{
    Tenant,
    domain::{
        credits::Credits,
        hold::HoldRequest,
        policy::{Budgets, Policy},
    },
    store::{Journal, Ledger},
};

use crate::fixture::{Fixture, Postgres, costing, hold, releasing, unheld};

/// A small generator of its own, so that a failure repeats with its seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

const CLIENTS: u64 = 12;
const OPERATIONS: u64 = 150;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_books_balance_whatever_the_clients_do() {
    let f = Postgres::start().await;
    let mut tenants = Vec::new();
    for credits in [50, 500, 5_000] {
        let tenant = f.organization(credits).await;
        let budgets = Budgets { daily_tokens: Some(3_000), monthly_tokens: None };
        f.set_policy(tenant.organization_id(), Policy { budgets, ..Policy::default() }).await;
        tenants.push(tenant);
    }
    // The clients share the requests, so that they meet on the same ones.
    let requests: Vec<_> = (0..150).map(|n| hold(n % 40, n % 7)).collect();
    join_all((1..=CLIENTS).map(|seed| client(&f, &tenants, &requests, seed))).await;

    for tenant in &tenants {
        let (posted, held, debt) = f.books(tenant).await;
        assert!(posted >= held && debt >= 0);
        f.expire(tenant.organization_id()).await;
        f.books(tenant).await;
    }
    assert!(f.operator.reconcile().await.unwrap().broken.is_empty());
}

async fn client(f: &Postgres, tenants: &[Tenant], requests: &[HoldRequest], seed: u64) {
    let mut dice = Dice(seed * 7_919);
    for _ in 0..OPERATIONS {
        let tenant = &tenants[usize::try_from(dice.below(3)).unwrap()];
        let mut request = requests[usize::try_from(dice.below(150)).unwrap()].clone();
        let id = tenant.organization_id();
        let cost = i64::try_from(dice.below(60)).unwrap();
        match dice.below(12) {
            0..=4 => {
                if dice.below(4) == 0 {
                    request.ttl = Duration::ZERO;
                }
                f.store.hold(tenant, request).await.unwrap();
            }
            5..=7 => {
                f.store.finish(tenant, &costing(request.request_id, cost, cost)).await.unwrap();
            }
            8 => drop(f.store.finish(tenant, &releasing(request.request_id)).await.unwrap()),
            9 => {
                let fresh = hold(0, 0).request_id;
                f.store.finish(tenant, &unheld(fresh)).await.unwrap();
            }
            10 => {
                f.store.expire(id).await.unwrap();
            }
            _ => {
                let reference = format!("top-up {}", dice.below(20));
                let granted =
                    f.operator.grant_credits(id, Credits::from_nanos(100), Some(&reference));
                granted.await.unwrap();
            }
        }
    }
}

#[tokio::test]
async fn a_hold_that_nobody_waits_for_is_given_back() {
    let f = Postgres::start().await;
    let ann = f.organization(100).await;
    for polls in 1..=3 {
        let mut waiting = Box::pin(f.store.hold(&ann, hold(60, 10)));
        for _ in 0..polls {
            assert!(futures_util::poll!(waiting.as_mut()).is_pending());
        }
        drop(waiting);
        f.store.finish_holds(Duration::from_secs(10)).await;
        assert_eq!(f.books(&ann).await, (100, 0, 0));
    }
    assert!(f.store.hold(&ann, hold(100, 10)).await.is_ok());
    assert_eq!(f.books(&ann).await, (100, 100, 0));
}

#[tokio::test]
async fn a_sweep_expires_the_overdue_holds_of_every_organization() {
    let f = Postgres::start().await;
    let tenants = [f.organization(100).await, f.organization(100).await];
    for tenant in &tenants {
        let mut overdue = hold(40, 10);
        overdue.ttl = Duration::ZERO;
        f.store.hold(tenant, overdue).await.unwrap();
        f.store.hold(tenant, hold(10, 10)).await.unwrap();
    }
    assert_eq!(f.store.sweep().await.unwrap(), 2);
    assert_eq!(f.store.sweep().await.unwrap(), 0);
    for tenant in &tenants {
        assert_eq!(f.books(tenant).await, (100, 10, 0));
    }
}
