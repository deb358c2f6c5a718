//! What servers newer than the oldest supported one add: each thing weakened once, on those that have it.
//!
//! What this server does not have is noted as not tried; CI runs this on each version.

use tokio_postgres::Client;
use tollgate::postgres::{
    cluster::testing,
    prove::{self, Extent, Finding},
};

use super::{after, mutants::all_are_caught};

pub(crate) async fn version(client: &Client) -> i32 {
    let sql = "select current_setting('server_version_num')::integer";
    client.query_one(sql, &[]).await.unwrap().get(0)
}

/// Whether the server is of this version at least; noted either way.
#[track_caller]
pub(crate) fn is_of(version: i32, since: i32) -> bool {
    testing::has(&format!("a server of version {since}"), version >= since * 10_000)
}

const MAINTAIN: &str = "
  select 'maintain', format('grant maintain on tollgate.%I to %I', relname, rolname), relname::text, rolname || ' has MAINTAIN'
    from pg_class cross join pg_roles
    where relnamespace = 'tollgate'::regnamespace and relkind in ('r', 'p')
      and rolname in ('tollgate_login', 'tollgate_owner', 'tollgate_platform') and (not relispartition or rolname = 'tollgate_login')
  union all
  select 'maintain', format('grant maintain on tollgate.%I to public', relname), relname::text, 'PUBLIC has MAINTAIN'
    from pg_class where relnamespace = 'tollgate'::regnamespace and relkind in ('r', 'p') and not relispartition";

#[tokio::test]
async fn maintain_on_any_table_is_found() {
    let database = testing::database().await.unwrap();
    let client = database.connect().await.unwrap();
    if !is_of(version(&client).await, 17) {
        return;
    }
    all_are_caught(&client, MAINTAIN, 1).await;
}

const NOT_ENFORCED: &str = "
  select 'not enforced', format('alter table tollgate.%I alter constraint %I not enforced', t.relname, k.conname), t.relname || '.' || k.conname,
         'is not enforced'
    from pg_constraint k join pg_class t on t.oid = k.conrelid
    where t.relnamespace = 'tollgate'::regnamespace and k.contype = 'f' and k.conparentid = 0 and t.relname <> 'price_tiers'";

#[tokio::test]
async fn every_foreign_key_that_is_not_enforced_is_found() {
    let database = testing::database().await.unwrap();
    let client = database.connect().await.unwrap();
    if !is_of(version(&client).await, 18) {
        return;
    }
    all_are_caught(&client, NOT_ENFORCED, 1).await;
}

/// A table on which every verb gets through: what is then said to reach its rows is what was tried.
#[tokio::test]
async fn the_statements_of_newer_servers_are_among_those_that_are_tried() {
    let database = testing::database().await.unwrap();
    let client = database.connect().await.unwrap();
    let version = version(&client).await;
    let open = "grant select, insert, update, delete on tollgate.settings to tollgate_owner; \
        alter table tollgate.settings disable row level security";
    let proof = after(&client, open, Extent::Table("settings")).await;
    for (since, verb) in [
        (14, "insert on conflict do update"),
        (15, "merge delete"),
        (15, "merge update"),
        (15, "merge insert"),
        (17, "merge delete returning"),
        (17, "merge update returning"),
        (17, "merge delete of the rest"),
        (17, "merge update of the rest"),
        (18, "update returning old"),
        (18, "delete returning old"),
        (18, "insert on conflict do update returning old"),
    ] {
        let says = [format!("by {verb}"), format!("gets {verb} past")];
        let found = proof.findings.iter().any(|one| {
            one.code == "P01"
                && one.message.starts_with("tollgate_owner ")
                && (one.message.ends_with(&says[0]) || one.message.contains(&says[1]))
        });
        assert_eq!(found, version >= since * 10_000, "{verb}: {proof}");
    }
}

/// Not every column can be written: neither the canaries nor what is tried on them may stumble over one.
#[tokio::test]
async fn a_table_with_a_column_that_the_server_computes_is_proven() {
    let database = testing::database().await.unwrap();
    let client = database.connect().await.unwrap();
    for (since, kind) in [(14, "stored"), (18, "virtual")] {
        if !is_of(version(&client).await, since) {
            continue;
        }
        let computed = format!(
            "alter table tollgate.settings add column a_name text not null generated always as (upper(name)) {kind}; \
             grant update (a_name) on tollgate.settings to tollgate_owner"
        );
        let proof = after(&client, &computed, Extent::Table("settings")).await;
        assert!(proof.holds(), "{kind}: {proof}");
        assert!(proof.probes > 100, "{kind}: {proof}");
    }
}

#[tokio::test]
async fn a_member_that_cannot_become_the_role_is_no_error() {
    let database = testing::database().await.unwrap();
    let client = database.connect().await.unwrap();
    if !is_of(version(&client).await, 16) {
        return;
    }
    let user = "prove_without_set";
    let roles = "tollgate_migrator, tollgate_owner, tollgate_admin, tollgate_member";
    let made = format!(
        "create role {user} login; grant {roles} to {user}; grant tollgate_member to {user} with set false"
    );
    client.batch_execute(&made).await.unwrap();
    let proof = prove::run(database.config().user(user), Extent::Full).await.unwrap();
    assert!(proof.holds() && proof.canaries >= 8, "{proof}");
    assert!(proof.to_string().contains("what tollgate_member can do"), "{proof}");
    assert!(!proof.to_string().contains("what tollgate_admin can do"), "{proof}");
    let made = format!("grant tollgate_migrator to {user} with set false");
    client.batch_execute(&made).await.unwrap();
    let proof = prove::run(database.config().user(user), Extent::Full).await.unwrap();
    assert!(proof.holds() && proof.canaries == 0, "{proof}");
    assert!(proof.to_string().contains("not checked: canaries"), "{proof}");
}

/// Constraints that are no unique indexes and yet say what other rows there are.
#[tokio::test]
async fn exclusions_and_temporal_keys_must_compare_the_organization_first() {
    let database = testing::database().await.unwrap();
    let client = database.connect().await.unwrap();
    let extension = "select from pg_available_extensions where name = 'btree_gist'";
    let there = !client.query(extension, &[]).await.unwrap().is_empty();
    if !testing::has("a server with btree_gist", there) {
        return;
    }
    let version = version(&client).await;
    for (since, constraint, found) in [
        (14, "exclude using gist (organization_id with =, id with =)", false),
        (14, "exclude using gist (id with =, organization_id with =)", true),
        (14, "exclude using gist (organization_id with <>, id with =)", true),
        (18, "unique (organization_id, id, during without overlaps)", false),
        (18, "unique (id, organization_id, during without overlaps)", true),
    ] {
        if !is_of(version, since) {
            continue;
        }
        let made = format!(
            "create extension btree_gist schema public; \
             create table tollgate.mutant (organization_id uuid not null, id uuid not null, during tstzrange not null, \
               primary key (organization_id, id), constraint astray {constraint})"
        );
        let proof = after(&client, &made, Extent::Catalog).await;
        let astray = |one: &Finding| one.code == "C14" && one.object == "mutant.astray";
        assert_eq!(proof.findings.iter().any(astray), found, "{constraint}: {proof}");
    }
}
