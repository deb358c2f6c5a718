//! Statements that only newer servers have.

use uuid::Uuid;

const MERGE_SINCE: i32 = 150_000;
const MERGE_RETURNING_SINCE: i32 = 170_000;
const RETURNING_OLD_SINCE: i32 = 180_000;

/// The other organization's row, and what the statements on it need.
pub(super) struct Target<'a> {
    pub(super) table: &'a str,
    pub(super) own: Uuid,
    pub(super) other: Uuid,
    /// A column that the role may change, quoted for SQL.
    pub(super) column: &'a str,
    /// The other organization's row, as an expression to select from.
    pub(super) row: &'a str,
    /// The columns that a row is given, quoted for SQL.
    pub(super) columns: &'a [String],
    /// The statement that inserts the other organization's row once more.
    pub(super) insert: &'a str,
    /// The name of the primary key, quoted for SQL.
    pub(super) key: Option<&'a str>,
}

/// The statements that a server of this version does not have.
pub(super) fn missing(version: i32) -> impl Iterator<Item = &'static str> {
    let since = [
        (MERGE_SINCE, "MERGE"),
        (MERGE_RETURNING_SINCE, "MERGE with RETURNING"),
        (RETURNING_OLD_SINCE, "RETURNING old"),
    ];
    since.into_iter().filter(move |(since, _)| version < *since).map(|(_, what)| what)
}

/// Statements on the other organization's row, each with its name. None of them may change or show the row.
pub(super) fn statements(version: i32, target: &Target<'_>) -> Vec<(&'static str, String)> {
    let Target { table, own, other, column, row, columns, insert, key } = target;
    let mut statements = Vec::new();
    let on = |organization| {
        format!(
            "merge into {table} as t using (values ('{organization}'::uuid)) as s (id) on t.organization_id = s.id"
        )
    };
    let merge = on(other);
    let update = format!("update set {column} = t.{column}");
    if version >= MERGE_SINCE {
        let values: Vec<_> = columns.iter().map(|one| format!("s.{one}")).collect();
        let (columns, values) = (columns.join(", "), values.join(", "));
        statements.push(("merge delete", format!("{merge} when matched then delete")));
        statements.push(("merge update", format!("{merge} when matched then {update}")));
        statements.push((
            "merge insert",
            format!(
                "merge into {table} as t using {row} as s on false when not matched then insert ({columns}) values ({values})"
            ),
        ));
    }
    if version >= MERGE_RETURNING_SINCE {
        let shown = "returning merge_action(), t.organization_id";
        let rest = format!("{} when not matched by source then", on(own));
        for (verb, sql) in [
            ("merge delete returning", format!("{merge} when matched then delete {shown}")),
            ("merge update returning", format!("{merge} when matched then {update} {shown}")),
            ("merge delete of the rest", format!("{rest} delete {shown}")),
            ("merge update of the rest", format!("{rest} {update} {shown}")),
        ] {
            statements.push((verb, sql));
        }
    }
    if version >= RETURNING_OLD_SINCE {
        let shown = "returning old.organization_id, new.organization_id";
        let theirs = format!("where organization_id = '{other}'");
        statements.push((
            "update returning old",
            format!("update {table} set {column} = {column} {theirs} {shown}"),
        ));
        statements.push(("delete returning old", format!("delete from {table} {theirs} {shown}")));
        if let Some(key) = key {
            statements.push((
                "insert on conflict do update returning old",
                format!(
                    "{insert} on conflict on constraint {key} do update set {column} = excluded.{column} {shown}"
                ),
            ));
        }
    }
    statements
}
