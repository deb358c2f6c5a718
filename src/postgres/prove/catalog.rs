//! The checks of the catalog: one query, one for newer servers, and one look at where policies call functions.

use tokio_postgres::Client;

use super::{
    checks::{BOOKKEEPING, GLOBAL_KEYS, PAST_ROW_SECURITY, REFERENCE_TABLES, UNENTERED, names},
    report::Proof,
};
use crate::{postgres::error, store::StoreError};

/// Rights on settings.
const PARAMETER_RIGHTS_SINCE: i32 = 150_000;

pub(super) async fn check(client: &Client, proof: &mut Proof) -> Result<(), StoreError> {
    let failed = |error: tokio_postgres::Error| error::failed(&error);
    let counts = include_str!("../sql/prove/counts.sql");
    let counts = client.query_one(counts, &[]).await.map_err(failed)?;
    let count = |index| -> Result<usize, StoreError> {
        let count: i64 = counts.try_get(index).map_err(failed)?;
        Ok(usize::try_from(count).unwrap_or(0))
    };
    proof.tables = count(0)?;
    proof.policies = count(1)?;
    let version: i32 = counts.try_get(2).map_err(failed)?;

    let lists = [REFERENCE_TABLES, BOOKKEEPING, PAST_ROW_SECURITY, GLOBAL_KEYS, UNENTERED];
    let [reference, bookkeeping, past, global, unentered] = &lists.map(names);
    let sql = include_str!("../sql/prove/catalog.sql");
    let mut rows = client
        .query(sql, &[reference, bookkeeping, past, global, unentered])
        .await
        .map_err(failed)?;
    if version >= PARAMETER_RIGHTS_SINCE {
        let sql = include_str!("../sql/prove/catalog_since_15.sql");
        rows.extend(client.query(sql, &[]).await.map_err(failed)?);
    }
    for row in rows {
        let (code, object, detail): (&str, &str, &str) = (
            row.try_get(0).map_err(failed)?,
            row.try_get(1).map_err(failed)?,
            row.try_get(2).map_err(failed)?,
        );
        if code != "C22" {
            proof.found(code, object, detail);
        } else if calls_once_a_row(detail) {
            proof.found(code, object, "calls a function for every row, not once a statement");
        }
    }
    proof.catalog_was_read();
    Ok(())
}

/// Whether an expression, as the catalog writes it, calls a function of ours outside every sub-select.
fn calls_once_a_row(expression: &str) -> bool {
    let mut depths = Vec::new();
    let mut rest = expression;
    while let Some(next) = rest.chars().next() {
        if next == '(' {
            depths.push(rest.starts_with("( SELECT"));
        } else if next == ')' {
            depths.pop();
        } else if (rest.starts_with("tollgate.") || rest.starts_with("auth."))
            && !depths.contains(&true)
        {
            return true;
        }
        rest = rest.get(next.len_utf8()..).unwrap_or_default();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::calls_once_a_row;

    #[test]
    fn a_call_inside_a_sub_select_is_made_once_a_statement() {
        let once = "((organization_id = ( SELECT tollgate.current_organization_id() AS x)) AND (( SELECT tollgate.f(( SELECT tollgate.g() AS g)) AS f) = 'owner'::text))";
        assert!(!calls_once_a_row(once));
        assert!(calls_once_a_row("(organization_id = tollgate.current_organization_id())"));
        assert!(calls_once_a_row(&format!("{once} AND tollgate.is_org_member(organization_id)")));
    }
}
