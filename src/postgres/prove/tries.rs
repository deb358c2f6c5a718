//! What one role tries on one table.

use serde_json::Value;
use tokio_postgres::Client;

use super::{
    Ground,
    answer::{Answer, attempt, copied, explained, judge},
    ident, literal, newer,
    report::Proof,
    roles::{become_role, claims, namesake, operators, role_of, sent},
    rows::{Canaries, Canary, Table},
};
use crate::store::StoreError;

/// One role, on one table.
pub(super) struct Try<'a> {
    pub(super) ground: &'a Ground<'a>,
    pub(super) client: &'a Client,
    pub(super) canaries: &'a Canaries,
    pub(super) role: &'a str,
    pub(super) name: &'a str,
    /// A column that the role may change.
    pub(super) column: Option<&'a String>,
    pub(super) version: i32,
}

impl Try<'_> {
    pub(super) fn table(&self) -> String {
        self.ground.table(self.name)
    }

    /// A canary's row, as an expression to select from.
    fn row(&self, canary: &Canary) -> String {
        let row = canary.rows.get(self.name).cloned().unwrap_or_default();
        let row = literal(&Value::Object(row).to_string());
        format!("jsonb_populate_record(null::{}, {row})", self.table())
    }

    /// The columns that a row is given, without computed ones.
    fn given(&self) -> Vec<String> {
        self.canaries.tables.get(self.name).map_or_else(Vec::new, Table::given)
    }

    /// Inserts a canary's row once more.
    pub(super) fn insert(&self, canary: &Canary) -> String {
        let (table, columns) = (self.table(), self.given().join(", "));
        format!("insert into {table} ({columns}) select {columns} from {}", self.row(canary))
    }

    /// Writes the value that the row has already, without reading it: then only the policy of UPDATE can refuse.
    fn update(&self) -> String {
        let column = self.column.map_or("organization_id", String::as_str);
        let row = self.canaries.own.rows.get(self.name);
        let value = match row.and_then(|row| row.get(column)) {
            None | Some(Value::Null) => "null".to_owned(),
            Some(Value::String(text)) => literal(text),
            Some(other) => literal(&other.to_string()),
        };
        format!("update {} set {} = {value}", self.table(), ident(column))
    }

    /// Tries every statement on the other organization's row. Returns whether the role saw its organization's own row.
    pub(super) async fn foreign_rows(&self, proof: &mut Proof) -> Result<bool, StoreError> {
        let own = &self.canaries.own;
        let claims = claims(own.organization, &own.marker, role_of(self.role));
        let claims = sent(self.canaries.seal.as_ref(), &claims);
        become_role(self.client, self.role, Some(&claims)).await?;
        let table = self.table();
        let mine = format!(
            "select organization_id from {table} where organization_id = '{}'",
            own.organization
        );
        let seen = matches!(attempt(self.client, &mine, proof).await?, Answer::Rows(1..));
        if operators(self.role, self.name) {
            return Ok(seen);
        }
        let theirs = format!("where organization_id = '{}'", self.canaries.other.organization);
        let not_mine = format!("where organization_id <> '{}'", own.organization);
        let insert = self.insert(&self.canaries.other);
        let column = ident(self.column.map_or("organization_id", String::as_str));
        let other = self.canaries.other.organization;
        let mut statements = vec![
            ("select", format!("select organization_id from {table} {theirs}")),
            ("select", format!("select organization_id from {table} {not_mine}")),
            (
                "select for update",
                format!("select organization_id from {table} {theirs} for update"),
            ),
            ("select for share", format!("select organization_id from {table} {theirs} for share")),
            ("insert", insert.clone()),
            ("insert returning", format!("{insert} returning organization_id")),
            ("insert on conflict do nothing", format!("{insert} on conflict do nothing")),
            ("update", format!("update {table} set {column} = {column} {theirs}")),
            (
                "update returning",
                format!(
                    "update {table} set {column} = {column} {theirs} returning organization_id"
                ),
            ),
            (
                "update to another organization",
                format!("update {table} set organization_id = '{other}'"),
            ),
            ("delete", format!("delete from {table} {theirs}")),
            ("delete returning", format!("delete from {table} {theirs} returning organization_id")),
        ];
        let key = self.canaries.tables.get(self.name).and_then(|one| one.primary_key()).map(ident);
        if let Some(key) = &key {
            statements.push((
                "insert on conflict do update",
                format!("{insert} on conflict on constraint {key} do update set {column} = excluded.{column}"),
            ));
        }
        statements.extend(newer::statements(
            self.version,
            &newer::Target {
                table: &table,
                own: own.organization,
                other,
                column: &column,
                row: &self.row(&self.canaries.other),
                columns: &self.given(),
                insert: &insert,
                key: key.as_deref(),
            },
        ));
        for (verb, sql) in statements {
            let answer = attempt(self.client, &sql, proof).await?;
            judge(proof, "P01", self.name, self.role, verb, &answer, 0);
        }
        // The statement may write one row, the organization's own. A second row is the other organization's.
        let answer = attempt(self.client, &self.update(), proof).await?;
        judge(proof, "P01", self.name, self.role, "update without condition", &answer, 1);
        let copy = format!("copy (select organization_id from {table}) to stdout");
        let other = other.to_string();
        let answer = copied(self.client, &copy, Some(&other), proof).await?;
        judge(proof, "P01", self.name, self.role, "copy", &answer, 0);
        let explain = format!(
            "explain (analyze, costs off, timing off, summary off) select organization_id from {table} {theirs}"
        );
        let answer = explained(self.client, &explain, proof).await?;
        judge(proof, "P01", self.name, self.role, "explain analyze", &answer, 0);
        if self.role != "tollgate_migrator" {
            let answer = attempt(self.client, &format!("truncate {table} cascade"), proof).await?;
            if !matches!(answer, Answer::Refused) {
                proof.found("P05", self.name, format!("{} may truncate it", self.role));
            }
        }
        Ok(seen)
    }

    /// Tries to reach the other organization's row as a person with the same ids as one of that organization.
    pub(super) async fn rows_of_a_namesake(&self, proof: &mut Proof) -> Result<(), StoreError> {
        if operators(self.role, self.name) {
            return Ok(());
        }
        become_role(self.client, self.role, Some(&namesake(self.canaries, self.role))).await?;
        let (table, other) = (self.table(), self.canaries.other.organization);
        let column = ident(self.column.map_or("organization_id", String::as_str));
        for (verb, sql) in [
            (
                "select",
                format!("select organization_id from {table} where organization_id = '{other}'"),
            ),
            (
                "update",
                format!("update {table} set {column} = {column} where organization_id = '{other}'"),
            ),
            ("delete", format!("delete from {table} where organization_id = '{other}'")),
        ] {
            let answer = attempt(self.client, &sql, proof).await?;
            judge(proof, "P01", self.name, self.role, verb, &answer, 0);
        }
        Ok(())
    }

    /// Tries to add and delete rows as the mover, while the organization is in use here.
    pub(super) async fn rows_in_use(&self, proof: &mut Proof) -> Result<(), StoreError> {
        let own = &self.canaries.own;
        let claims = claims(own.organization, &own.marker, role_of(self.role));
        let claims = sent(self.canaries.seal.as_ref(), &claims);
        become_role(self.client, self.role, Some(&claims)).await?;
        let delete = format!("delete from {}", self.table());
        for (verb, sql) in [("delete", delete), ("insert", self.insert(own))] {
            let answer = attempt(self.client, &sql, proof).await?;
            judge(proof, "P07", self.name, self.role, verb, &answer, 0);
        }
        Ok(())
    }

    /// Tries to reach the organization's own row in a database role that the claims do not give.
    pub(super) async fn wrong_role(&self, proof: &mut Proof) -> Result<(), StoreError> {
        let own = &self.canaries.own;
        // A member sees its own rows whatever role the claims name, so the claims name another person.
        let user = match self.role {
            "tollgate_member" => "nobody",
            "tollgate_owner" | "tollgate_admin" | "tollgate_viewer" | "tollgate_platform" => {
                own.marker.as_str()
            }
            _ => return Ok(()),
        };
        let claims = claims(own.organization, user, "nobody");
        let claims = sent(self.canaries.seal.as_ref(), &claims);
        become_role(self.client, self.role, Some(&claims)).await?;
        let table = self.table();
        for (verb, sql) in [
            ("select", format!("select organization_id from {table}")),
            ("insert", self.insert(own)),
            ("update", self.update()),
            ("delete", format!("delete from {table}")),
        ] {
            let answer = attempt(self.client, &sql, proof).await?;
            judge(proof, "P02", self.name, self.role, verb, &answer, 0);
        }
        Ok(())
    }
}
