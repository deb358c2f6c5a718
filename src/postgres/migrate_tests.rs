//! Migrations: twice, by two at once, by an administrator without superuser rights, and failing.

use uuid::Uuid;

use super::*;
use crate::{
    domain::ids::OrganizationId,
    postgres::{
        PoolConfig,
        cluster::{Cluster, Options, testing},
    },
};

#[test]
fn every_step_of_the_folder_is_embedded_in_order() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/postgres/sql/steps");
    let mut files: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    let version = |name: &str| name.split("__").next().unwrap()[1..].parse::<u32>().unwrap();
    files.sort_by_key(|name| version(name));
    let embedded: Vec<&str> = STEPS.iter().map(|(name, _)| *name).collect();
    assert_eq!(files, embedded);
}

#[tokio::test]
async fn a_database_is_migrated_once_however_often_it_is_asked_for() {
    let database = testing::empty_database().await.unwrap();
    let pool = Pool::connect(PoolConfig::new(database.config())).unwrap();
    assert_eq!(status(&pool).await.unwrap(), Status::Missing(STEPS.len()));
    assert_eq!(run(&database.config()).await.unwrap(), STEPS.len());
    assert_eq!(run(&database.config()).await.unwrap(), 0);
    assert_eq!(status(&pool).await.unwrap(), Status::UpToDate);
}

#[tokio::test]
async fn two_that_migrate_at_once_share_the_work() {
    let database = testing::empty_database().await.unwrap();
    let (first, second) = (database.config(), database.config());
    let (first, second) = tokio::join!(run(&first), run(&second));
    let mut applied = [first.unwrap(), second.unwrap()];
    applied.sort_unstable();
    assert_eq!(applied, [0, STEPS.len()]);
}

#[tokio::test]
async fn everything_lies_in_our_schema_and_belongs_to_the_migrator() {
    let database = testing::database().await.unwrap();
    let client = database.connect().await.unwrap();
    let sql = "select count(*) from pg_class c join pg_namespace n on n.oid = c.relnamespace
               where n.nspname not in ('tollgate', 'pg_catalog', 'information_schema') and n.nspname not like 'pg_toast%'";
    assert_eq!(client.query_one(sql, &[]).await.unwrap().get::<_, i64>(0), 0);
    let sql = "select count(*) from pg_class where relnamespace = 'tollgate'::regnamespace
               and relowner <> 'tollgate_migrator'::regrole";
    assert_eq!(client.query_one(sql, &[]).await.unwrap().get::<_, i64>(0), 0);
}

#[tokio::test]
async fn a_failed_migration_leaves_nothing_half_done() {
    let database = testing::empty_database().await.unwrap();
    let broken = [
        ("V1__good", "create table tollgate.good (v int)"),
        (
            "V2__bad",
            "create table tollgate.half (v int); select 1 / 0; create table tollgate.rest (v int)",
        ),
    ];
    for _ in 0..2 {
        let error = apply(&database.config(), &Schema::SHARED, &broken).await.err().unwrap();
        assert!(matches!(error, StoreError::Refused(_)), "{error}");
        assert!(error.to_string().contains("V2__bad"), "{error}");
    }
    let client = database.connect().await.unwrap();
    let sql =
        "select to_regclass('tollgate.good') is not null, to_regclass('tollgate.half') is null,
               (select array_agg(version) from tollgate.schema_history)";
    let row = client.query_one(sql, &[]).await.unwrap();
    assert_eq!((row.get(0), row.get(1), row.get(2)), (true, true, vec![1_i32]));
    let mended = [broken[0], ("V2__bad", "create table tollgate.whole (v int)")];
    let (_, applied) = apply(&database.config(), &Schema::SHARED, &mended).await.unwrap();
    assert_eq!(applied.steps, 1);
}

#[tokio::test]
async fn a_migration_cannot_touch_another_schema() {
    let database = testing::empty_database().await.unwrap();
    let client = database.connect().await.unwrap();
    client.batch_execute("create schema theirs; create table theirs.data (v int)").await.unwrap();
    for sql in ["drop table theirs.data", "create table theirs.ours (v int)"] {
        let error =
            apply(&database.config(), &Schema::SHARED, &[("V1__stray", sql)]).await.err().unwrap();
        assert!(
            error.to_string().contains("permission denied")
                || error.to_string().contains("must be owner"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_changed_migration_is_refused() {
    let database = testing::empty_database().await.unwrap();
    apply(&database.config(), &Schema::SHARED, &[("V1__first", "create table tollgate.a (v int)")])
        .await
        .unwrap();
    let changed = apply(
        &database.config(),
        &Schema::SHARED,
        &[("V1__first", "create table tollgate.b (v int)")],
    )
    .await;
    assert!(matches!(changed, Err(StoreError::Refused(_))));
}

#[tokio::test]
async fn a_database_that_cannot_hold_every_text_is_refused() {
    let client = testing::empty_database().await.unwrap().connect().await.unwrap();
    client
        .batch_execute("create database latin template template0 encoding 'LATIN1' locale 'C'")
        .await
        .unwrap();
    let mut config = testing::cluster().await.unwrap().config("latin");
    let error = run(config.dbname("latin")).await.unwrap_err();
    assert!(matches!(error, StoreError::Refused(_)), "{error}");
}

#[tokio::test]
async fn roles_that_were_there_before_are_no_more_than_ours_would_be() {
    // Roles belong to the whole cluster, which the other tests share.
    let cluster = Cluster::temporary(Options::ephemeral()).await.unwrap();
    let config = cluster.config("postgres");
    let client = connect(config.clone()).await.unwrap();
    client.batch_execute("create role tollgate_login login bypassrls").await.unwrap();
    let refused = run(&config).await.unwrap_err().to_string();
    assert!(refused.contains("tollgate_login") && refused.contains("BYPASSRLS"), "{refused}");
    client.batch_execute("alter role tollgate_login nobypassrls").await.unwrap();
    assert_eq!(run(&config).await.unwrap(), STEPS.len());
    client.batch_execute("set session authorization tollgate_login").await.unwrap();
    let unasked = client.batch_execute("select from tollgate.usage").await.unwrap_err();
    assert_eq!(unasked.code().unwrap().code(), "42501");
}

#[tokio::test]
async fn a_login_made_by_hand_has_no_right_before_it_becomes_somebody() {
    // Roles belong to the whole cluster, which the other tests share.
    let cluster = Cluster::temporary(Options::ephemeral()).await.unwrap();
    let config = cluster.config("postgres");
    let client = connect(config.clone()).await.unwrap();
    let made = "create role tollgate_login login; create role tollgate_owner; create role tollgate_member; \
        grant tollgate_owner, tollgate_member to tollgate_login";
    client.batch_execute(made).await.unwrap();
    if testing::has("a server of version 16", cluster.version().0 >= 16) {
        let unable = "grant tollgate_member to tollgate_login with set false";
        client.batch_execute(unable).await.unwrap();
    }
    assert_eq!(run(&config).await.unwrap(), STEPS.len());
    client.batch_execute("set session authorization tollgate_login").await.unwrap();
    let unasked = client.batch_execute("select from tollgate.usage").await.unwrap_err();
    assert_eq!(unasked.code().unwrap().code(), "42501");
    for role in ["owner", "admin", "member", "viewer", "platform"] {
        client.batch_execute(&format!("set role tollgate_{role}")).await.unwrap();
        client.batch_execute("select from tollgate.usage_daily").await.unwrap();
    }
}

#[tokio::test]
async fn a_login_that_somebody_else_let_inherit_is_refused() {
    let cluster = Cluster::temporary(Options::ephemeral()).await.unwrap();
    // Before version 16, memberships of roles have no options of their own.
    if !testing::has("a server of version 16", cluster.version().0 >= 16) {
        return;
    }
    let config = cluster.config("postgres");
    let client = connect(config.clone()).await.unwrap();
    let made = "create role tollgate_login login; create role somebody; create role tollgate_owner; \
        grant tollgate_owner to somebody with admin true; set role somebody; grant tollgate_owner to tollgate_login; reset role";
    client.batch_execute(made).await.unwrap();
    let refused = run(&config).await.unwrap_err().to_string();
    assert!(refused.contains("tollgate_login") && refused.contains("inherit"), "{refused}");
    let taken = "revoke tollgate_owner from tollgate_login granted by somebody";
    client.batch_execute(taken).await.unwrap();
    assert_eq!(run(&config).await.unwrap(), STEPS.len());
}

#[tokio::test]
async fn a_schema_of_an_organizations_own_gets_a_wall() {
    let database = testing::database().await.unwrap();
    let own = Schema::of(OrganizationId::new(Uuid::now_v7()));
    assert!(own_schemas(&database.config()).await.unwrap().is_empty());
    assert_eq!(run_in(&database.config(), &own).await.unwrap(), STEPS.len());
    assert_eq!(run_in(&database.config(), &own).await.unwrap(), 0);
    assert_eq!(own_schemas(&database.config()).await.unwrap(), std::slice::from_ref(&own));
    let pool = Pool::connect(PoolConfig::new(database.config())).unwrap();
    assert_eq!(status(&pool.in_schema(own.clone())).await.unwrap(), Status::UpToDate);

    let client = database.connect().await.unwrap();
    let foreign = format!(
        "insert into {own}.organizations (organization_id, name) values (gen_random_uuid(), 'x')"
    );
    let refused = client.batch_execute(&foreign).await.unwrap_err();
    assert_eq!(refused.as_db_error().unwrap().constraint(), Some("only_organization"));
    let id = own.owner().unwrap();
    let rightful =
        format!("insert into {own}.organizations (organization_id, name) values ('{id}', 'x')");
    client.batch_execute(&rightful).await.unwrap();
}

/// A database as a version from before the first release set it up, with a row in it.
async fn set_up_before_the_first_release() -> testing::Database {
    let database = testing::empty_database().await.unwrap();
    apply(
        &database.config(),
        &Schema::SHARED,
        &[("V1__claims", "create table tollgate.kept (v int)")],
    )
    .await
    .unwrap();
    let client = database.connect().await.unwrap();
    client.batch_execute("insert into tollgate.kept values (1)").await.unwrap();
    database
}

#[tokio::test]
async fn a_database_of_before_the_first_release_is_refused_and_stays_as_it_is() {
    let database = set_up_before_the_first_release().await;
    let client = database.connect().await.unwrap();
    let before = declared::tests::facts(&client, &Schema::SHARED).await;
    let error = run(&database.config()).await.unwrap_err().to_string();
    assert!(
        error.contains(
            "a history that this program does not know (step 1 is `claims`, not `baseline`)"
        ),
        "{error}"
    );
    assert!(error.contains("Nothing was changed"), "{error}");
    let pool = Pool::connect(PoolConfig::new(database.config())).unwrap();
    let error = status(&pool).await.unwrap_err().to_string();
    assert!(error.contains("a history that this program does not know"), "{error}");
    assert_eq!(declared::tests::facts(&client, &Schema::SHARED).await, before);
    let kept = client.query_one("select v from tollgate.kept", &[]).await.unwrap();
    assert_eq!(kept.get::<_, i32>(0), 1);
}

#[tokio::test]
async fn a_program_that_is_older_than_the_database_changes_nothing_in_it() {
    let database = testing::database().await.unwrap();
    let client = database.connect().await.unwrap();
    let newer = "insert into tollgate.schema_history (version, name, applied_on, checksum) \
            values (9999, 'later', '2030-01-01T00:00:00Z', '1');
        create or replace function tollgate.is_platform() returns boolean language sql stable return false;
        grant delete on tollgate.usage to tollgate_owner";
    client.batch_execute(newer).await.unwrap();
    let before = declared::tests::facts(&client, &Schema::SHARED).await;
    assert_eq!(run(&database.config()).await.unwrap(), 0);
    assert_eq!(declared::tests::facts(&client, &Schema::SHARED).await, before);
    let pool = Pool::connect(PoolConfig::new(database.config())).unwrap();
    assert_eq!(status(&pool).await.unwrap(), Status::UpToDate);
}
