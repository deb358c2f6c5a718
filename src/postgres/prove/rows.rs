//! Rows of two invented organizations in every table, made from what the catalog says about the table.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use tokio_postgres::{
    SimpleQueryMessage,
    error::{DbError, SqlState},
};
use uuid::Uuid;

use super::{Ground, execute, ident, literal, report::Proof};
use crate::{
    postgres::{Seal, error},
    store::StoreError,
};

/// How many rows are tried for a table before it is given up.
const ATTEMPTS_MAX: usize = 400;

#[derive(Deserialize)]
pub(super) struct Table {
    columns: Vec<Column>,
    constraints: Vec<Constraint>,
}

#[derive(Deserialize)]
struct Column {
    name: String,
    kind: String,
    /// Whether the column may be left out.
    free: bool,
    /// Whether the column must be left out.
    fixed: bool,
}

#[derive(Deserialize)]
struct Constraint {
    name: String,
    kind: String,
    text: String,
    columns: Option<Vec<String>>,
    parent: Option<String>,
    there: Option<Vec<String>>,
}

type Row = serde_json::Map<String, Value>;

/// One of the two organizations and its rows, by table.
pub(super) struct Canary {
    pub(super) organization: Uuid,
    /// The text in every column that accepts it.
    pub(super) marker: String,
    pub(super) rows: BTreeMap<String, Row>,
}

/// The organization that tries (`own`), and the one that it must not reach (`other`).
pub(super) struct Canaries {
    pub(super) own: Canary,
    pub(super) other: Canary,
    pub(super) tables: BTreeMap<String, Table>,
    /// The key for claims, if they must be sealed.
    pub(super) seal: Option<Seal>,
}

impl Table {
    pub(super) fn primary_key(&self) -> Option<&str> {
        self.constraints.iter().find(|one| one.kind == "p").map(|one| one.name.as_str())
    }

    /// The columns that a row may be given, quoted for SQL.
    pub(super) fn given(&self) -> Vec<String> {
        self.columns.iter().filter(|one| !one.fixed).map(|one| ident(&one.name)).collect()
    }
}

/// Plants the rows; `None` if this user cannot.
pub(super) async fn plant(
    ground: &Ground<'_>,
    seal: Option<Seal>,
    proof: &mut Proof,
) -> Result<Option<Canaries>, StoreError> {
    let failed = |error: tokio_postgres::Error| error::failed(&error);
    let none: Vec<&str> = Vec::new();
    let user = ground.query_one(include_str!("../sql/statements/prove/user.sql"), &[&none]).await?;
    let past: bool = user.try_get(0).map_err(failed)?;
    let migrator: bool = user.try_get(1).map_err(failed)?;
    if !past && !migrator {
        proof.unchecked(
            "canaries: this user can neither go past row security nor become tollgate_migrator",
        );
        return Ok(None);
    }
    let query = include_str!("../sql/statements/prove/columns.sql");
    let mut tables = BTreeMap::new();
    for row in ground.query(query, &[]).await? {
        let name: String = row.try_get(0).map_err(failed)?;
        let text: &str = row.try_get(1).map_err(failed)?;
        let table: Table =
            serde_json::from_str(text).map_err(|error| StoreError::Refused(error.into()))?;
        tables.insert(name, table);
    }
    if !past {
        force(ground, &tables, false).await?;
    }
    if ground.schema.owner().is_some() {
        // An organization's own schema takes only its rows. Within this transaction it takes the invented ones, too.
        execute(ground.client, "set local role tollgate_migrator").await?;
        ground.execute(include_str!("../sql/statements/prove/open_own_schema.sql")).await?;
        if past {
            execute(ground.client, "set local role none").await?;
        }
    }
    let mut canaries = Canaries { own: Canary::new("a"), other: Canary::new("b"), tables, seal };
    for canary in [&mut canaries.own, &mut canaries.other] {
        canary.fill(ground, &canaries.tables, proof).await?;
    }
    if !past {
        force(ground, &canaries.tables, true).await?;
    }
    proof.canaries = canaries.other.rows.len();
    Ok(Some(canaries))
}

/// Turns forced row-level security off or on again, so that the owner of the tables can write. No other session sees
/// this: the transaction is rolled back.
async fn force(
    ground: &Ground<'_>,
    tables: &BTreeMap<String, Table>,
    on: bool,
) -> Result<(), StoreError> {
    let client = ground.client;
    execute(client, "set local role tollgate_migrator").await?;
    for name in tables.keys() {
        let (table, no) = (ground.table(name), if on { "" } else { "no " });
        execute(client, &format!("alter table {table} {no}force row level security")).await?;
    }
    if on { execute(client, "set local role none").await } else { Ok(()) }
}

impl Canary {
    fn new(side: &str) -> Self {
        let organization = Uuid::new_v4();
        let marker = format!("canary-{side}-{}", organization.simple());
        Self { organization, marker, rows: BTreeMap::new() }
    }

    async fn fill(
        &mut self,
        ground: &Ground<'_>,
        tables: &BTreeMap<String, Table>,
        proof: &mut Proof,
    ) -> Result<(), StoreError> {
        // A row comes after those it points at; what still waits when nothing moves points in a circle.
        loop {
            let waiting: Vec<_> =
                tables.iter().filter(|(name, _)| !self.rows.contains_key(*name)).collect();
            let mut moved = false;
            for (name, table) in &waiting {
                let ready = table.needed_parents().all(|parent| {
                    parent == *name
                        || !tables.contains_key(parent)
                        || self.rows.contains_key(parent)
                });
                if !ready {
                    continue;
                }
                match self.row(ground, name, table).await? {
                    Ok(row) => {
                        self.rows.insert((*name).clone(), row);
                        moved = true;
                    }
                    Err(reason) => proof.found("P00", name, reason),
                }
            }
            if !moved {
                for (name, _) in waiting {
                    if !self.rows.contains_key(name) {
                        proof.found("P00", name, "has no canary");
                    }
                }
                return Ok(());
            }
        }
    }

    async fn row(
        &self,
        ground: &Ground<'_>,
        name: &str,
        table: &Table,
    ) -> Result<Result<Row, String>, StoreError> {
        let choices: Vec<Vec<Option<String>>> =
            table.columns.iter().map(|column| self.choices(table, column)).collect();
        let mut chosen = vec![0_usize; choices.len()];
        let mut reason = String::from("no row fits its checks");
        for _ in 0..ATTEMPTS_MAX {
            let (mut columns, mut values) = (Vec::new(), Vec::new());
            for ((column, choices), chosen) in table.columns.iter().zip(&choices).zip(&chosen) {
                if let Some(Some(value)) = choices.get(*chosen) {
                    columns.push(ident(&column.name));
                    values.push(value.as_str());
                }
            }
            let sql = format!(
                "insert into {} as t ({}) values ({}) returning to_jsonb(t)::text",
                ground.table(name),
                columns.join(", "),
                values.join(", ")
            );
            let client = ground.client;
            execute(client, "savepoint canary").await?;
            let failure = match client.simple_query(&sql).await {
                Ok(answer) => {
                    let row = answer.iter().find_map(|message| {
                        let SimpleQueryMessage::Row(row) = message else { return None };
                        serde_json::from_str(row.get(0)?).ok()
                    });
                    return Ok(row.ok_or_else(|| "gave no row back".to_owned()));
                }
                Err(failure) => failure,
            };
            execute(client, "rollback to savepoint canary").await?;
            let answer = failure.as_db_error();
            // A database that accepts no writes, such as a standby, is an error and not a finding for each table.
            let read_only =
                |answer: &&DbError| *answer.code() == SqlState::READ_ONLY_SQL_TRANSACTION;
            let Some(answer) = answer.filter(|answer| !read_only(answer)) else {
                return Err(error::failed(&failure));
            };
            reason = answer.message().to_owned();
            let violated = table
                .constraints
                .iter()
                .find(|one| one.kind == "c" && Some(one.name.as_str()) == answer.constraint());
            let Some(columns) = violated.and_then(|one| one.columns.as_ref()) else { break };
            if !advance(table, &choices, &mut chosen, columns) {
                break;
            }
        }
        Ok(Err(reason))
    }

    /// The values to try for a column, the likeliest first; `None` leaves the column out.
    fn choices(&self, table: &Table, column: &Column) -> Vec<Option<String>> {
        if column.fixed {
            return vec![None];
        }
        if column.name == "organization_id" {
            return vec![Some(literal(&self.organization.to_string()))];
        }
        let inherited = table.constraints.iter().filter(|one| one.kind == "f").find_map(|key| {
            let at = key.columns.as_ref()?.iter().position(|name| *name == column.name)?;
            let row = self.rows.get(key.parent.as_ref()?)?;
            let value = row.get(key.there.as_ref()?.get(at)?)?;
            Some(value.as_str().map_or_else(|| literal(&value.to_string()), literal))
        });
        let mut choices = Vec::new();
        if column.free && column.name != "user_id" {
            choices.push(None);
        }
        if let Some(value) = inherited {
            choices.push(Some(value));
            return choices;
        }
        if column.kind == "text" {
            // The words that a check constraint lists. Quoted texts that are no such words do no harm.
            let checks = table.constraints.iter().filter(|one| {
                one.kind == "c"
                    && one.columns.as_ref().is_some_and(|all| all.contains(&column.name))
            });
            choices.extend(checks.filter(|one| one.text.contains("ARRAY[")).flat_map(|one| {
                one.text.split('\'').skip(1).step_by(2).map(|word| Some(literal(word)))
            }));
        }
        choices.extend(self.values(&column.kind).into_iter().map(Some));
        choices
    }

    fn values(&self, kind: &str) -> Vec<String> {
        let list = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect();
        match kind {
            "uuid" => vec!["gen_random_uuid()".to_owned()],
            "text" | "character varying" => {
                let mut texts = vec![literal(&self.marker)];
                // Kinds of movement, time zones and references to secrets, for checks that do not list words.
                for text in ["", "grant", "UTC", "env:CANARY", "https://example.invalid"] {
                    texts.push(literal(text));
                }
                texts
            }
            "boolean" => list(&["false", "true"]),
            "date" => list(&["current_date"]),
            "jsonb" | "json" => list(&["'{}'", "'[]'", "'\"x\"'"]),
            "bytea" => list(&["sha256('canary')", "'\\x00'"]),
            "interval" => list(&["interval '1 hour'"]),
            kind if kind.starts_with("timestamp") => {
                list(&["clock_timestamp() + interval '1 hour'", "clock_timestamp()"])
            }
            "smallint" | "integer" | "bigint" | "numeric" => list(&["1", "0", "200"]),
            kind if kind.ends_with("[]") => list(&["'{}'"]),
            _ => list(&["default"]),
        }
    }
}

impl Table {
    /// The tables that a row references by columns that may not be left out.
    fn needed_parents(&self) -> impl Iterator<Item = &String> {
        let needed = |name: &String| self.columns.iter().any(|one| one.name == *name && !one.free);
        self.constraints
            .iter()
            .filter(move |one| one.columns.as_ref().is_some_and(|all| all.iter().all(needed)))
            .filter_map(|one| one.parent.as_ref())
    }
}

/// The next combination of values for the columns of a check that failed. Returns whether there is one.
fn advance(
    table: &Table,
    choices: &[Vec<Option<String>>],
    chosen: &mut [usize],
    columns: &[String],
) -> bool {
    for ((column, choices), chosen) in table.columns.iter().zip(choices).zip(chosen) {
        if columns.contains(&column.name) {
            *chosen = chosen.saturating_add(1);
            if *chosen < choices.len() {
                return true;
            }
            *chosen = 0;
        }
    }
    false
}
