//! Where memberships are read from: our own table, or LiteLLM's in the schema `public` of the same database.
//!
//! A database has one source, which `role_in` reads for row-level security and gateways alike. LiteLLM's table
//! is read as it is: it gets no key, view or trigger of ours, and no object of LiteLLM's depends on ours. Its owner could
//! make its reader run code, so the reader is a role that can do nothing else, and only an ordinary table is read.
//! Organization ids are compared as text; rows with other ids belong to no organization.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use tokio_postgres::Config;

use super::{
    declared::Memberships,
    error, migrate,
    pool::Pool,
    query::Query,
    rows::{column, unexpected},
    schema::Schema,
};
use crate::store::StoreError;

const ADMIT_TO_LITELLM: &str = include_str!("sql/statements/memberships/admit_to_litellm.sql");
const LEAVE_LITELLM: &str = include_str!("sql/statements/memberships/leave_litellm.sql");
const SOURCE: Query =
    Query::new(include_str!("sql/statements/memberships/membership_source.sql"), &[]);
const CHECK: Query =
    Query::new(include_str!("sql/statements/memberships/check_membership.sql"), &[]);

/// A source of memberships.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Membership {
    /// Our own table, `tollgate.memberships`.
    #[default]
    Tollgate,
    /// `public."LiteLLM_OrganizationMembership"`. Its `org_admin` is an admin, `internal_user` a member,
    /// `internal_user_viewer` a viewer; any other word is no role.
    Litellm,
}

impl Membership {
    /// The word used in SQL, in the configuration and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tollgate => "tollgate",
            Self::Litellm => "litellm",
        }
    }
}

impl fmt::Display for Membership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text names no source of memberships.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a source of memberships: expected tollgate or litellm")]
pub struct UnknownMembership;

impl FromStr for Membership {
    type Err = UnknownMembership;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "tollgate" => Ok(Self::Tollgate),
            "litellm" => Ok(Self::Litellm),
            _ => Err(UnknownMembership),
        }
    }
}

/// The source of memberships is not what it should be, or cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MembershipError {
    /// The database reads another source than the configuration says.
    #[error(
        "database.membership: the configuration says `{wanted}`, the database reads memberships from `{found}`. \
         Run `tollgate migrate --membership {wanted}` as its administrator, or change the configuration"
    )]
    Other {
        /// What the configuration says.
        wanted: Membership,
        /// What the database says.
        found: String,
    },
    /// The source cannot be read.
    #[error(
        "database.membership: memberships cannot be read from `{source_name}`: {problem}. \
         Run `tollgate migrate --membership {source_name}` as the database's administrator"
    )]
    Unreadable {
        /// The source.
        source_name: Membership,
        /// What Postgres says.
        problem: String,
    },
    /// The database does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Makes the database read memberships from `source`. Idempotent. Needs the schema, and an administrator who may
/// grant on LiteLLM's table.
///
/// # Errors
/// Postgres is unavailable, LiteLLM's table is missing or lacks the expected columns, or the user lacks a right.
/// Nothing has changed then.
pub async fn read_from(config: &Config, source: Membership) -> Result<(), StoreError> {
    read_in(config, &Schema::SHARED, source).await
}

/// As [`read_from`], for one schema of several in a database.
///
/// # Errors
/// As [`read_from`].
pub async fn read_in(
    config: &Config,
    schema: &Schema,
    source: Membership,
) -> Result<(), StoreError> {
    let failed = |error: tokio_postgres::Error| error::failed(&error);
    let mut client = migrate::alone(config).await?;
    let (before, memberships) = match source {
        Membership::Tollgate => (LEAVE_LITELLM, Memberships::Tollgate),
        Membership::Litellm => (ADMIT_TO_LITELLM, Memberships::Litellm),
    };
    let transaction = client.transaction().await.map_err(failed)?;
    for sql in [before, memberships.functions()] {
        transaction.batch_execute(&schema.read(sql)).await.map_err(failed)?;
    }
    transaction.commit().await.map_err(failed)
}

/// The word for the source that the pool's schema reads. For an administrator.
pub(super) async fn source(pool: &Pool) -> Result<String, StoreError> {
    let rows = pool.rows(&SOURCE, &[]).await?;
    column(rows.first().ok_or_else(|| unexpected("no source"))?, 0)
}

/// Checks that the database reads memberships from `wanted`, and that it can.
///
/// # Errors
/// The database reads another source, cannot read this one, or does not answer.
pub async fn check(pool: &Pool, wanted: Membership) -> Result<(), MembershipError> {
    let row = pool.call(&CHECK, &[]).await?;
    let found: &str = column(&row, 0)?;
    if found.parse() != Ok(wanted) {
        return Err(MembershipError::Other { wanted, found: found.to_owned() });
    }
    match column::<Option<String>>(&row, 1)? {
        None => Ok(()),
        Some(problem) => Err(MembershipError::Unreadable { source_name: wanted, problem }),
    }
}

#[cfg(test)]
#[path = "membership_tests.rs"]
mod tests;
