//! The checks of the catalog: one query, one more for newer servers, and a check of where policies call functions.

use tokio_postgres::types::ToSql;

use super::{
    Ground,
    checks::{
        GLOBAL_KEYS, HISTORY, OF_LITELLM, OF_OTHERS, OF_SEALS, PAST_ROW_SECURITY, REFERENCE_TABLES,
        UNENTERED, WITHOUT_A_LOOK, names,
    },
    keys,
    report::Proof,
};
use crate::{postgres::error, store::StoreError};

/// The first version of Postgres that has rights on settings.
const PARAMETER_RIGHTS_SINCE: i32 = 150_000;

pub(super) async fn check(ground: &Ground<'_>, proof: &mut Proof) -> Result<(), StoreError> {
    let failed = |error: tokio_postgres::Error| error::failed(&error);
    let counts = include_str!("../sql/statements/prove/counts.sql");
    let counts = ground.query_one(counts, &[]).await?;
    let count = |index| -> Result<usize, StoreError> {
        let count: i64 = counts.try_get(index).map_err(failed)?;
        Ok(usize::try_from(count).unwrap_or(0))
    };
    proof.tables = count(0)?;
    proof.policies = count(1)?;
    let version: i32 = counts.try_get(2).map_err(failed)?;

    let lists = [
        REFERENCE_TABLES,
        HISTORY,
        PAST_ROW_SECURITY,
        GLOBAL_KEYS,
        UNENTERED,
        WITHOUT_A_LOOK,
        OF_SEALS,
        OF_LITELLM,
        OF_OTHERS,
    ];
    let lists = lists.map(names);
    let sql = include_str!("../sql/statements/prove/catalog.sql");
    let lists = lists.each_ref().map(|list| -> &(dyn ToSql + Sync) { list });
    let mut rows = ground.query(sql, &lists).await?;
    if version >= PARAMETER_RIGHTS_SINCE {
        let sql = include_str!("../sql/statements/prove/catalog_since_15.sql");
        rows.extend(ground.query(sql, &[]).await?);
    }
    for row in rows {
        let (code, object, detail): (&str, &str, &str) = (
            row.try_get(0).map_err(failed)?,
            row.try_get(1).map_err(failed)?,
            row.try_get(2).map_err(failed)?,
        );
        if code != "C22" {
            proof.found(code, object, detail);
        } else if calls_once_a_row(detail, ground.schema.name()) {
            proof.found(code, object, "calls a function for every row, not once a statement");
        }
    }
    keys::check(ground, proof).await?;
    proof.catalog_was_read();
    Ok(())
}

/// Whether an expression, as the catalog writes it, calls one of our functions outside all sub-selects.
fn calls_once_a_row(expression: &str, schema: &str) -> bool {
    let ours = format!("{schema}.");
    let mut depths = Vec::new();
    let mut rest = expression;
    while let Some(next) = rest.chars().next() {
        if next == '(' {
            depths.push(rest.starts_with("( SELECT"));
        } else if next == ')' {
            depths.pop();
        } else if (rest.starts_with(&ours) || rest.starts_with("auth.")) && !depths.contains(&true)
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
        let calls = |expression: &str| calls_once_a_row(expression, "tollgate");
        assert!(!calls(once));
        assert!(calls("(organization_id = tollgate.current_organization_id())"));
        assert!(calls(&format!("{once} AND tollgate.is_org_member(organization_id)")));
    }
}
