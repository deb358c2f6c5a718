//! Every check, key and foreign key of the schema refuses the rows that it must refuse. The superuser writes them,
//! because no other rule stops the superuser.

use std::collections::BTreeSet;

use tokio_postgres::Client;

use super::{
    catalog::{Canaries, planted},
    fixture::UNIT_PRICE,
};

/// A check of a table, and a change of its rows that the check refuses, on each line; the first value that it refuses
/// where there is an order.
const REFUSED: &str = include_str!("refused.txt");
/// Written as a check, so that Postgres looks whether there is such a zone: the answer is an error of its own.
const ZONE: &str = "organizations_time_zone_check";

/// Rows in every table, those that belong to nobody too.
async fn rows_everywhere() -> Canaries {
    let canaries = planted().await;
    let sql = format!(
        "{UNIT_PRICE};
         insert into tollgate.seal_keys (key_id, inner_pad, outer_pad) values ('0000abcd', sha512('inner'), sha512('outer'));
         update tollgate.credit_ledger set request_id = gen_random_uuid(), reference = 'canary'"
    );
    canaries.client.batch_execute(&sql).await.unwrap();
    canaries
}

/// The constraint that refuses it, by its name in the table that is written to.
async fn refused_by(client: &Client, sql: &str) -> Option<String> {
    let error = client.batch_execute(sql).await.err()?;
    let error = error.as_db_error()?;
    let (Some(table), Some(constraint)) = (error.table(), error.constraint()) else {
        return Some(format!("SQLSTATE {}", error.code().code()));
    };
    // A partition's key has a name of its own, and a parent.
    let parents =
        "select p.conname::text from pg_constraint k join pg_constraint p on p.oid = k.conparentid
        where k.conrelid = to_regclass('tollgate.' || quote_ident($1)) and k.conname = $2";
    let parent = client.query_opt(parents, &[&table, &constraint]).await.unwrap();
    Some(parent.map_or_else(|| constraint.to_owned(), |row| row.get(0)))
}

#[tokio::test]
async fn every_check_refuses_by_its_name_what_it_is_there_to_refuse() {
    let canaries = rows_everywhere().await;
    let client = &canaries.client;
    let mut tried = BTreeSet::new();
    for line in REFUSED.lines() {
        let (check, change) = line.split_once(": ").unwrap();
        let (table, name) = check.split_once('.').unwrap();
        let by = refused_by(client, &format!("update tollgate.{table} set {change}")).await;
        let expected = if name == ZONE { "SQLSTATE 22023" } else { name };
        assert_eq!(by.as_deref(), Some(expected), "{line}");
        tried.insert(check.to_owned());
    }
    let sql = "select t.relname || '.' || k.conname from pg_constraint k join pg_class t on t.oid = k.conrelid
        where t.relnamespace = 'tollgate'::regnamespace and not t.relispartition and k.contype = 'c'";
    let there = client.query(sql, &[]).await.unwrap();
    let there: BTreeSet<String> = there.iter().map(|row| row.get(0)).collect();
    // A new check needs a line in refused.txt.
    assert_eq!(tried, there);
}

#[tokio::test]
async fn every_key_and_reference_refuses_by_its_name_a_row_that_breaks_it() {
    let canaries = rows_everywhere().await;
    let client = &canaries.client;
    let rows = client.query(include_str!("doubles.sql"), &[]).await.unwrap();
    for row in &rows {
        let (table, name, sql): (&str, &str, &str) = (row.get(0), row.get(1), row.get(2));
        let by = refused_by(client, sql).await;
        assert_eq!(by.as_deref(), Some(name), "{table}: {sql}");
    }
    let known = include_str!("../../src/postgres/prove/keys.txt").lines().count();
    assert_eq!(rows.len(), known, "one row for each key that there is");
}
