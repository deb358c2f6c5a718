//! A database prepared as Supabase prepares it: we have no superuser, Supabase owns the schema `auth`, and no role of
//! ours may bypass row-level security.

use tokio_postgres::{Client, Config, NoTls};
use tollgate::{
    Tenant,
    domain::{credits::Credits, ids::OrganizationId, role::Role},
    postgres::{
        Door, DoorRole, Operator, Pool, PoolConfig, PostgresStore, Query, Seal,
        cluster::{Cluster, Options, testing},
        migrate,
        sealing::{self, Sealing},
    },
    store::{
        Journal, Ledger, PolicyStore,
        admin::{BookAdmin, CreditAdmin, OrganizationAdmin},
    },
};
use uuid::Uuid;

use super::fixture::{UNIT_PRICE, costing, hold, key};

const NOTES: Query = Query::new("select body from public.notes order by id", &[]);
const CLAIMED: Query = Query::new(
    "select tollgate.get_org_role(tollgate.current_organization_id()), tollgate.is_org_member(tollgate.current_organization_id()), \
       tollgate.get_org_role(gen_random_uuid()) is null, tollgate.current_org_role()",
    &[],
);

async fn connect(config: &Config) -> Client {
    let (client, connection) = config.connect(NoTls).await.unwrap();
    tokio::spawn(async move { drop(connection.await) });
    client
}

fn pool(config: Config) -> Pool {
    pool_with(config, None)
}

fn pool_with(mut config: Config, seal: Option<Seal>) -> Pool {
    config.user("tollgate_login");
    let mut config = PoolConfig::new(config);
    config.seal = seal;
    Pool::connect(config).unwrap()
}

/// A database of the project's owner; the owner's way in, and the superuser's.
async fn project(cluster: &Cluster, name: &str) -> (Config, Client) {
    let server = connect(&cluster.config("postgres")).await;
    let exists = "select from pg_roles where rolname = 'project_owner'";
    if server.execute(exists, &[]).await.unwrap() == 0 {
        server.batch_execute(include_str!("supabase.sql")).await.unwrap();
    }
    let sql = format!("create database {name} owner project_owner template template0");
    server.batch_execute(&sql).await.unwrap();
    let superuser = connect(&cluster.config(name)).await;
    superuser.batch_execute(include_str!("supabase_auth.sql")).await.unwrap();
    let mut owner = cluster.config(name);
    owner.user("project_owner");
    (owner, superuser)
}

/// Everything about the provider's schema that a migration could change.
async fn theirs(superuser: &Client) -> Vec<String> {
    let sql = "select format('%s %s %s', nspname, nspowner::regrole, nspacl) from pg_namespace where nspname = 'auth' \
        union all select format('%s %s %s %s', p.oid::regprocedure, proowner::regrole, proacl, prosrc) \
          from pg_proc p where pronamespace = 'auth'::regnamespace \
        union all select format('%s %s %s', c.oid::regclass, relowner::regrole, relacl) \
          from pg_class c where relnamespace = 'auth'::regnamespace \
        union all select format('%s %s', r.rolname, r) from pg_roles r \
          where rolname in ('anon', 'authenticated', 'service_role', 'authenticator', 'supabase_auth_admin') order by 1";
    superuser.query(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
}

/// What two people see of a table that has policies in Supabase's style.
async fn policies_hold(owner: &Client, pool: &Pool) {
    owner.batch_execute(include_str!("notes.sql")).await.unwrap();
    let [ann, bob, ours, other] = [(); 4].map(|()| Uuid::now_v7());
    for (id, user, organization, body) in
        [(1_i64, ann, ours, "ann's"), (2, bob, ours, "bob's"), (3, bob, other, "foreign")]
    {
        let sql = "insert into public.notes values ($1, $2, $3, $4)";
        owner.execute(sql, &[&id, &user, &organization, &body]).await.unwrap();
    }
    let door = Door::new(pool.clone());
    let ours = OrganizationId::new(ours);
    let named = Tenant::new(ours, &ann.to_string());
    for (person, role, sees) in [
        (named.clone().with_role(Role::Member), DoorRole::Member, vec!["ann's"]),
        (named.with_role(Role::Viewer), DoorRole::Viewer, vec!["ann's", "bob's"]),
    ] {
        let rows = door.run(person.claims(), role, &NOTES, &[]).await.unwrap();
        assert_eq!(rows.iter().map(|row| row.get::<_, &str>(0)).collect::<Vec<_>>(), sees);
    }
}

/// Organizations, membership, money and records work as anywhere else.
async fn a_call_works(pool: &Pool, superuser: &Client) {
    superuser.batch_execute(UNIT_PRICE).await.unwrap();
    let (operator, store) = (Operator::new(pool.clone()), PostgresStore::new(pool.clone()));
    let id = OrganizationId::new(Uuid::now_v7());
    assert!(operator.create_organization(id, "Acme", "UTC").await.unwrap());
    operator.grant_credits(id, Credits::from_nanos(100), None).await.unwrap();
    operator.set_role(id, "ann", Role::Admin).await.unwrap();
    let ann = Tenant::new(id, "ann");
    assert_eq!(store.standing(&ann).await.unwrap().role, Some(Role::Admin));
    assert_eq!(store.standing(&Tenant::new(id, "eve")).await.unwrap().role, None);
    let rows =
        Door::new(pool.clone()).run(ann.claims(), DoorRole::Admin, &CLAIMED, &[]).await.unwrap();
    let claimed: (&str, bool, bool, &str) =
        (rows[0].get(0), rows[0].get(1), rows[0].get(2), rows[0].get(3));
    assert_eq!(claimed, ("admin", true, true, "admin"));
    let request = hold(10, 1);
    store.hold(&ann, request.clone()).await.unwrap();
    store.finish(&ann, &costing(request.request_id, 5, 1)).await.unwrap();
    assert_eq!(operator.books(id).await.unwrap().broken, Vec::<String>::new());
    assert_eq!(operator.organization(id).await.unwrap().balance.posted.nanos(), 95);
}

#[tokio::test]
async fn a_project_owner_without_superuser_migrates_and_nothing_goes_round_row_security() {
    let cluster = Cluster::temporary(Options::ephemeral()).await.unwrap();
    let (owner, superuser) = project(&cluster, "project").await;
    let before = theirs(&superuser).await;
    assert!(migrate::run(&owner).await.unwrap() > 0);
    assert_eq!(migrate::run(&owner).await.unwrap(), 0);
    assert_eq!(theirs(&superuser).await, before);

    let sql = "select count(*) filter (where rolsuper or rolbypassrls), count(*) from pg_roles where rolname like 'tollgate\\_%'";
    let row = superuser.query_one(sql, &[]).await.unwrap();
    assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1)), (0, 12));
    let sql = "select count(*) from pg_roles where rolname in ('anon', 'authenticated', 'service_role', 'authenticator') \
        and has_schema_privilege(oid, 'tollgate', 'USAGE')";
    assert_eq!(superuser.query_one(sql, &[]).await.unwrap().get::<_, i64>(0), 0);

    let pool = pool(owner.clone());
    a_call_works(&pool, &superuser).await;
    policies_hold(&connect(&owner).await, &pool).await;
    cluster.stop().await.unwrap();
}

#[tokio::test]
async fn readers_of_the_claims_that_our_roles_may_use_are_used() {
    let cluster = Cluster::temporary(Options::ephemeral()).await.unwrap();
    let (owner, superuser) = project(&cluster, "project").await;
    superuser.batch_execute("grant usage on schema auth to public").await.unwrap();
    migrate::run(&owner).await.unwrap();
    let sql = "select prosrc from pg_proc where oid = 'tollgate.jwt()'::regprocedure";
    let source = superuser.query_one(sql, &[]).await.unwrap();
    assert_eq!(source.get::<_, &str>(0), "select auth.jwt()");
    let pool = pool(owner.clone());
    a_call_works(&pool, &superuser).await;
    policies_hold(&connect(&owner).await, &pool).await;
    cluster.stop().await.unwrap();
}

#[tokio::test]
async fn claims_are_sealed_where_nothing_goes_round_row_security() {
    let cluster = Cluster::temporary(Options::ephemeral()).await.unwrap();
    let (owner, superuser) = project(&cluster, "project").await;
    superuser.batch_execute("grant usage on schema auth to public").await.unwrap();
    migrate::run(&owner).await.unwrap();
    let source = async || -> (String, bool) {
        let sql = "select prosrc, tollgate.sealing() from pg_proc where oid = 'tollgate.jwt()'::regprocedure";
        let row = superuser.query_one(sql, &[]).await.unwrap();
        (row.get(0), row.get(1))
    };
    let before = (theirs(&superuser).await, source().await);
    assert_eq!(before.1, ("select auth.jwt()".to_owned(), false));

    for _ in 0..2 {
        sealing::set(&owner, &Sealing::Only(vec![key()])).await.unwrap();
    }
    // Theirs would take any claims.
    assert_eq!(source().await, (String::new(), true));
    assert_eq!(theirs(&superuser).await, before.0);
    assert_eq!(sealing::kept(&owner).await.unwrap().unwrap().key_id(), key().key_id());
    let (sealed, plain) = (pool_with(owner.clone(), Some(key())), pool(owner.clone()));
    a_call_works(&sealed, &superuser).await;
    policies_hold(&connect(&owner).await, &sealed).await;
    let refused = Operator::new(plain.clone())
        .create_organization(OrganizationId::new(Uuid::now_v7()), "Acme", "UTC")
        .await;
    assert!(refused.is_err());

    sealing::set(&owner, &Sealing::Off).await.unwrap();
    assert_eq!((theirs(&superuser).await, source().await), before);
    a_call_works(&plain, &superuser).await;
    cluster.stop().await.unwrap();
}

#[tokio::test]
async fn where_nobody_has_readers_of_the_claims_ours_stand_in() {
    let database = testing::database().await.unwrap();
    let superuser = database.connect().await.unwrap();
    let sql = "select array_agg(format('%s %s %s', p.oid::regprocedure, proowner::regrole, prorettype::regtype) order by 1) \
        from pg_proc p where pronamespace = 'auth'::regnamespace and not prosecdef \
          and not has_function_privilege('public', p.oid, 'EXECUTE')";
    let ours: Vec<String> = superuser.query_one(sql, &[]).await.unwrap().get(0);
    assert_eq!(
        ours,
        [
            "auth.jwt() tollgate_migrator jsonb",
            "auth.role() tollgate_migrator text",
            "auth.uid() tollgate_migrator uuid"
        ]
    );
    policies_hold(&superuser, &pool(database.config())).await;
    // A person whose issuer gives no UUIDs is nobody to such a policy, and no error.
    let door = Door::new(pool(database.config()));
    let ann = Tenant::new(OrganizationId::new(Uuid::now_v7()), "auth0|ann").with_role(Role::Member);
    assert!(door.run(ann.claims(), DoorRole::Member, &NOTES, &[]).await.unwrap().is_empty());
}
