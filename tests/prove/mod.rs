//! The proof of isolation: it succeeds on an intact database, and fails for each way of weakening the database.

mod mutants;
mod namesakes;
mod newer;
mod weakened;

use crate::logs;

use std::collections::BTreeMap;

use tokio_postgres::Client;
use tollgate::postgres::{
    Schema, Seal,
    cluster::testing,
    prove::{self, Extent, Proof},
    sealing::{self, Sealing},
};
use uuid::Uuid;

/// What is found after `sql`, of which nothing remains.
async fn after(client: &Client, sql: &str, extent: Extent<'_>) -> Proof {
    client.batch_execute("begin").await.unwrap();
    client.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    let proof = prove::within(client, &Schema::SHARED, extent)
        .await
        .unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    client.batch_execute("rollback").await.unwrap();
    proof
}

/// A database that takes claims only under this seal.
async fn sealed_database() -> (testing::Database, Seal) {
    logs::listen();
    let database = testing::database().await.unwrap();
    let seal = Seal::new(b"the key of a database to be proven").unwrap();
    sealing::set(&database.config(), &Sealing::Only(vec![seal.clone()])).await.unwrap();
    (database, seal)
}

/// How many rows each table has, and what they are.
async fn all_rows(client: &Client) -> BTreeMap<String, (i64, Option<String>)> {
    let tables = "select c.oid::regclass::text from pg_class c
        where relkind in ('r', 'p', 'm') and not relispartition
          and relnamespace not in ('pg_catalog'::regnamespace, 'information_schema'::regnamespace, 'pg_toast'::regnamespace)";
    let mut rows = BTreeMap::new();
    for table in client.query(tables, &[]).await.unwrap() {
        let table: String = table.get(0);
        let sql = format!(
            "select count(*), md5(string_agg(t::text, e'\\n' order by t::text)) from {table} t"
        );
        let row = client.query_one(&sql, &[]).await.unwrap();
        rows.insert(table, (row.get(0), row.get(1)));
    }
    rows
}

/// A row in every table.
async fn resident(client: &Client, organization: Uuid) {
    let id = format!("'{organization}'::uuid");
    let rows = include_str!("../stores/canaries.sql").replace(":organization", &id);
    client.batch_execute(&rows).await.unwrap();
}

#[tokio::test]
async fn the_schema_is_proven_and_nothing_is_left_behind() {
    let database = testing::database().await.unwrap();
    let client = database.connect().await.unwrap();
    resident(&client, Uuid::new_v4()).await;
    let before = all_rows(&client).await;
    assert!(before.values().filter(|(rows, _)| *rows > 0).count() > 30, "{before:?}");
    let proof = prove::run(&database.config(), Extent::Full).await.unwrap();
    assert!(proof.holds(), "{proof}");
    assert!(proof.canaries >= 8 && proof.probes > 1000 && proof.calls > 20, "{proof}");
    let (major, minor) = database.cluster().version();
    let text = proof.to_string();
    assert!(text.contains("not checked: sealed claims are off") && !text.contains("P06"), "{text}");
    eprintln!("Postgres {major}.{minor}\n{proof}");
    assert_eq!(all_rows(&client).await, before);
}

#[tokio::test]
async fn the_proof_looks_for_every_key_that_there_is() {
    let client = testing::database().await.unwrap().connect().await.unwrap();
    let keys = include_str!("../../src/postgres/sql/statements/prove/keys.sql");
    let there: Vec<String> = (client.query(keys, &[]).await.unwrap().iter())
        .map(|row| format!("{}: {}", row.get::<_, &str>(0), row.get::<_, &str>(1)))
        .collect();
    let known = include_str!("../../src/postgres/prove/keys.txt");
    for key in &there {
        assert!(known.lines().any(|line| line == key), "not in prove/keys.txt: {key}");
    }
    assert_eq!(known.lines().count(), there.len());
}

#[tokio::test]
async fn production_is_proven_without_a_write() {
    let database = testing::database().await.unwrap();
    let client = database.connect().await.unwrap();
    resident(&client, Uuid::new_v4()).await;
    let before = all_rows(&client).await;
    // What it did not say itself, no transaction of it may do.
    let sql = "do $$ begin execute format('alter database %I set default_transaction_read_only = on', current_database()); end $$";
    client.batch_execute(sql).await.unwrap();
    let proof = prove::run(&database.config(), Extent::ReadOnly).await.unwrap();
    assert!(proof.holds(), "{proof}");
    assert!(proof.probes > 100 && proof.canaries == 0, "{proof}");
    assert_eq!(all_rows(&client).await, before);
    // The whole of it does write.
    let refused = prove::run(&database.config(), Extent::Full).await.unwrap_err();
    let code = tollgate::postgres::PostgresError::of(&refused).and_then(|error| error.code());
    assert_eq!(
        code,
        Some(&tokio_postgres::error::SqlState::READ_ONLY_SQL_TRANSACTION),
        "{refused}"
    );
}

#[tokio::test]
async fn a_user_that_can_only_become_our_roles_says_what_it_could_not_check() {
    let database = testing::database().await.unwrap();
    let client = database.connect().await.unwrap();
    let user = "prove_without_superuser";
    let roles = "tollgate_migrator, tollgate_platform, tollgate_owner, tollgate_admin, tollgate_member, tollgate_viewer";
    client
        .batch_execute(&format!("create role {user} login; grant {roles} to {user}"))
        .await
        .unwrap();
    let proof = prove::run(database.config().user(user), Extent::Full).await.unwrap();
    assert!(proof.holds(), "{proof}");
    assert!(proof.canaries >= 8, "{proof}");
    assert!(proof.to_string().contains("this user cannot become it"), "{proof}");
    // The gateway's own login cannot plant canaries, and says so.
    let proof = prove::run(database.config().user("tollgate_login"), Extent::Full).await.unwrap();
    assert!(proof.holds() && proof.canaries == 0, "{proof}");
    assert!(proof.to_string().contains("not checked: canaries"), "{proof}");
}

#[tokio::test]
async fn sealed_claims_are_proven_under_seals_and_against_forged_ones() {
    let (database, seal) = sealed_database().await;
    let proof = prove::run(&database.config(), Extent::Full).await.unwrap();
    assert!(proof.holds(), "{proof}");
    let text = proof.to_string();
    assert!(text.contains("ok  P06") && !text.contains("sealed claims are off"), "{text}");
    eprintln!("{proof}");

    let proof = prove::run(&database.config(), Extent::ReadOnly).await.unwrap();
    assert!(proof.holds() && proof.probes > 100, "{proof}");

    // Who may not read the keys brings one, or says that nothing was tried.
    let mut login = database.config();
    login.user("tollgate_login");
    let proof = prove::run(&login, Extent::ReadOnly).await.unwrap();
    assert!(proof.holds() && proof.probes == 0, "{proof}");
    assert!(proof.to_string().contains("this user has no key"), "{proof}");
    let proof =
        prove::run_in(&login, &Schema::SHARED, Extent::ReadOnly, Some(&seal)).await.unwrap();
    assert!(proof.holds() && proof.probes > 100, "{proof}");
    // A key that is not accepted shows nothing, and that is not taken for a proof.
    let wrong = Seal::new(&[7; 32]).unwrap();
    let proof =
        prove::run_in(&login, &Schema::SHARED, Extent::ReadOnly, Some(&wrong)).await.unwrap();
    assert!(!proof.holds(), "{proof}");
}

#[tokio::test]
async fn a_new_table_without_policies_fails_by_itself() {
    let database = testing::database().await.unwrap();
    let client = database.connect().await.unwrap();
    let bare = "create table tollgate.notes (organization_id uuid not null, note_id uuid not null, text text not null, \
        primary key (organization_id, note_id)); \
        alter table tollgate.notes owner to tollgate_migrator";
    let proof = after(&client, bare, Extent::Catalog).await;
    assert!(proof.findings.iter().any(|one| one.code == "C01" && one.object == "notes"), "{proof}");
    let granted = format!("{bare}; grant select on tollgate.notes to tollgate_member");
    let proof = after(&client, &granted, Extent::Table("notes")).await;
    assert!(proof.findings.iter().any(|one| one.code == "P01" && one.object == "notes"), "{proof}");
    let unmakeable =
        format!("{bare}; alter table tollgate.notes add check (text = md5(note_id::text))");
    let proof = after(&client, &unmakeable, Extent::Full).await;
    assert!(proof.findings.iter().any(|one| one.code == "P00" && one.object == "notes"), "{proof}");
}
