//! Helpers for all statements: read rows, translate errors, and make the program's own claims.

use std::time::Duration;

use tokio_postgres::{Row, types::FromSql};

use super::error::PostgresError;
use crate::store::StoreError;

/// A column of an answer. A type mismatch is a bug: this program and its own SQL disagree.
pub(super) fn column<'a, T: FromSql<'a>>(row: &'a Row, index: usize) -> Result<T, StoreError> {
    row.try_get(index).map_err(|error| unexpected(&format!("column {index}: {error}")))
}

#[cold]
pub(super) fn unexpected(what: &str) -> StoreError {
    StoreError::Refused(
        PostgresError::text(format!("unexpected answer of the database: {what}")).into(),
    )
}

/// Translates the error codes that our own SQL functions raise.
pub(super) fn known(error: StoreError) -> StoreError {
    match PostgresError::of(&error).and_then(PostgresError::code) {
        Some(code) if code.code() == "TG404" => StoreError::UnknownOrganization,
        _ => error,
    }
}

/// The claims of this program itself, for work that is not done for a person, in an organization or in none.
pub(super) fn own_claims(organization: Option<uuid::Uuid>, role: Option<&str>) -> String {
    let mut claims = serde_json::Map::new();
    claims.insert("sub".into(), "tollgate".into());
    if let Some(organization) = organization {
        claims.insert("organization_id".into(), organization.to_string().into());
    }
    if let Some(role) = role {
        claims.insert("role_in_organization".into(), role.into());
    }
    serde_json::Value::Object(claims).to_string()
}

/// A duration as a parameter of statements, in milliseconds.
pub(super) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
