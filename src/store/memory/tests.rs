use uuid::Uuid;

use super::*;
use crate::{domain::scope::Scope, testing};

#[test]
fn a_hundred_thousand_organizations_fit() {
    let store = MemoryStore::default();
    let ids: Vec<_> = (0..100_000).map(|_| OrganizationId::new(Uuid::now_v7())).collect();
    assert!(ids.iter().all(|id| store.create_organization(*id)));
    assert!(ids.iter().all(|id| !store.create_organization(*id)));
    assert!(ids.iter().all(|id| store.reconcile(*id).unwrap().is_empty()));
}

fn one() -> (MemoryStore, Tenant) {
    let store = MemoryStore::default();
    let tenant = testing::tenant();
    store.create_organization(tenant.organization_id());
    store.grant_credits(tenant.organization_id(), Credits::from_nanos(1_000)).unwrap();
    (store, tenant)
}

async fn hold(store: &MemoryStore, tenant: &Tenant) -> (RequestId, HoldVerdict) {
    let request_id = RequestId::generate();
    let ttl = Duration::from_mins(1);
    let asked = HoldRequest { request_id, amount: Credits::from_nanos(10), tokens: 5, ttl };
    (request_id, store.hold(tenant, asked).await.unwrap())
}

#[tokio::test]
async fn a_hold_whose_time_is_over_expires_once() {
    let (store, tenant) = one();
    let id = tenant.organization_id();
    let (overdue, verdict) = hold(&store, &tenant).await;
    assert_eq!(
        (verdict, hold(&store, &tenant).await.1),
        (HoldVerdict::Granted, HoldVerdict::Granted)
    );
    assert_eq!(store.expire(id).unwrap(), 0);
    store.end_time(id, overdue).unwrap();
    assert_eq!(store.balance(id).unwrap().held.nanos(), 20);
    assert_eq!(store.expire(id).unwrap(), 1);
    assert_eq!(store.balance(id).unwrap().held.nanos(), 10);
    assert_eq!(store.expire(id).unwrap(), 0);
}

#[tokio::test]
async fn a_switch_of_the_organizations_own_stops_whom_it_names_until_it_is_off() {
    let (store, tenant) = one();
    let (id, other) = (tenant.organization_id(), Tenant::new(tenant.organization_id(), "eve"));
    let switch = Switch::User(tenant.user_id().into());
    store.set_switch(id, switch.clone(), true).unwrap();
    assert_eq!(hold(&store, &tenant).await.1, HoldVerdict::Suspended(Scope::User));
    assert_eq!(hold(&store, &other).await.1, HoldVerdict::Granted);
    store.set_switch(id, switch, false).unwrap();
    assert_eq!(hold(&store, &tenant).await.1, HoldVerdict::Granted);
}

#[tokio::test]
async fn new_prices_are_in_force_with_the_next_reading() {
    let store = MemoryStore::default();
    let prices = Prices::new(PriceBook::default());
    store.set_prices(PriceBook::new([testing::price("small")]));
    assert_eq!(prices.current().len(), 0);
    prices.refresh(&store).await.unwrap();
    assert!(prices.current().get("small").is_some());
}
