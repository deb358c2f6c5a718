//! The tables that move with an organization, in an order in which they can be filled.

use tokio_postgres::Row;

use super::{MoveError, session::Session};
use crate::{
    postgres::{Query, rows::column},
    store::StoreError,
};

const MOVABLE: Query = Query::new(include_str!("../../sql/statements/places/movable.sql"), &[]);

/// A table with rows of organizations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Table {
    pub(super) name: String,
    /// Its columns with their types, which are the same in every place.
    columns: String,
    /// Whether the table may be long, and no foreign key connects it with another one: then it is copied before calls
    /// are held up. Tables of settings are short, and reference each other.
    pub(super) alone: bool,
    /// Whether rows are never changed or deleted.
    pub(super) append_only: bool,
    /// The tables that it references, which must be filled first.
    points_at: Vec<String>,
}

/// The tables in the order in which they are filled: each after the tables that it references.
pub(super) async fn of(session: &Session) -> Result<Vec<Table>, MoveError> {
    let rows = session.run(&MOVABLE, &[]).await?;
    let mut tables = rows.iter().map(table).collect::<Result<Vec<_>, _>>()?;
    let pointing: Vec<_> = tables.iter().flat_map(|table| table.points_at.clone()).collect();
    for table in &mut tables {
        table.alone &= table.points_at.is_empty() && !pointing.contains(&table.name);
    }
    in_order(tables)
}

fn table(row: &Row) -> Result<Table, StoreError> {
    let key_columns: Vec<String> = column(row, 2)?;
    let (one_key, append_only): (bool, bool) = (column(row, 3)?, column(row, 4)?);
    Ok(Table {
        name: column(row, 0)?,
        columns: column(row, 1)?,
        // With a second unique key, an old row of a later range may block a new row of an earlier one.
        alone: !key_columns.is_empty() && (one_key || append_only),
        append_only,
        points_at: column(row, 5)?,
    })
}

fn in_order(mut waiting: Vec<Table>) -> Result<Vec<Table>, MoveError> {
    let mut ordered: Vec<Table> = Vec::with_capacity(waiting.len());
    while !waiting.is_empty() {
        let (ready, rest): (Vec<_>, Vec<_>) = waiting.into_iter().partition(|table| {
            table.points_at.iter().all(|name| ordered.iter().any(|other| other.name == *name))
        });
        if ready.is_empty() {
            let names = rest.into_iter().map(|table| table.name).collect();
            return Err(MoveError::Circle(names));
        }
        ordered.extend(ready);
        waiting = rest;
    }
    Ok(ordered)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(name: &str, points_at: &[&str]) -> Table {
        Table {
            name: name.to_owned(),
            columns: String::new(),
            alone: true,
            append_only: false,
            points_at: points_at.iter().map(|name| (*name).to_owned()).collect(),
        }
    }

    #[test]
    fn a_table_comes_after_those_that_it_points_at() {
        let tables = [table("keys", &["teams"]), table("usage", &[]), table("teams", &[])];
        let ordered = in_order(tables.to_vec()).unwrap();
        let names: Vec<_> = ordered.iter().map(|table| table.name.as_str()).collect();
        assert_eq!(names, ["usage", "teams", "keys"]);
        let circle = in_order(vec![table("a", &["b"]), table("b", &["a"])]);
        assert!(matches!(circle, Err(MoveError::Circle(names)) if names == ["a", "b"]));
    }
}
