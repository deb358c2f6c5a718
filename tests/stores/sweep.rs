//! The store expires overdue holds of all organizations.

use std::time::Duration;

use tollgate::{Tenant, store::Ledger};

use super::fixture::{Fixture, Postgres, hold};

async fn overdue(f: &Postgres) -> Tenant {
    let ann = f.organization(100).await;
    let mut lost = hold(60, 10);
    lost.ttl = Duration::ZERO;
    f.store.hold(&ann, lost).await.unwrap();
    ann
}

#[tokio::test]
async fn an_organization_that_cannot_be_swept_does_not_keep_the_others_waiting() {
    let f = Postgres::start().await;
    let (stuck, other) = (overdue(&f).await, overdue(&f).await);
    let locking = f.database.connect().await.unwrap();
    let id = stuck.organization_id();
    let lock = format!(
        "begin; select from tollgate.credit_balances where organization_id = '{id}' for update"
    );
    locking.batch_execute(&lock).await.unwrap();
    assert_eq!(f.store.sweep().await.unwrap(), 1);
    assert_eq!(f.books(&other).await, (100, 0, 0));
    assert_eq!(f.books(&stuck).await, (100, 60, 0));
    locking.batch_execute("rollback").await.unwrap();
    assert_eq!(f.store.sweep().await.unwrap(), 1);
    assert_eq!(f.books(&stuck).await, (100, 0, 0));
}
