//! Checks that the schema has every key that this version makes. Foreign keys and unique keys within an organization
//! keep its rows consistent even if our code has a bug.

use std::collections::HashSet;

use super::{Ground, report::Proof};
use crate::{postgres::error, store::StoreError};

/// A table and a key of it on each line, as `keys.sql` finds them.
const KEYS: &str = include_str!("keys.txt");

pub(super) async fn check(ground: &Ground<'_>, proof: &mut Proof) -> Result<(), StoreError> {
    let rows = ground.query(include_str!("../sql/statements/prove/keys.sql"), &[]).await?;
    let there: Result<HashSet<(&str, &str)>, _> =
        rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect();
    let there = there.map_err(|error| error::failed(&error))?;
    for (table, key) in KEYS.lines().filter_map(|line| line.split_once(": ")) {
        if !there.contains(&(table, key)) {
            proof.found("C29", table, format!("has no {key}"));
        }
    }
    Ok(())
}
