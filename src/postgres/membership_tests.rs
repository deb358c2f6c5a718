use std::sync::Arc;

use serde_json::json;
use uuid::Uuid;

use super::*;
use crate::{
    context::Tenant,
    domain::{ids::OrganizationId, role::Role},
    postgres::{
        Operator, PoolConfig, PostgresStore, Seal,
        cluster::testing,
        prove::{self, Extent},
        sealing::{self, Sealing},
    },
    store::PolicyStore,
};

/// As LiteLLM's first migration makes it.
const THEIRS: &str = r#"
    create table public."LiteLLM_OrganizationMembership" (
      "user_id" text not null, "organization_id" text not null, "user_role" text,
      "spend" double precision default 0.0, "budget_id" text,
      "created_at" timestamp(3) default current_timestamp, "updated_at" timestamp(3) default current_timestamp,
      constraint "LiteLLM_OrganizationMembership_pkey" primary key ("user_id", "organization_id"))"#;

struct Beside {
    database: testing::Database,
    pool: Pool,
    organization: OrganizationId,
}

impl Beside {
    async fn start() -> Self {
        let database = testing::database().await.unwrap();
        let mut config = database.config();
        config.user("tollgate_login");
        let pool = Pool::connect(PoolConfig::new(config)).unwrap();
        let organization = OrganizationId::new(Uuid::now_v7());
        let operator = Operator::new(pool.clone());
        assert!(operator.create_organization(organization, "Ours", "UTC").await.unwrap());
        operator.set_role(organization, "ann", Role::Owner).await.unwrap();
        Self { database, pool, organization }
    }

    async fn sql(&self, sql: &str) {
        self.database.connect().await.unwrap().batch_execute(sql).await.unwrap();
    }

    async fn join(&self, user: &str, role: Option<&str>) {
        let admin = self.database.connect().await.unwrap();
        let sql = r#"insert into public."LiteLLM_OrganizationMembership" (user_id, organization_id, user_role) values ($1, $2, $3)"#;
        admin.execute(sql, &[&user, &self.organization.to_string(), &role]).await.unwrap();
    }

    async fn role(&self, user: &str) -> Result<Option<Role>, StoreError> {
        let store = Arc::new(PostgresStore::new(self.pool.clone()));
        let tenant = Tenant::new(self.organization, user);
        Ok(store.standing(&tenant).await?.role)
    }

    async fn read_from(&self, source: Membership) -> Result<(), StoreError> {
        read_from(&self.database.config(), source).await
    }

    async fn problem(&self, wanted: Membership) -> String {
        check(&self.pool, wanted).await.unwrap_err().to_string()
    }
}

#[tokio::test]
async fn a_persons_role_is_read_from_litellms_table_once_the_database_is_told() {
    let beside = Beside::start().await;
    beside.sql(THEIRS).await;
    beside.sql(r#"insert into public."LiteLLM_OrganizationMembership" (user_id, organization_id, user_role) values ('ann', 'not-a-uuid', 'org_admin')"#).await;
    for (user, role) in [
        ("admin", Some("org_admin")),
        ("member", Some("internal_user")),
        ("viewer", Some("internal_user_viewer")),
        ("proxy", Some("proxy_admin")),
        ("nothing", None),
    ] {
        beside.join(user, role).await;
    }
    check(&beside.pool, Membership::Tollgate).await.unwrap();
    assert_eq!(beside.role("ann").await.unwrap(), Some(Role::Owner));
    assert_eq!(beside.role("admin").await.unwrap(), None);

    for _ in 0..2 {
        beside.read_from(Membership::Litellm).await.unwrap();
        check(&beside.pool, Membership::Litellm).await.unwrap();
    }
    for (user, role) in [
        ("admin", Some(Role::Admin)),
        ("member", Some(Role::Member)),
        ("viewer", Some(Role::Viewer)),
        ("proxy", None),
        ("nothing", None),
        ("ann", None),
        ("nobody", None),
    ] {
        assert_eq!(beside.role(user).await.unwrap(), role, "{user}");
    }
    // Migrating again does not change it.
    migrate::run(&beside.database.config()).await.unwrap();
    check(&beside.pool, Membership::Litellm).await.unwrap();

    beside.read_from(Membership::Tollgate).await.unwrap();
    assert_eq!(beside.role("ann").await.unwrap(), Some(Role::Owner));
    let admin = beside.database.connect().await.unwrap();
    let granted = "select count(attacl) from pg_attribute where attrelid = 'public.\"LiteLLM_OrganizationMembership\"'::regclass and attacl::text like '%tollgate%'";
    assert_eq!(admin.query_one(granted, &[]).await.unwrap().get::<_, i64>(0), 0);
}

#[tokio::test]
async fn row_security_asks_the_same_source() {
    let beside = Beside::start().await;
    beside.sql(THEIRS).await;
    beside.join("bob", Some("internal_user_viewer")).await;
    beside.read_from(Membership::Litellm).await.unwrap();
    let client = beside.database.connect().await.unwrap();
    for (user, sees) in [("bob", 1_i64), ("ann", 0)] {
        let claims = json!({"organization_id": beside.organization, "sub": user}).to_string();
        client.batch_execute("begin; set local role tollgate_viewer").await.unwrap();
        let enter = "select set_config('request.jwt.claims', $1, true)";
        client.execute(enter, &[&claims]).await.unwrap();
        let policies = "select count(*) from tollgate.policies";
        assert_eq!(client.query_one(policies, &[]).await.unwrap().get::<_, i64>(0), sees, "{user}");
        client.batch_execute("rollback").await.unwrap();
    }
}

#[tokio::test]
async fn where_litellm_has_no_table_yet_the_source_stays_and_the_error_says_what_to_do() {
    let beside = Beside::start().await;
    let refused = beside.read_from(Membership::Litellm).await.unwrap_err();
    let text = std::error::Error::source(&refused).unwrap().to_string();
    assert!(text.contains("let LiteLLM make its tables first"), "{text}");
    assert_eq!(beside.role("ann").await.unwrap(), Some(Role::Owner));
    let other = beside.problem(Membership::Litellm).await;
    assert!(other.contains("tollgate migrate --membership litellm"), "{other}");
}

#[tokio::test]
async fn litellm_may_change_its_table_as_it_likes_and_the_check_says_so() {
    let beside = Beside::start().await;
    beside.sql(THEIRS).await;
    beside.join("bob", Some("internal_user")).await;
    beside.read_from(Membership::Litellm).await.unwrap();
    let table = r#"public."LiteLLM_OrganizationMembership""#;
    let widen = format!("alter table {table} alter column user_role type varchar(50)");
    beside.sql(&widen).await;
    assert_eq!(beside.role("bob").await.unwrap(), Some(Role::Member));
    for change in [
        format!("revoke select (user_role) on {table} from tollgate_litellm"),
        format!("alter table {table} drop column user_role"),
        format!("drop table {table}"),
    ] {
        beside.sql(&change).await;
        let problem = beside.problem(Membership::Litellm).await;
        assert!(problem.contains("cannot be read from `litellm`"), "{problem}");
        // No role is read from a table that was changed.
        assert!(beside.role("bob").await.is_err(), "{change}");
    }
    // A migration neither fails without their table nor changes where memberships are read from.
    migrate::run(&beside.database.config()).await.unwrap();
    let problem = beside.problem(Membership::Litellm).await;
    assert!(problem.contains("cannot be read from `litellm`"), "{problem}");
}

/// LiteLLM's database user, who owns LiteLLM's table and nothing else. It keeps what it learns in its table `loot`.
const THIEF: &str = r#"
    create role litellm_thief login;
    grant create on schema public to litellm_thief;
    alter table public."LiteLLM_OrganizationMembership" owner to litellm_thief;
    set role litellm_thief;
    create table public.loot (who text, what text);
    grant insert on public.loot to public;
    create function public.steal() returns text language plpgsql volatile as $$
    begin
      insert into public.loot values (current_user, 'ran');
      begin
        insert into public.loot select current_user, encode(inner_pad, 'hex') from tollgate.seal_keys;
      exception when insufficient_privilege then
        null;
      end;
      perform set_config('request.jwt.claims', '{"stolen": true}', false);
      return 'thief';
    end $$;
    create function public.steal_early() returns text language plpgsql immutable as $$
    begin
      perform set_config('request.jwt.claims', '{"stolen": true}', false);
      return 'thief';
    end $$;
    reset role"#;

/// What LiteLLM's user puts in the place of its table, each of which would run its function as whoever reads.
const TRAPS: [&str; 6] = [
    r#"create view public."LiteLLM_OrganizationMembership" as
         select public.steal() as user_id, real.organization_id, 'org_admin'::text as user_role from public.real"#,
    r#"create table public."LiteLLM_OrganizationMembership" as select * from public.real;
       alter table public."LiteLLM_OrganizationMembership" enable row level security;
       create policy trap on public."LiteLLM_OrganizationMembership" using (public.steal() is not null)"#,
    r#"create table public."LiteLLM_OrganizationMembership" (user_id text, organization_id text, user_role text) partition by list (user_role);
       create table public.part partition of public."LiteLLM_OrganizationMembership" default"#,
    r#"create materialized view public."LiteLLM_OrganizationMembership" as select * from public.real"#,
    // The planner computes constant calls in the conditions of indexes and checks.
    r#"create table public."LiteLLM_OrganizationMembership" as select * from public.real;
       create index on public."LiteLLM_OrganizationMembership" (user_id) where public.steal_early() = 'thief'"#,
    r#"create table public."LiteLLM_OrganizationMembership" as select * from public.real;
       alter table public."LiteLLM_OrganizationMembership" add check (public.steal_early() = 'thief')"#,
];

#[tokio::test]
async fn litellms_user_runs_nothing_as_a_role_of_ours_and_learns_no_key() {
    let beside = Beside::start().await;
    beside.sql(THEIRS).await;
    beside.join("ann", Some("internal_user")).await;
    beside.sql(THIEF).await;
    beside.read_from(Membership::Litellm).await.unwrap();
    let seal = Seal::new(b"a key of a gateway that nobody may steal").unwrap();
    let sealing = Sealing::Only(vec![seal.clone()]);
    sealing::set(&beside.database.config(), &sealing).await.unwrap();
    let mut config = beside.database.config();
    config.user("tollgate_login");
    let sealed = Pool::connect(PoolConfig { seal: Some(seal), ..PoolConfig::new(config) }).unwrap();
    let store = Arc::new(PostgresStore::new(sealed.clone()));
    let ann = Tenant::new(beside.organization, "ann");
    assert_eq!(store.standing(&ann).await.unwrap().role, Some(Role::Member));
    assert_eq!(loot(&beside).await, Vec::<(String, String)>::new());

    for trap in TRAPS {
        let thief = beside.database.connect().await.unwrap();
        let swap = r#"alter table public."LiteLLM_OrganizationMembership" rename to real"#;
        let grant = r#"grant select on public."LiteLLM_OrganizationMembership" to public; truncate public.loot"#;
        let sql = format!("begin; set local role litellm_thief; {swap}; {trap}; {grant}; commit");
        thief.batch_execute(&sql).await.unwrap();

        let problem = check(&sealed, Membership::Litellm).await.unwrap_err().to_string();
        assert!(problem.contains("no ordinary table"), "{trap}: {problem}");
        let refused = store.standing(&ann).await;
        assert!(refused.is_err(), "{trap}: {refused:?}");
        // People's statements ask for the role, too.
        let claims = json!({"organization_id": beside.organization, "sub": "ann"}).to_string();
        thief.batch_execute("begin; set local role tollgate_viewer").await.unwrap();
        let enter = "select set_config('request.jwt.claims', $1, true)";
        let own = sealed.sealed(&claims).text().into_owned();
        thief.execute(enter, &[&own]).await.unwrap();
        assert!(thief.query("select * from tollgate.policies", &[]).await.is_err(), "{trap}");
        thief.batch_execute("rollback").await.unwrap();
        assert_eq!(loot(&beside).await, Vec::<(String, String)>::new(), "{trap}");
        let proof = prove::run(&beside.database.config(), Extent::Catalog).await.unwrap();
        assert!(proof.findings.iter().any(|one| one.code == "C32"), "{trap}: {proof}");

        let kind = if trap.starts_with("create view") {
            "view"
        } else if trap.starts_with("create materialized") {
            "materialized view"
        } else {
            "table"
        };
        let back = format!(
            r#"begin; set local role litellm_thief; drop {kind} public."LiteLLM_OrganizationMembership";
               alter table public.real rename to "LiteLLM_OrganizationMembership"; commit"#
        );
        thief.batch_execute(&back).await.unwrap();
        assert_eq!(store.standing(&ann).await.unwrap().role, Some(Role::Member), "{trap}");
    }
    let proof = prove::run(&beside.database.config(), Extent::Full).await.unwrap();
    assert!(proof.holds(), "{proof}");
}

async fn loot(beside: &Beside) -> Vec<(String, String)> {
    let client = beside.database.connect().await.unwrap();
    let rows = client.query("select who, what from public.loot", &[]).await.unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

#[tokio::test]
async fn a_table_of_another_owner_says_nobodys_role_until_it_is_admitted() {
    let beside = Beside::start().await;
    beside.sql(THEIRS).await;
    beside.join("ann", Some("internal_user")).await;
    beside.sql("create role litellm_before; create role litellm_after").await;
    let table = r#"public."LiteLLM_OrganizationMembership""#;
    beside.sql(&format!("alter table {table} owner to litellm_before")).await;
    beside.read_from(Membership::Litellm).await.unwrap();
    assert_eq!(beside.role("ann").await.unwrap(), Some(Role::Member));

    beside.sql(&format!("alter table {table} owner to litellm_after")).await;
    assert!(beside.role("ann").await.is_err());
    let problem = beside.problem(Membership::Litellm).await;
    assert!(problem.contains("belongs to litellm_after, and not to litellm_before"), "{problem}");
    // A migration that does not name the source admits nobody.
    migrate::run(&beside.database.config()).await.unwrap();
    assert!(beside.role("ann").await.is_err());
    beside.read_from(Membership::Litellm).await.unwrap();
    assert_eq!(beside.role("ann").await.unwrap(), Some(Role::Member));
}

#[tokio::test]
async fn the_roles_that_read_keys_and_litellms_table_can_do_nothing_else() {
    let beside = Beside::start().await;
    beside.sql(THEIRS).await;
    beside.read_from(Membership::Litellm).await.unwrap();
    let admin = beside.database.connect().await.unwrap();
    let may = "select r.rolname::text, c.oid::regclass::text, r.rolbypassrls from pg_roles r, pg_class c
        where r.rolname in ('tollgate_seals', 'tollgate_litellm', 'tollgate_rls_helper') and c.relkind in ('r', 'p', 'v')
          and c.relnamespace in ('tollgate'::regnamespace, 'public'::regnamespace)
          and has_any_column_privilege(r.oid, c.oid, 'select, insert, update, references') order by 1";
    let may: Vec<(String, String, bool)> = (admin.query(may, &[]).await.unwrap().iter())
        .map(|row| (row.get(0), row.get(1), row.get(2)))
        .collect();
    let only = [
        ("tollgate_litellm", r#""LiteLLM_OrganizationMembership""#, false),
        ("tollgate_rls_helper", "tollgate.memberships", true),
        ("tollgate_seals", "tollgate.seal_keys", false),
    ];
    assert_eq!(may, only.map(|(role, table, past)| (role.to_owned(), table.to_owned(), past)));
}
