//! Expires overdue holds. A call whose hold expires is charged what its last heartbeat said.

use tokio_postgres::types::Type;

use super::{
    door::DoorRole,
    error::{self, PostgresError},
    rows::{column, own_claims},
    statement::Statement,
    store::PostgresStore,
};
use crate::{
    domain::{ids::OrganizationId, role::Role},
    store::StoreError,
};

const EXPIRE: Statement = Statement::new(
    include_str!("sql/statements/calls/expire.sql"),
    &[Type::UUID, Type::TEXT, Type::INT4],
);
const OVERDUE: Statement =
    Statement::new(include_str!("sql/statements/calls/overdue_organizations.sql"), &[Type::INT8]);

/// How many holds one expiry ends: it has the balance locked.
const EXPIRE_MAX: i32 = 100;
/// How many organizations one sweep visits.
const SWEEP_MAX: i64 = 1_000;

impl PostgresStore {
    /// Expires overdue holds of all organizations that have some, and returns how many. Safe to run in
    /// any number of processes at once. An organization that the server has a fault to find with (its
    /// balance is locked for long, say) is logged and left to the next sweep.
    pub async fn sweep(&self) -> Result<u64, StoreError> {
        let claims = own_claims(None, Some(Role::Platform.as_str()));
        let rows = self.door().run(&claims, DoorRole::Platform, &OVERDUE, &[&SWEEP_MAX]).await?;
        let mut expired: u64 = 0;
        for row in &rows {
            let organization_id = OrganizationId::new(column(row, 0)?);
            match self.expire(organization_id).await {
                Ok(some) => expired = expired.saturating_add(some),
                // It has none here any more, or is about to.
                Err(error) if error::is_elsewhere(&error) => {}
                // Only where the server itself answers: else the others would each wait for it in vain.
                Err(error) if PostgresError::of(&error).is_some_and(|of| of.code().is_some()) => {
                    tracing::warn!(%organization_id, %error, "overdue holds of one organization could not be expired");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(expired)
    }

    /// Expires all overdue holds of one organization, and returns how many.
    pub async fn expire(&self, organization: OrganizationId) -> Result<u64, StoreError> {
        let id = organization.as_uuid();
        let claims = own_claims(Some(id), None);
        let mut expired: u64 = 0;
        loop {
            let row = self
                .pool()
                .call(&EXPIRE, &[&id, &self.pool().sealed(&claims), &EXPIRE_MAX])
                .await?;
            let some: i32 = column(&row, 0)?;
            expired = expired.saturating_add(u64::try_from(some).unwrap_or(0));
            if some < EXPIRE_MAX {
                return Ok(expired);
            }
        }
    }
}
