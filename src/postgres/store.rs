//! The stores of the layers on one pool.

use std::{fmt, sync::Arc, time::Duration};

use tokio_postgres::{Row, types::FromSql};
use tokio_util::task::TaskTracker;

use super::{door::Door, error::PostgresError, pool::Pool};
use crate::store::StoreError;

/// Policies, prices, ledger and journal on Postgres. Cheap to clone; clones share the pool.
///
/// Each method is one statement of one organization, in one round trip. The pool's login needs no more
/// than `tollgate_login` has.
#[derive(Clone)]
pub struct PostgresStore(Arc<Inner>);

struct Inner {
    pool: Pool,
    door: Door,
    tasks: TaskTracker,
}

impl PostgresStore {
    /// The stores on this pool.
    pub fn new(pool: Pool) -> Self {
        let door = Door::new(pool.clone());
        Self(Arc::new(Inner { pool, door, tasks: TaskTracker::new() }))
    }

    /// The pool.
    pub fn pool(&self) -> &Pool {
        &self.0.pool
    }

    /// Waits, at most this long, for holds on their way to be given or given back. Call it when no new
    /// ones come. What is not given back in time expires.
    pub async fn finish_holds(&self, wait_max: Duration) {
        self.0.tasks.close();
        if tokio::time::timeout(wait_max, self.0.tasks.wait()).await.is_err() {
            tracing::warn!(
                open = self.0.tasks.len(),
                "holds are still on their way: they will expire"
            );
        }
        self.0.tasks.reopen();
    }

    pub(super) fn door(&self) -> &Door {
        &self.0.door
    }

    pub(super) fn tasks(&self) -> &TaskTracker {
        &self.0.tasks
    }
}

/// A column of an answer. What does not fit is a fault between this program and its own SQL.
pub(super) fn column<'a, T: FromSql<'a>>(row: &'a Row, index: usize) -> Result<T, StoreError> {
    row.try_get(index).map_err(|error| unexpected(&format!("column {index}: {error}")))
}

#[cold]
pub(super) fn unexpected(what: &str) -> StoreError {
    StoreError::Refused(
        PostgresError::text(format!("an answer that nobody expects: {what}")).into(),
    )
}

/// The codes that our own functions raise, as the faults they stand for.
pub(super) fn known(error: StoreError) -> StoreError {
    match PostgresError::of(&error).and_then(PostgresError::code) {
        Some(code) if code.code() == "TG404" => StoreError::UnknownOrganization,
        _ => error,
    }
}

/// The claims of this program itself, where it acts for no person: in an organization, or in none.
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

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PostgresStore").field(&self.0.pool).finish()
    }
}
