//! The functions and rights that `sql/schema` declares, and how they are brought into force.
//!
//! A migration creates or replaces every function and brings the rights into force, so the text of a running function
//! is the text in its file. Both happen in one transaction: nobody can call a new function before its rights are in
//! force.
//!
//! Six functions have two variants each, in two pairs of files: [`Claims`] and [`Memberships`]. A migration keeps the
//! variant that is in force.
//!
//! # To change the schema
//! - A table: change it in `sql/schema/tables`, and add a step in `sql/steps` that does the same to a table with rows.
//!   A test compares the results. Rights go into `sql/schema/rights.sql`.
//! - A function: change its file. A new one needs a line in the lists here, and one in `rights.sql`. Where arguments or
//!   results change, a step drops the old function first.
//! - After a release, any such change comes with a step, if only an empty one: a gateway compares the steps of its
//!   database with its own to see whether it may start.

use tokio_postgres::{Client, Transaction};

use super::{error, query::Query, rows::column, schema::Schema};
use crate::store::StoreError;

macro_rules! functions {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../sql/schema/functions/", $name, ".sql")))),*]
    };
}

/// Functions with their names, in the order in which they are created: a function comes after the functions that its
/// body is bound to.
type Functions = &'static [(&'static str, &'static str)];

const BEFORE_CLAIMS: Functions = functions!["unsealed"];
const BEFORE_MEMBERSHIPS: Functions =
    functions!["uid", "current_organization_id", "is_platform", "entered_organization_id"];
const FUNCTIONS: Functions = functions![
    "litellm_problem",
    "role_by_litellm",
    "get_org_role",
    "is_org_member",
    "current_org_role",
    "is_stopped",
    "check_membership",
    "check_sealing",
    "enter",
    "enter_as_platform",
    "stay",
    "still_here",
    "is_away",
    "budgets_of",
    "window_of",
    "end_in_windows",
    "expire_holds",
    "hold",
    "renew",
    "give_back",
    "finish",
    "expire",
    "standing",
    "price_book",
    "agreement",
    "import_prices",
    "create_organization",
    "grant_credits",
    "reconcile",
    "moment",
    "arrived_at",
    "ledger_seq_before",
    "account_window",
    "account_lines",
    "account_window_as_platform",
    "account_lines_as_platform",
    "settled_calls",
    "check_prices",
    "models_called",
    "key_columns",
    "key_list",
    "key_values",
    "key_range",
    "movable",
    "move_keys",
    "move_marks",
    "move_out",
    "move_in",
    "move_clear",
    "move_self_out",
    "move_self_in",
    "rows_here",
    "extend_partitions",
];
const RIGHTS: &str = include_str!("../sql/schema/rights.sql");
const VARIANTS: Query = Query::new(include_str!("../sql/statements/migrate/variants.sql"), &[]);

/// How claims are read: the functions `jwt`, `verified` and `sealing`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Claims {
    /// With or without a seal.
    Open,
    /// Only under a seal.
    Sealed,
}

/// Where memberships are read from: the functions `role_in`, `membership_source` and `membership_owner`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Memberships {
    /// Our own table.
    Tollgate,
    /// LiteLLM's table.
    Litellm,
}

impl Claims {
    /// The functions of this variant. They keep their owners and rights.
    pub(super) const fn functions(self) -> &'static str {
        match self {
            Self::Open => include_str!("../sql/schema/variants/claims_open.sql"),
            Self::Sealed => include_str!("../sql/schema/variants/claims_sealed.sql"),
        }
    }
}

impl Memberships {
    /// The functions of this variant. They keep their owners and rights.
    pub(super) const fn functions(self) -> &'static str {
        match self {
            Self::Tollgate => include_str!("../sql/schema/variants/membership_tollgate.sql"),
            Self::Litellm => include_str!("../sql/schema/variants/membership_litellm.sql"),
        }
    }
}

/// Brings functions and rights into force, in a schema that has its tables, as `tollgate_migrator`.
pub(super) async fn bring_into_force(
    client: &mut Client,
    schema: &Schema,
) -> Result<(), StoreError> {
    let failed = |error: tokio_postgres::Error| error::failed(&error);
    let transaction = client.transaction().await.map_err(failed)?;
    let (claims, memberships) = in_force(&transaction, schema).await?;
    let texts = BEFORE_CLAIMS.iter().map(|(_, text)| *text);
    let texts =
        texts.chain([claims.functions()]).chain(BEFORE_MEMBERSHIPS.iter().map(|(_, text)| *text));
    let texts =
        texts.chain([memberships.functions()]).chain(FUNCTIONS.iter().map(|(_, text)| *text));
    for text in texts.chain([RIGHTS]) {
        transaction.batch_execute(&schema.read(text)).await.map_err(failed)?;
    }
    transaction.commit().await.map_err(failed)
}

/// The variants that are in force; the first of each pair if the schema has none yet.
async fn in_force(
    transaction: &Transaction<'_>,
    schema: &Schema,
) -> Result<(Claims, Memberships), StoreError> {
    let row = transaction.query_one(&*schema.read(VARIANTS.sql()), &[]).await;
    let row = row.map_err(|error| error::failed(&error))?;
    let claims = if column(&row, 0)? { Claims::Sealed } else { Claims::Open };
    let memberships = if column(&row, 1)? { Memberships::Litellm } else { Memberships::Tollgate };
    Ok((claims, memberships))
}

#[cfg(test)]
pub(super) mod tests;
