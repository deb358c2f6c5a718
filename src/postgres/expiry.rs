//! Expires overdue holds. A call whose hold expires is charged the usage that its last heartbeat reported.

use tokio_postgres::types::Type;

use super::{
    door::DoorRole,
    error::{self, PostgresError},
    one_schema::OneSchema,
    query::Query,
    rows::{column, own_claims},
};
use crate::{
    domain::{ids::OrganizationId, role::Role},
    store::StoreError,
};

const EXPIRE: Query = Query::new(
    include_str!("sql/statements/calls/expire.sql"),
    &[Type::UUID, Type::TEXT, Type::INT4],
);
const OVERDUE: Query =
    Query::new(include_str!("sql/statements/calls/overdue_organizations.sql"), &[Type::INT8]);

/// The most holds that one expiry ends. It locks the balance, so it must be short.
const EXPIRE_MAX: i32 = 100;
/// The most organizations that one statement of a sweep finds.
const SWEEP_MAX: i64 = 1_000;

impl OneSchema {
    /// Expires overdue holds of all organizations in this schema, and returns how many. Any number of processes may sweep at once. If
    /// the server reports an error for an organization, such as a lock time-out on its balance, the error is logged and
    /// the organization is left to the next sweep.
    pub(super) async fn sweep(&self) -> Result<u64, StoreError> {
        let claims = own_claims(None, Some(Role::Platform.as_str()));
        let rows = self.door().run(&claims, DoorRole::Platform, &OVERDUE, &[&SWEEP_MAX]).await?;
        let mut expired: u64 = 0;
        for row in &rows {
            let organization_id = OrganizationId::new(column(row, 0)?);
            match self.expire(organization_id).await {
                Ok(some) => expired = expired.saturating_add(some),
                // The organization has moved to another place, or is about to.
                Err(error) if error::is_elsewhere(&error) => {}
                // Go on only if the server answers with an error. If it does not answer, each further organization
                // would wait in vain.
                Err(error) if PostgresError::of(&error).is_some_and(|of| of.code().is_some()) => {
                    tracing::warn!(%organization_id, %error, "cannot expire the overdue holds of one organization");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(expired)
    }

    /// Expires all overdue holds of one organization, and returns how many.
    pub(super) async fn expire(&self, organization: OrganizationId) -> Result<u64, StoreError> {
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
