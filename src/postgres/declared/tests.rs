//! Steps and declared texts make the same catalog, and a migration brings every declared text into force.

use std::{collections::BTreeSet, fs, path::Path};

use uuid::Uuid;

use super::*;
use crate::{
    domain::ids::OrganizationId,
    postgres::{
        Seal,
        cluster::testing,
        migrate,
        sealing::{self, Sealing},
    },
};

/// The files of tables, in the order in which they refer to each other.
const TABLES: [&str; 9] = [
    "organizations",
    "people",
    "seals",
    "prices",
    "credits",
    "budgets",
    "limits",
    "routes",
    "usage",
];

fn folder(name: &str) -> String {
    format!("{}/src/postgres/sql/schema/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// The names of the files of a folder of `sql/schema`.
fn files(name: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(folder(name)).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect()
}

fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path).unwrap()
}

/// All that the catalog says of a schema, as if its name were the shared one's.
pub(crate) async fn facts(client: &Client, schema: &Schema) -> BTreeSet<String> {
    let rows = client.query(include_str!("catalog.sql"), &[&schema.name()]).await.unwrap();
    let facts = rows.iter().map(|row| row.get::<_, &str>(0));
    facts.map(|fact| fact.replace(schema.name(), "tollgate")).collect()
}

/// The facts that only one side has.
fn difference(one: &BTreeSet<String>, other: &BTreeSet<String>) -> Vec<String> {
    let lost = one.difference(other).map(|fact| format!("- {fact}"));
    lost.chain(other.difference(one).map(|fact| format!("+ {fact}"))).collect()
}

/// Makes a schema from what is declared, tables too, without any step.
async fn declare(config: &tokio_postgres::Config, schema: &Schema) {
    let (mut client, _) = migrate::apply(config, schema, &[]).await.unwrap();
    for table in TABLES {
        let text = read(format!("{}/{table}.sql", folder("tables")));
        client.batch_execute(&schema.read(&text)).await.unwrap();
    }
    migrate::declare(&mut client, schema).await.unwrap();
}

fn own() -> Schema {
    Schema::of(OrganizationId::new(Uuid::now_v7()))
}

#[test]
fn every_declared_text_is_used_and_every_function_has_its_rights() {
    assert_eq!(files("tables"), TABLES.iter().map(|&name| name.to_owned()).collect());
    let functions = [BEFORE_CLAIMS, BEFORE_MEMBERSHIPS, FUNCTIONS].concat();
    let embedded: BTreeSet<_> = functions.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(files("functions"), embedded);
    for (name, text) in &functions {
        // One file creates one function, and no file edits another file's function.
        let made: Vec<_> = text.match_indices("create or replace function ").collect();
        assert!(made.len() == 1 && text.contains(&format!("function tollgate.{name}(")), "{name}");
    }
    let of_variants =
        ["jwt", "verified", "sealing", "role_in", "membership_source", "membership_owner"];
    for name in embedded.iter().map(String::as_str).chain(of_variants) {
        assert_eq!(
            RIGHTS.matches(&format!("\n    ('{name}', '")).count(),
            1,
            "{name} in rights.sql"
        );
    }
}

#[tokio::test]
async fn the_steps_and_what_is_declared_come_to_the_same_schema() {
    let (stepped, declared) =
        (testing::database().await.unwrap(), testing::empty_database().await.unwrap());
    let clients = (stepped.connect().await.unwrap(), declared.connect().await.unwrap());
    declare(&declared.config(), &Schema::SHARED).await;
    let shared = facts(&clients.0, &Schema::SHARED).await;
    assert!(shared.len() > 3_000, "{}", shared.len());
    let found = difference(&shared, &facts(&clients.1, &Schema::SHARED).await);
    assert_eq!(found, Vec::<String>::new());

    let own = own();
    migrate::run_in(&stepped.config(), &own).await.unwrap();
    declare(&declared.config(), &own).await;
    let apart = facts(&clients.0, &own).await;
    let found = difference(&apart, &facts(&clients.1, &own).await);
    assert_eq!(found, Vec::<String>::new());

    // An organization's own schema differs from the shared one by `only_organization` alone.
    let mut wall = difference(&shared, &apart);
    wall.retain(|fact| !fact.contains("only_organization"));
    assert_eq!(wall, Vec::<String>::new());
}

#[tokio::test]
async fn whatever_differs_in_a_catalog_is_seen() {
    let client = testing::database().await.unwrap().connect().await.unwrap();
    let before = facts(&client, &Schema::SHARED).await;
    for change in [
        "alter table tollgate.teams add column more text",
        "alter table tollgate.teams drop column created_at",
        "alter table tollgate.teams alter column name drop not null",
        "alter table tollgate.policies alter column updated_by type varchar(9)",
        "alter table tollgate.credit_holds alter column used set default 1",
        "alter table tollgate.credit_holds alter column used drop default",
        "alter table tollgate.credit_holds reset (fillfactor)",
        "alter table tollgate.teams no force row level security",
        "alter table tollgate.teams disable row level security",
        "alter table tollgate.teams drop constraint teams_name_check",
        "alter table tollgate.api_keys alter constraint api_keys_organization_id_team_id_fkey deferrable initially deferred",
        "alter table tollgate.teams owner to tollgate_ledger",
        "comment on table tollgate.teams is 'theirs'",
        "drop index tollgate.credit_holds_open",
        "create index more on tollgate.teams (created_at)",
        "drop table tollgate.usage_default",
        "create view tollgate.seen as select 1 as one",
        "create sequence tollgate.numbers",
        "create type tollgate.word as enum ('one')",
        "create statistics tollgate.both on name, team_id from tollgate.teams",
        "drop policy usage_select_owner on tollgate.usage",
        "alter policy usage_select_owner on tollgate.usage using (true)",
        "alter policy usage_select_owner on tollgate.usage to public",
        "grant delete on tollgate.usage to tollgate_owner",
        "revoke select on tollgate.usage from tollgate_owner",
        "grant select on tollgate.usage to tollgate_owner with grant option",
        "grant select (digest) on tollgate.api_keys to tollgate_owner",
        "grant create on schema tollgate to tollgate_ledger",
        "alter default privileges in schema tollgate grant select on tables to tollgate_owner",
        "create or replace function tollgate.is_platform() returns boolean language sql stable parallel safe return false",
        "alter function tollgate.hold volatile security invoker",
        "alter function tollgate.budgets_of volatile",
        "alter function tollgate.is_platform parallel unsafe",
        "alter function tollgate.is_platform leakproof",
        "alter function tollgate.is_platform cost 1",
        "alter function tollgate.hold reset search_path",
        "alter function tollgate.hold owner to tollgate_migrator",
        "grant execute on function tollgate.hold to tollgate_owner",
        "revoke execute on function tollgate.hold from tollgate_login",
        "create function tollgate.more() returns int language sql return 1",
        "create function public.t() returns trigger language plpgsql as 'begin return new; end'; \
         create trigger more before insert on tollgate.teams for each row execute function public.t()",
        "create rule more as on insert to tollgate.teams do also select 1",
    ] {
        client.batch_execute("begin").await.unwrap();
        client.batch_execute(change).await.unwrap_or_else(|error| panic!("{change}: {error:?}"));
        let after = facts(&client, &Schema::SHARED).await;
        client.batch_execute("rollback").await.unwrap();
        assert!(after != before, "not seen: {change}");
    }
    assert_eq!(facts(&client, &Schema::SHARED).await, before);
}

#[tokio::test]
async fn whatever_was_changed_by_hand_is_as_declared_after_a_migration() {
    let database = testing::database().await.unwrap();
    let client = database.connect().await.unwrap();
    let before = facts(&client, &Schema::SHARED).await;
    let changes = "
        grant delete on tollgate.usage to tollgate_viewer;
        grant select on tollgate.teams to public;
        grant select on tollgate.usage to tollgate_owner with grant option;
        grant select (digest) on tollgate.api_keys to tollgate_admin;
        grant update on tollgate.schema_history to tollgate_login;
        revoke select on tollgate.usage from tollgate_admin;
        revoke update (name) on tollgate.organizations from tollgate_platform;
        alter policy usage_select_owner on tollgate.usage using (true);
        alter policy settings_select_owner on tollgate.settings to public;
        alter policy seal_keys_select_seals on tollgate.seal_keys using (true);
        drop policy teams_select_member on tollgate.teams;
        alter table tollgate.teams no force row level security;
        alter table tollgate.schema_history disable row level security;
        drop policy teams_insert_mover on tollgate.teams;
        create policy further on tollgate.teams for select to tollgate_viewer using (true);
        grant execute on function tollgate.hold to public;
        grant execute on function tollgate.hold to tollgate_owner with grant option;
        revoke execute on function tollgate.finish from tollgate_login;
        alter function tollgate.is_away() owner to tollgate_ledger;
        alter function tollgate.enter owner to tollgate_migrator;
        alter function tollgate.hold reset search_path;
        create or replace function tollgate.is_platform() returns boolean language sql immutable return true";
    client.batch_execute(changes).await.unwrap();
    assert!(difference(&before, &facts(&client, &Schema::SHARED).await).len() > 20);
    migrate::run(&database.config()).await.unwrap();
    let found = difference(&before, &facts(&client, &Schema::SHARED).await);
    assert_eq!(found, Vec::<String>::new());
}

#[tokio::test]
async fn what_an_administrator_gave_to_roles_of_their_own_stays() {
    let database = testing::database().await.unwrap();
    let client = database.connect().await.unwrap();
    let changes = "
        create role theirs_to_watch;
        grant select on tollgate.usage to theirs_to_watch;
        grant execute on function tollgate.is_platform() to theirs_to_watch;
        create policy watched on tollgate.usage for select to theirs_to_watch using (true);
        create policy narrower on tollgate.usage as restrictive for select to tollgate_owner using (cost < 1000)";
    client.batch_execute(changes).await.unwrap();
    let before = facts(&client, &Schema::SHARED).await;
    migrate::run(&database.config()).await.unwrap();
    let found = difference(&before, &facts(&client, &Schema::SHARED).await);
    assert_eq!(found, Vec::<String>::new());
}

#[tokio::test]
async fn a_migration_keeps_sealed_claims_sealed_and_open_ones_open() {
    let database = testing::database().await.unwrap();
    let client = database.connect().await.unwrap();
    let open = facts(&client, &Schema::SHARED).await;
    let key = Seal::new(b"the key of a database that migrates").unwrap();
    sealing::set(&database.config(), &Sealing::Only(vec![key])).await.unwrap();
    let sealed = facts(&client, &Schema::SHARED).await;
    assert_ne!(sealed, open);
    migrate::run(&database.config()).await.unwrap();
    assert_eq!(difference(&sealed, &facts(&client, &Schema::SHARED).await), Vec::<String>::new());
    sealing::set(&database.config(), &Sealing::Off).await.unwrap();
    for _ in 0..2 {
        assert_eq!(difference(&open, &facts(&client, &Schema::SHARED).await), Vec::<String>::new());
        migrate::run(&database.config()).await.unwrap();
    }
}
