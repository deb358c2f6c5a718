use uuid::Uuid;

use super::*;

#[test]
fn a_hundred_thousand_organizations_fit() {
    let store = MemoryStore::default();
    let ids: Vec<_> = (0..100_000).map(|_| OrganizationId::new(Uuid::now_v7())).collect();
    assert!(ids.iter().all(|id| store.create_organization(*id)));
    assert!(ids.iter().all(|id| !store.create_organization(*id)));
    assert!(ids.iter().all(|id| store.reconcile(*id).unwrap().is_empty()));
}
