use std::sync::Arc;

use serde_json::json;
use uuid::Uuid;

use super::*;
use crate::{
    context::Tenant,
    domain::{ids::OrganizationId, role::Role},
    postgres::{Operator, PoolConfig, PostgresStore, cluster::testing},
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
        format!("revoke select (user_role) on {table} from tollgate_rls_helper"),
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
