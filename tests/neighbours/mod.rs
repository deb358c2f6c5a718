//! Organizations on one gateway and one database learn nothing about each other: by any path or command, with many
//! concurrent calls on few connections, without the predicates in our own SQL, and through `PgBouncer`.

mod bare;
mod commands;
mod crowd;
mod pooler;
mod routes;
mod secrets;

use crate::{harness, program};

use bare::{probe_checkouts, strip_predicates};
use harness::{House, Setup};
use pooler::Pooler;
use tollgate::postgres::{Prepared, Seal};

/// What stands between the gateway and the rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Walls {
    /// Everything.
    All,
    /// Row security only: our functions name no organization.
    RowSecurity,
    /// Everything, and claims must be sealed.
    Sealed,
}

/// A gateway on four connections; with a pooler, through it.
async fn house(walls: Walls, pooler: Option<&Pooler>) -> House {
    let prepared = if pooler.is_some() { Prepared::Never } else { Prepared::Auto };
    let seal =
        (walls == Walls::Sealed).then(|| Seal::new(b"the key of the neighbours' houses").unwrap());
    let mut house =
        House::unopened(Setup { connections: 4, prepared, seal, ..Setup::default() }).await;
    house.some_unserved = true;
    if walls == Walls::RowSecurity {
        strip_predicates(&house.admin).await;
    }
    probe_checkouts(&house.admin).await;
    if let Some(pooler) = pooler {
        pooler.stand_before(&mut house.login);
    }
    secrets::price(&house).await;
    house.start().await;
    house
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_path_tells_one_organization_of_another() {
    routes::learn_nothing(house(Walls::All, None).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_path_tells_of_another_where_only_row_security_stands() {
    routes::learn_nothing(house(Walls::RowSecurity, None).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_on_four_connections_gets_not_one_foreign_byte() {
    crowd::stays_apart(house(Walls::All, None).await, crowd::all()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_stays_apart_where_only_row_security_stands() {
    crowd::stays_apart(house(Walls::RowSecurity, None).await, crowd::fewer()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_stays_apart_where_claims_are_sealed() {
    crowd::stays_apart(house(Walls::Sealed, None).await, crowd::fewer()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_of_it_holds_through_pgbouncer() {
    let Some(pooler) = Pooler::start().await else { return };
    routes::learn_nothing(house(Walls::All, Some(&pooler)).await).await;
    crowd::stays_apart(house(Walls::All, Some(&pooler)).await, crowd::fewer()).await;
    crowd::stays_apart(house(Walls::RowSecurity, Some(&pooler)).await, crowd::fewer()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leak_on_a_path_would_be_noticed() {
    routes::notice_a_leak(house(Walls::All, None).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_foreign_byte_in_the_crowd_would_be_noticed() {
    crowd::notices_a_foreign_byte(house(Walls::All, None).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_left_on_a_connection_would_be_noticed() {
    bare::notices_what_is_left(house(Walls::All, None).await).await;
}
