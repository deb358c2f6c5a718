//! Every table in the catalog, for every role and verb. These tests do not name the tables that have organizations, so
//! a new table is covered automatically, or makes a test fail.

use std::collections::BTreeSet;

use tokio_postgres::Client;
use tollgate::{
    Tenant,
    domain::{ids::OrganizationId, role::Role},
};
use uuid::Uuid;

use super::{
    fixture::{Fixture, Postgres},
    isolation::{enter, touched},
};

/// Roles that claims can be acted under; the last is the money functions' own.
pub(crate) const ROLES: [&str; 6] = ["owner", "admin", "member", "viewer", "platform", "ledger"];
const VERBS: [&str; 4] = ["select", "insert", "update", "delete"];
/// Prices in force are the same for everybody; the history of migrations and the keys of seals are no one's.
const OF_NOBODY: [&str; 4] = ["price_tiers", "prices", "schema_history", "seal_keys"];

pub(crate) struct Canaries {
    pub(crate) client: Client,
    pub(crate) tables: Vec<String>,
    ours: Tenant,
    theirs: OrganizationId,
    _fixture: Postgres,
}

/// Two organizations with a row in every table.
pub(crate) async fn planted() -> Canaries {
    let fixture = Postgres::start().await;
    let client = fixture.database.connect().await.unwrap();
    let sql = "select array_agg(c.relname::text order by c.relname) from pg_class c \
        where c.relnamespace = 'tollgate'::regnamespace and c.relkind in ('r', 'p', 'f', 'm', 'v') \
          and not c.relispartition and c.relname <> all ($1)";
    let tables: Vec<String> = client.query_one(sql, &[&&OF_NOBODY[..]]).await.unwrap().get(0);
    assert!(tables.len() > 20, "{tables:?}");
    let [ours, theirs] = [(); 2].map(|()| OrganizationId::new(Uuid::now_v7()));
    for id in [ours, theirs] {
        let sql = include_str!("canaries.sql").replace(":organization", &format!("'{id}'::uuid"));
        client.batch_execute(&sql).await.unwrap();
        for table in &tables {
            let sql = format!("select from tollgate.{table} where organization_id = '{id}'");
            assert!(
                client.execute(&sql, &[]).await.unwrap() > 0,
                "{table} needs a row in canaries.sql"
            );
        }
    }
    Canaries { client, tables, ours: Tenant::new(ours, "ann"), theirs, _fixture: fixture }
}

impl Canaries {
    /// Acts as this role of the own organization, with claims that give this one.
    pub(crate) async fn act(&self, role: &str, claimed: &str) {
        // The ledger's functions act for whoever calls: an owner at most.
        let claimed: Role = claimed.parse().unwrap_or(Role::Owner);
        enter(&self.client, &self.ours.clone().with_role(claimed), role).await;
    }

    pub(crate) async fn leave(&self) {
        self.client.batch_execute("rollback").await.unwrap();
    }

    /// The columns that the role may use with this verb.
    pub(crate) async fn columns(&self, table: &str, role: &str, verb: &str) -> Vec<String> {
        let sql = "select coalesce(array_agg(attname::text order by attnum), '{}') from pg_attribute \
            where attrelid = to_regclass($1) and attnum > 0 and not attisdropped \
              and has_column_privilege($2, attrelid, attnum, $3)";
        let (table, role) = (format!("tollgate.{table}"), format!("tollgate_{role}"));
        self.client.query_one(sql, &[&table, &role, &verb]).await.unwrap().get(0)
    }

    /// The statements that would touch their rows, by verb.
    async fn attacks(&self, table: &str, role: &str) -> Vec<String> {
        let them = self.theirs;
        let row = format!(
            "select to_jsonb(t)::text from tollgate.{table} t where organization_id = '{them}'"
        );
        let row: String = self.client.query(&row, &[]).await.unwrap()[0].get(0);
        let row = row.replace('\'', "''");
        let named = self.columns(table, role, "insert").await.join(", ");
        let named = if named.is_empty() { "organization_id".to_owned() } else { named };
        let record = format!("jsonb_populate_record(null::tollgate.{table}, '{row}')");
        let insert = format!("insert into tollgate.{table} ({named}) select {named} from {record}");
        let mut attacks = vec![
            format!(
                "select organization_id from tollgate.{table} where organization_id = '{them}'"
            ),
            format!(
                "select organization_id from tollgate.{table} where organization_id = '{them}' for update"
            ),
            format!(
                "select organization_id from tollgate.{table} where organization_id <> '{}'",
                self.ours.organization_id()
            ),
            format!("delete from tollgate.{table} where organization_id = '{them}'"),
            format!("update tollgate.{table} set organization_id = '{them}'"),
            format!("truncate tollgate.{table}"),
            format!("{insert} on conflict do nothing"),
            insert,
        ];
        for column in self.columns(table, role, "update").await {
            attacks.push(format!(
                "update tollgate.{table} set {column} = {column} where organization_id = '{them}'"
            ));
        }
        attacks
    }
}

#[tokio::test]
async fn no_role_touches_a_row_of_another_organization_with_any_verb() {
    let canaries = planted().await;
    let mut probes = 0;
    // Platform is the operator: what it sees of every organization is the next test's.
    for role in ROLES.into_iter().filter(|role| *role != "platform") {
        for table in &canaries.tables {
            let attacks = canaries.attacks(table, role).await;
            canaries.act(role, role).await;
            for sql in attacks {
                assert_eq!(touched(&canaries.client, &sql).await, 0, "{role}: {sql}");
                probes += 1;
            }
            canaries.leave().await;
        }
    }
    assert!(probes > 5 * 8 * 20, "{probes}");
}

#[tokio::test]
async fn the_operators_staff_sees_no_more_of_an_organization_than_is_listed() {
    let canaries = planted().await;
    let mut seen = BTreeSet::new();
    canaries.act("platform", "platform").await;
    for table in &canaries.tables {
        for column in canaries.columns(table, "platform", "select").await {
            let sql = format!(
                "select {column} from tollgate.{table} where organization_id = '{}'",
                canaries.theirs
            );
            if touched(&canaries.client, &sql).await > 0 {
                seen.insert(table.as_str());
            }
        }
    }
    canaries.leave().await;
    let listed = [
        "break_glass_grants",
        "budget_events",
        "budget_usage",
        "budgets",
        "credit_balances",
        "credit_holds",
        "kill_switches",
        "memberships",
        "organizations",
        "policies",
        "price_markups",
        "price_override_tiers",
        "price_overrides",
        "rate_limits",
        "usage_daily",
    ];
    assert_eq!(seen, BTreeSet::from(listed));
    // With the claims of anybody else the role sees nothing.
    canaries.act("platform", "owner").await;
    for table in listed {
        let sql = format!("select organization_id from tollgate.{table}");
        assert_eq!(touched(&canaries.client, &sql).await, 0, "{table}");
    }
    canaries.leave().await;
}

#[tokio::test]
async fn who_may_read_a_table_sees_the_own_row_and_only_by_claims_that_give_the_role() {
    let canaries = planted().await;
    for role in ROLES.into_iter().filter(|role| !["platform", "ledger"].contains(role)) {
        for table in &canaries.tables {
            if canaries.columns(table, role, "select").await.is_empty() {
                continue;
            }
            let sql = format!("select organization_id from tollgate.{table}");
            canaries.act(role, role).await;
            assert!(touched(&canaries.client, &sql).await > 0, "{role} sees nothing of {table}");
            canaries.leave().await;

            canaries
                .client
                .batch_execute(&format!("begin; set local role tollgate_{role}"))
                .await
                .unwrap();
            assert_eq!(touched(&canaries.client, &sql).await, 0, "{role} without claims: {table}");
            canaries.leave().await;

            if role == "owner" || role == "admin" {
                canaries.act(role, "viewer").await;
                assert_eq!(touched(&canaries.client, &sql).await, 0, "{role} by SET ROLE: {table}");
                canaries.leave().await;
            }
        }
    }
}

#[tokio::test]
async fn every_right_has_its_policy_and_every_policy_its_right() {
    let canaries = planted().await;
    for table in canaries.tables.iter().map(String::as_str).chain(["prices", "price_tiers"]) {
        let mut wanted = BTreeSet::new();
        for role in ROLES.into_iter().chain(["rls_helper", "login", "mover"]) {
            for verb in VERBS {
                // No one deletes by columns; the table's right is what counts.
                let sql = if verb == "delete" {
                    "select has_table_privilege($1, $2, $3)"
                } else {
                    "select has_any_column_privilege($1, $2, $3)"
                };
                let (grantee, relation) = (format!("tollgate_{role}"), format!("tollgate.{table}"));
                let may =
                    canaries.client.query_one(sql, &[&grantee, &relation, &verb]).await.unwrap();
                if may.get(0) {
                    let word = if role == "rls_helper" { "helper" } else { role };
                    wanted.insert(format!("{table}_{verb}_{word}"));
                    assert!(
                        !["viewer", "member"].contains(&role) || verb == "select",
                        "{wanted:?}"
                    );
                }
            }
        }
        assert!(!wanted.is_empty(), "{table} is nobody's");
        let sql = "select array_agg(policyname::text) from pg_policies \
            where schemaname = 'tollgate' and tablename = $1 and cmd <> 'ALL' and permissive = 'PERMISSIVE' \
              and cardinality(roles) = 1 and policyname = format('%s_%s_%s', tablename, lower(cmd), \
                replace(replace(roles[1]::text, 'tollgate_', ''), 'rls_helper', 'helper'))";
        let made = canaries.client.query_one(sql, &[&table]).await.unwrap();
        let made: Vec<String> = made.get(0);
        assert_eq!(made.into_iter().collect::<BTreeSet<_>>(), wanted);
    }
}

#[tokio::test]
async fn the_organization_leads_every_key_index_and_reference() {
    let canaries = planted().await;
    let faults = "
        select c.relname || ' has no organization_id' from pg_class c
          where c.relnamespace = 'tollgate'::regnamespace and c.relkind in ('r', 'p') and c.relname <> all ($1)
            and not exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'organization_id'
                            and a.atttypid = 'uuid'::regtype and a.attnotnull)
        union all
        select i.indexrelid::regclass || ' does not lead with it' from pg_index i
          join pg_class c on c.oid = i.indrelid
          where c.relnamespace = 'tollgate'::regnamespace and c.relname <> all ($1)
            and (select attname from pg_attribute where attrelid = c.oid and attnum = i.indkey[0]) is distinct from 'organization_id'
        union all
        select k.conname || ' does not lead with it' from pg_constraint k
          join pg_class c on c.oid = k.conrelid
          where c.relnamespace = 'tollgate'::regnamespace and c.relname <> all ($1) and k.contype in ('p', 'u', 'f')
            and (select attname from pg_attribute where attrelid = c.oid and attnum = k.conkey[1]) is distinct from 'organization_id'
        union all
        select k.conname || ' has no index of its columns' from pg_constraint k
          join pg_class c on c.oid = k.conrelid
          where c.relnamespace = 'tollgate'::regnamespace and c.relname <> all ($1) and k.contype = 'f'
            and not exists (select from pg_index i where i.indrelid = k.conrelid and i.indpred is null
                            and (i.indkey::int2[])[0:cardinality(k.conkey) - 1] @> k.conkey)
        union all
        select c.relname || ' is not forced' from pg_class c
          where c.relnamespace = 'tollgate'::regnamespace and c.relkind in ('r', 'p')
            and not (c.relrowsecurity and c.relforcerowsecurity)
        union all
        select c.relname || ' is granted, and is a partition' from pg_class c
          where c.relnamespace = 'tollgate'::regnamespace and c.relispartition and c.relacl::text ~ 'tollgate_[^m]'";
    let faults = canaries.client.query(faults, &[&&OF_NOBODY[..]]).await.unwrap();
    let faults: Vec<String> = faults.iter().map(|row| row.get(0)).collect();
    assert_eq!(faults, Vec::<String>::new());
}

#[tokio::test]
async fn months_are_made_ahead_in_every_table_that_grows_by_time() {
    let canaries = planted().await;
    let sql = "select p.relname::text, count(*), bool_or(c.relname = p.relname || '_default'), \
          bool_or(c.relname = p.relname || to_char(now() + interval '23 months', '_YYYY_MM')) \
        from pg_inherits i join pg_class p on p.oid = i.inhparent join pg_class c on c.oid = i.inhrelid \
        where p.relnamespace = 'tollgate'::regnamespace and p.relkind = 'p' group by 1 order by 1";
    let grown = canaries.client.query(sql, &[]).await.unwrap();
    let names: Vec<String> = grown.iter().map(|row| row.get(0)).collect();
    assert_eq!(names, ["audit_events", "usage", "usage_daily"]);
    assert!(grown.iter().all(|row| row.get::<_, i64>(1) >= 26 && row.get(2) && row.get(3)));
}
