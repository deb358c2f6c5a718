//! Every role tries every verb on rows that are not its own.

use std::collections::BTreeMap;

use futures_util::TryStreamExt;
use serde_json::{Value, json};
use tokio_postgres::{Client, SimpleQueryMessage, error::SqlState};
use uuid::Uuid;

use super::{
    Ground,
    checks::{OPERATORS_TABLES, names},
    execute, forged, ident, literal, newer,
    report::Proof,
    rows::{Canaries, Canary, Table},
};
use crate::{
    postgres::{Seal, error, seal::Sealed},
    store::StoreError,
};

/// Whom the gateway and people act as; the owner of the tables too.
pub(super) const ROLES: [&str; 9] = [
    "tollgate_login",
    "tollgate_owner",
    "tollgate_admin",
    "tollgate_member",
    "tollgate_viewer",
    "tollgate_platform",
    "tollgate_ledger",
    MOVER,
    "tollgate_migrator",
];
const MOVER: &str = "tollgate_mover";

/// What a statement got.
pub(super) enum Answer {
    /// No right, or no policy that lets it through.
    Refused,
    /// This many rows, or bytes.
    Rows(u64),
    /// A constraint stopped it: the policies did not.
    Through,
    /// The claims have no valid seal.
    Unsealed,
    /// Something else, which shows nothing.
    Unclear(String),
}

/// Those of the roles that this user may become, and the server's version.
pub(super) async fn roles(
    ground: &Ground<'_>,
    proof: &mut Proof,
) -> Result<(Vec<&'static str>, i32), StoreError> {
    let failed = |error: tokio_postgres::Error| error::failed(&error);
    let asked = include_str!("../sql/statements/prove/user.sql");
    let user = ground.query_one(asked, &[&ROLES.as_slice()]).await?;
    let may: Vec<String> = user.try_get(2).map_err(failed)?;
    let (may, not): (Vec<_>, Vec<_>) =
        ROLES.into_iter().partition(|role| may.iter().any(|one| one == role));
    for role in not {
        proof.unchecked(format!("what {role} can do: this user cannot become it"));
    }
    Ok((may, user.try_get(4).map_err(failed)?))
}

/// Becomes a role with these claims, or none.
pub(super) async fn become_role(
    client: &Client,
    role: &str,
    claims: Option<&str>,
) -> Result<(), StoreError> {
    let claims = claims.unwrap_or_default();
    let sql = format!(
        "set local role none; select set_config('request.jwt.claims', {}, true), set_config('role', {}, true)",
        literal(claims),
        literal(role)
    );
    execute(client, &sql).await
}

pub(super) fn claims(organization: Uuid, user: &str, role: &str) -> Value {
    json!({"organization_id": organization, "sub": user, "role_in_organization": role})
}

/// Claims as they are sent: sealed now, where they must be.
pub(super) fn sent(seal: Option<&Seal>, claims: &Value) -> String {
    Sealed::new(seal, &claims.to_string()).text().into_owned()
}

/// The role that a token would have for this database role.
pub(super) fn role_of(role: &str) -> &str {
    match role {
        "tollgate_admin" => "admin",
        "tollgate_member" => "member",
        "tollgate_viewer" => "viewer",
        "tollgate_platform" => "platform",
        _ => "owner",
    }
}

/// Reads as every role, with no claims and with those of an organization that is not there.
pub(super) async fn read(
    ground: &Ground<'_>,
    seal: Option<&Seal>,
    proof: &mut Proof,
) -> Result<(), StoreError> {
    let client = ground.client;
    let (roles, _) = roles(ground, proof).await?;
    proof.roles_were_tried();
    forged::keys(ground, &roles, proof).await?;
    proof.unchecked("writing and functions: read-only");
    let names =
        ground.query(include_str!("../sql/statements/prove/tenant_tables.sql"), &[]).await?;
    let stranger = Uuid::new_v4();
    for role in roles {
        for claims in [None, Some(claims(stranger, "canary", role_of(role)))] {
            let check = if claims.is_some() { "P01" } else { "P03" };
            for name in &names {
                let name: &str = name.try_get(0).map_err(|error| error::failed(&error))?;
                if claims.is_some() && operators(role, name) {
                    continue;
                }
                let sent = claims.as_ref().map(|claims| sent(seal, claims));
                become_role(client, role, sent.as_deref()).await?;
                let table = ground.table(name);
                let sql = format!("select organization_id from {table} limit 1");
                let answer = attempt(client, &sql, proof).await?;
                judge(proof, check, name, role, "select", &answer, 0);
                let copied =
                    copied(client, &format!("copy ({sql}) to stdout"), None, proof).await?;
                judge(proof, check, name, role, "copy", &copied, 0);
            }
        }
        if let Some(seal) = seal {
            forged::claims_count(ground, seal, role, stranger, proof).await?;
        }
    }
    execute(client, "set local role none").await
}

/// Whether the operator's staff may see rows of every organization there.
fn operators(role: &str, table: &str) -> bool {
    role == "tollgate_platform" && names(OPERATORS_TABLES).contains(&table)
}

/// Tries everything, on every table or on one.
pub(super) async fn run(
    ground: &Ground<'_>,
    canaries: &Canaries,
    only: Option<&str>,
    proof: &mut Proof,
) -> Result<(), StoreError> {
    let client = ground.client;
    let (roles, version) = roles(ground, proof).await?;
    proof.roles_were_tried();
    for what in newer::missing(version) {
        proof.unchecked(format!("{what}: this server does not have it"));
    }
    if only.is_none() {
        forged::keys(ground, &roles, proof).await?;
    }
    for role in roles {
        let mut seen = false;
        let columns = updatable(ground, role, only).await?;
        for name in canaries.other.rows.keys() {
            if only.is_some_and(|only| only != name) {
                continue;
            }
            let column = columns.get(name);
            let try_on = Try { ground, client, canaries, role, name, column, version };
            if let Some(seal) = &canaries.seal {
                forged::reach(&try_on, seal, proof).await?;
            }
            seen |= try_on.foreign_rows(proof).await?;
            try_on.wrong_role(proof).await?;
            if role == MOVER {
                try_on.rows_in_use(proof).await?;
            }
            become_role(client, role, None).await?;
            let sql = format!("select organization_id from {}", try_on.table());
            let answer = attempt(client, &sql, proof).await?;
            judge(proof, "P03", name, role, "select", &answer, 0);
        }
        // Who sees nothing at all sees nothing of others either, and that proves nothing.
        if !seen && only.is_none() && forged::PEOPLE.contains(&role) {
            proof.found("P00", role, "sees not even its own rows: the claims have no effect");
        }
    }
    execute(client, "set local role none").await
}

async fn updatable(
    ground: &Ground<'_>,
    role: &str,
    only: Option<&str>,
) -> Result<BTreeMap<String, String>, StoreError> {
    let failed = |error: tokio_postgres::Error| error::failed(&error);
    let rows = ground
        .query(include_str!("../sql/statements/prove/updatable.sql"), &[&role, &only])
        .await?;
    rows.iter()
        .map(|row| Ok((row.try_get(0).map_err(failed)?, row.try_get(1).map_err(failed)?)))
        .collect()
}

pub(super) struct Try<'a> {
    pub(super) ground: &'a Ground<'a>,
    pub(super) client: &'a Client,
    pub(super) canaries: &'a Canaries,
    pub(super) role: &'a str,
    pub(super) name: &'a str,
    /// One that the role may change.
    pub(super) column: Option<&'a String>,
    version: i32,
}

impl Try<'_> {
    pub(super) fn table(&self) -> String {
        self.ground.table(self.name)
    }

    /// A canary's row, as something to select from.
    fn row(&self, canary: &Canary) -> String {
        let row = canary.rows.get(self.name).cloned().unwrap_or_default();
        let row = literal(&Value::Object(row).to_string());
        format!("jsonb_populate_record(null::{}, {row})", self.table())
    }

    /// The columns that a row is given, and does not compute.
    fn given(&self) -> Vec<String> {
        self.canaries.tables.get(self.name).map_or_else(Vec::new, Table::given)
    }

    /// Inserts a canary's row once more.
    pub(super) fn insert(&self, canary: &Canary) -> String {
        let (table, columns) = (self.table(), self.given().join(", "));
        format!("insert into {table} ({columns}) select {columns} from {}", self.row(canary))
    }

    /// Writes what is there already, without reading: only the policy of UPDATE is in its way.
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

    /// Everything on the other organization's row. Whether the own row was seen.
    async fn foreign_rows(&self, proof: &mut Proof) -> Result<bool, StoreError> {
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
        // The own row may be written; a second one is not its own.
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

    /// The mover in an organization that is where it is, and neither arrives nor has left.
    async fn rows_in_use(&self, proof: &mut Proof) -> Result<(), StoreError> {
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

    /// The own organization's row with a database role that the claims do not give.
    async fn wrong_role(&self, proof: &mut Proof) -> Result<(), StoreError> {
        let own = &self.canaries.own;
        // A member may look back on what is its own, whatever the claims call it.
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

pub(super) fn judge(
    proof: &mut Proof,
    check: &str,
    table: &str,
    role: &str,
    verb: &str,
    answer: &Answer,
    rows_max: u64,
) {
    match answer {
        Answer::Refused => {}
        Answer::Rows(rows) if *rows <= rows_max => {}
        Answer::Rows(rows) => {
            proof.found(check, table, format!("{role} reaches {rows} rows by {verb}"));
        }
        Answer::Through => {
            proof.found(
                check,
                table,
                format!("{role} gets {verb} past the policies; only a constraint stops it"),
            );
        }
        Answer::Unsealed => {
            proof.found(
                check,
                table,
                format!("{verb} as {role} shows nothing: its seal is refused"),
            );
        }
        Answer::Unclear(why) => {
            proof.found(check, table, format!("{verb} as {role} shows nothing: {why}"));
        }
    }
}

/// One statement between savepoints, in one flush.
pub(super) async fn attempt(
    client: &Client,
    sql: &str,
    proof: &mut Proof,
) -> Result<Answer, StoreError> {
    let answer = flushed(client, sql, proof).await?;
    Ok(match answer {
        Ok(messages) => Answer::Rows(rows_of(&messages)),
        Err(error) => refusal(&error)?,
    })
}

async fn flushed(
    client: &Client,
    sql: &str,
    proof: &mut Proof,
) -> Result<Result<Vec<SimpleQueryMessage>, tokio_postgres::Error>, StoreError> {
    proof.probes = proof.probes.saturating_add(1);
    // Polled in this order, hence sent in this order.
    let (before, answer, after) = futures_util::future::join3(
        client.batch_execute("savepoint probe"),
        client.simple_query(sql),
        client.batch_execute("rollback to savepoint probe"),
    )
    .await;
    before.and(after).map_err(|error| error::failed(&error))?;
    Ok(answer)
}

fn rows_of(messages: &[SimpleQueryMessage]) -> u64 {
    let complete = messages.iter().filter_map(|message| {
        if let SimpleQueryMessage::CommandComplete(rows) = message { Some(*rows) } else { None }
    });
    complete.sum()
}

fn refusal(error: &tokio_postgres::Error) -> Result<Answer, StoreError> {
    match error.code() {
        None => Err(error::failed(error)),
        Some(&SqlState::INSUFFICIENT_PRIVILEGE) => Ok(Answer::Refused),
        Some(&SqlState::INVALID_AUTHORIZATION_SPECIFICATION) => Ok(Answer::Unsealed),
        Some(code) if code.code().starts_with("23") => Ok(Answer::Through),
        Some(code) => Ok(Answer::Unclear(format!("SQLSTATE {}", code.code()))),
    }
}

/// How many lines of a COPY there are, or have `marker` in them.
async fn copied(
    client: &Client,
    sql: &str,
    marker: Option<&str>,
    proof: &mut Proof,
) -> Result<Answer, StoreError> {
    proof.probes = proof.probes.saturating_add(1);
    execute(client, "savepoint probe").await?;
    let copy = async { client.copy_out(sql).await?.try_collect::<Vec<_>>().await };
    let answer = copy.await;
    execute(client, "rollback to savepoint probe").await?;
    Ok(match answer {
        Ok(lines) => {
            let text = lines.concat();
            let text = String::from_utf8_lossy(&text);
            let found = text.lines().filter(|line| marker.is_none_or(|one| line.contains(one)));
            Answer::Rows(u64::try_from(found.count()).unwrap_or(u64::MAX))
        }
        Err(error) => refusal(&error)?,
    })
}

/// How many rows the top of a plan says it gave.
async fn explained(client: &Client, sql: &str, proof: &mut Proof) -> Result<Answer, StoreError> {
    let messages = match flushed(client, sql, proof).await? {
        Ok(messages) => messages,
        Err(error) => return refusal(&error),
    };
    let plan = messages.iter().find_map(|message| {
        if let SimpleQueryMessage::Row(row) = message { row.get(0) } else { None }
    });
    Ok(Answer::Rows(plan.map_or(0, given_by)))
}

/// `Seq Scan on usage (actual rows=2 loops=1)`; from 18 on `rows=2.00`, an average over the loops.
fn given_by(node: &str) -> u64 {
    let Some((_, rows)) = node.split_once("actual rows=") else { return 0 };
    let (rows, _) = rows.split_once(' ').unwrap_or((rows, ""));
    let (whole, fraction) = rows.split_once('.').unwrap_or((rows, ""));
    let some = u64::from(fraction.bytes().any(|digit| digit != b'0'));
    // What cannot be read is no proof that there was nothing.
    whole.parse::<u64>().map_or(1, |rows| rows.saturating_add(some))
}

#[cfg(test)]
mod tests {
    use super::given_by;

    #[test]
    fn the_rows_of_a_plan_are_read_as_every_version_prints_them() {
        for (node, rows) in [
            ("Seq Scan on usage (actual rows=0 loops=1)", 0),
            ("Seq Scan on usage (actual rows=12 loops=1)", 12),
            ("Seq Scan on usage (actual rows=0.00 loops=1)", 0),
            ("Seq Scan on usage (actual rows=3.00 loops=1)", 3),
            ("Append (actual rows=0.33 loops=3)", 1),
            ("Result (never executed)", 0),
            ("Seq Scan on usage (actual rows=many loops=1)", 1),
        ] {
            assert_eq!(given_by(node), rows, "{node}");
        }
    }
}
