//! A transaction that did not begin, which tests from outside cannot cause.

use tokio_postgres::types::Type;

use super::*;
use crate::postgres::{PoolConfig, cluster::testing};

#[tokio::test]
async fn where_no_transaction_begins_nothing_is_stored_and_the_connection_goes() {
    const INSERT: Query = Query::new("insert into tollgate.floor values ($1)", &[Type::INT4]);
    const BACKEND: Query = Query::new("select pg_backend_pid()", &[]);
    let database = testing::database().await.unwrap();
    let admin = database.connect().await.unwrap();
    let sql =
        "create table tollgate.floor (v int); grant insert on tollgate.floor to tollgate_member";
    admin.batch_execute(sql).await.unwrap();

    let mut config = PoolConfig::new(database.config());
    config.connection.user("tollgate_login");
    config.connections_max = 1;
    let pool = Pool::connect(config).unwrap();
    let before: i32 = pool.call(&BACKEND, &[]).await.unwrap().get(0);
    let door = Door::new(pool.clone());
    let parameters: [Parameter<'_>; 1] = [&1_i32];
    let steps = [Step::new(&INSERT, &parameters)];
    let failed = door.begin_with("begin nonsense", "{}", DoorRole::Member, &steps).await;
    assert!(matches!(failed, Err(StoreError::Refused(_))), "{failed:?}");

    let stored: i64 =
        admin.query_one("select count(*) from tollgate.floor", &[]).await.unwrap().get(0);
    assert_eq!(stored, 0);
    let after: i32 = pool.call(&BACKEND, &[]).await.unwrap().get(0);
    assert_ne!(before, after);
    door.begin_with("begin", "{}", DoorRole::Member, &steps).await.unwrap();
}

#[tokio::test]
async fn more_statements_than_a_transaction_may_have_are_refused_unsent() {
    const NOTHING: Query = Query::new("select", &[]);
    let mut nowhere = tokio_postgres::Config::new();
    nowhere.host_path("/nowhere/at/all").user("nobody");
    let door = Door::new(Pool::connect(PoolConfig::new(nowhere)).unwrap());
    let steps = [Step::new(&NOTHING, &[]); Door::STEPS_MAX + 1];
    let refused = door.run_all("{}", DoorRole::Viewer, &steps).await;
    assert!(matches!(refused, Err(StoreError::Refused(_))));
    let away = door.run("{}", DoorRole::Viewer, &NOTHING, &[]).await;
    assert!(matches!(away, Err(StoreError::Unavailable(_))));
}
