//! The rows of its own organization that each role can read, and the calls that the SQL functions refuse.

use tokio_postgres::{Client, error::SqlState};
use tollgate::{
    Tenant,
    domain::role::Role,
    store::{Journal, Ledger},
};

use super::{
    fixture::{Fixture, Postgres, costing, hold},
    suite::price,
};

/// An organization that has a row in every table.
async fn populated(f: &Postgres) -> Tenant {
    let ann = f.organization(100).await;
    f.set_role(ann.organization_id(), "ann", Role::Owner).await;
    let request = hold(10, 1);
    f.store.hold(&ann, request.clone()).await.unwrap();
    f.store.finish(&ann, &costing(request.request_id, 5, 1)).await.unwrap();
    ann
}

pub(crate) async fn enter(client: &Client, tenant: &Tenant, role: &str) {
    client.batch_execute(&format!("begin; set local role tollgate_{role}")).await.unwrap();
    let claims = "select set_config('request.jwt.claims', $1, true)";
    client.execute(claims, &[&tenant.claims()]).await.unwrap();
}

/// How many rows a statement touched; a refusal touches none, anything else is a fault.
pub(crate) async fn touched(client: &Client, sql: &str) -> u64 {
    client.batch_execute("savepoint probe").await.unwrap();
    let touched = match client.execute(sql, &[]).await {
        Ok(rows) => rows,
        Err(error) => {
            assert_eq!(error.code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE), "{sql}: {error}");
            0
        }
    };
    client.batch_execute("rollback to savepoint probe").await.unwrap();
    touched
}

#[tokio::test]
async fn an_owner_sees_all_of_the_own_organization_and_a_viewer_no_money() {
    let f = Postgres::start().await;
    let ann = populated(&f).await;
    f.agree(ann.organization_id(), 500, &[price("agreed", 1)]).await;
    let client = f.database.connect().await.unwrap();
    for (role, table, sees) in [
        ("owner", "credit_ledger", true),
        ("owner", "audit_events", true),
        ("admin", "usage", true),
        ("admin", "credit_ledger", false),
        ("viewer", "usage", true),
        ("viewer", "audit_events", false),
        ("viewer", "credit_balances", false),
        ("member", "usage", true),
        ("member", "credit_balances", false),
        ("owner", "price_overrides", true),
        ("owner", "price_override_tiers", true),
        ("owner", "price_markups", true),
        ("admin", "price_overrides", false),
        ("admin", "price_override_tiers", false),
        ("admin", "price_markups", false),
        ("member", "price_overrides", false),
        ("member", "price_override_tiers", false),
        ("member", "price_markups", false),
        ("viewer", "price_overrides", false),
        ("viewer", "price_override_tiers", false),
        ("viewer", "price_markups", false),
    ] {
        enter(&client, &ann.clone().with_role(role.parse().unwrap()), role).await;
        let rows = touched(&client, &format!("select from tollgate.{table}")).await;
        assert_eq!(rows > 0, sees, "{role} and {table}");
        client.batch_execute("rollback").await.unwrap();
    }
    // Another member sees nothing of hers, and a role that the claims do not give sees nothing at all.
    let bob = Tenant::new(ann.organization_id(), "bob");
    for (person, role) in
        [(bob.with_role(Role::Member), "member"), (ann.with_role(Role::Viewer), "owner")]
    {
        enter(&client, &person, role).await;
        assert_eq!(touched(&client, "select from tollgate.audit_events").await, 0);
        client.batch_execute("rollback").await.unwrap();
    }
}

#[tokio::test]
async fn a_function_refuses_claims_that_name_another_organization() {
    let f = Postgres::start().await;
    let (a, b) = (f.organization(100).await, f.organization(100).await);
    let client = f.database.connect().await.unwrap();
    client.batch_execute("set session authorization tollgate_login").await.unwrap();
    let id = b.organization_id();
    for call in [
        format!(
            "hold('{id}', $1, array['{id}'::uuid], '{{1}}', '{{1}}', '{{1000}}', '{{ann}}', '{{null}}', '{{null}}')"
        ),
        format!("give_back('{id}', $1, array['{id}'::uuid])"),
        format!("renew('{id}', $1, array['{id}'::uuid], '{{1}}', '{{1}}', 1000)"),
        format!("expire('{id}', $1, 10)"),
        format!("standing('{id}', $1)"),
        format!(
            "finish('{id}', $1, array['{id}'::uuid], '{{0}}', '{{ann}}', '{{null}}', '{{null}}', '{{1}}', '{{1}}', array['{id}'::uuid], '{{0}}', \
             '{{false}}', '{{null}}', '{{messages}}', '{{m}}', '{{null}}', '{{null}}', '{{false}}', '{{complete}}', '{{200}}', '{{0}}', '{{0}}', \
             '{{0}}', '{{0}}', '{{0}}', '{{0}}', '{{false}}', '{{false}}', '{{0}}', '{{null}}', '{{false}}', '{{null}}', '{{null}}', '{{false}}')"
        ),
    ] {
        let sql = format!("select * from tollgate.{call}");
        let refused = client.execute(&sql, &[&a.claims()]).await.unwrap_err();
        assert_eq!(refused.code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE), "{sql}: {refused}");
        client.execute(&sql, &[&b.claims()]).await.unwrap();
    }
    // Without becoming platform, not even with claims that say so.
    let platform = b.clone().with_role(Role::Platform);
    let grant = format!("select tollgate.grant_credits('{id}', $1, 1, null)");
    let refused = client.execute(&grant, &[&platform.claims()]).await.unwrap_err();
    assert_eq!(refused.code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE));
    // And without the claims, not even as platform.
    client.batch_execute("set role tollgate_platform").await.unwrap();
    let refused = client.execute(&grant, &[&b.claims()]).await.unwrap_err();
    assert_eq!(refused.code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE));
    client.execute(&grant, &[&platform.claims()]).await.unwrap();
}

#[tokio::test]
async fn every_table_and_partition_has_forced_row_security_and_no_right_to_rewrite_history() {
    let f = Postgres::start().await;
    let client = f.database.connect().await.unwrap();
    let unforced = "select relname::text from pg_class c \
        where relnamespace = 'tollgate'::regnamespace and relkind in ('r', 'p') \
          and not (relrowsecurity and relforcerowsecurity)";
    assert!(client.query(unforced, &[]).await.unwrap().is_empty());
    let rewriting = "select table_name::text, grantee::text, privilege_type::text \
        from information_schema.role_table_grants \
        where table_schema = 'tollgate' and grantee <> 'tollgate_migrator' \
          and (privilege_type not in ('SELECT', 'INSERT', 'UPDATE', 'DELETE') \
            or (table_name in ('credit_ledger', 'usage', 'audit_events', 'audit_chain', 'audit_checkpoints', 'prompt_versions', \
              'prices', 'price_tiers', 'price_overrides', 'price_override_tiers', 'price_markups') and privilege_type in ('UPDATE', 'DELETE') \
              -- What it removes is a copy that nobody uses: its policies see to that.
              and (grantee, privilege_type) <> ('tollgate_mover', 'DELETE')) \
            or (select relispartition from pg_class \
              where oid = to_regclass(format('tollgate.%I', table_name))))";
    assert!(client.query(rewriting, &[]).await.unwrap().is_empty());
    let loose = "select proname::text from pg_proc \
        where pronamespace = 'tollgate'::regnamespace \
          and (has_function_privilege('public', oid, 'EXECUTE') \
            or prosecdef and (proconfig is null or not proconfig::text like '%search_path=pg_catalog, pg_temp%'))";
    let loose: Vec<String> =
        client.query(loose, &[]).await.unwrap().iter().map(|row| row.get(0)).collect();
    assert_eq!(loose, Vec::<String>::new());
}
