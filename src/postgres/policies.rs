//! Policies and memberships.

use std::sync::Arc;

use tokio_postgres::types::Type;

use super::{
    statement::Statement,
    store::{PostgresStore, column, known, unexpected},
};
use crate::{
    context::Tenant,
    domain::{policy::Policy, role::Role},
    store::{PolicyStore, Standing, StoreError, StoreFuture},
};

const STANDING: Statement =
    Statement::new(include_str!("sql/standing.sql"), &[Type::UUID, Type::TEXT]);

impl PolicyStore for PostgresStore {
    fn standing<'a>(&'a self, tenant: &'a Tenant) -> StoreFuture<'a, Standing> {
        Box::pin(async move {
            let id = tenant.organization_id().as_uuid();
            let rows = self.pool().rows(&STANDING, &[&id, &tenant.claims()]).await;
            let rows = rows.map_err(known)?;
            let row = rows.first().ok_or(StoreError::UnknownOrganization)?;
            let mut policy = parse(column(row, 0)?)?;
            // Either switch stops the organization; layers ask only the policy.
            policy.suspended |= column::<bool>(row, 1)?;
            let ours = column::<Option<&str>>(row, 2)?.map(str::parse::<Role>).transpose();
            let ours = ours.map_err(|error| unexpected(&error.to_string()))?;
            Ok(Standing { policy: Arc::new(policy), role: tenant.role().or(ours) })
        })
    }
}

/// A policy as it is stored. One that this program does not understand in full is refused: a limit
/// that is overlooked would be a limit that does not hold.
pub(super) fn parse(json: &str) -> Result<Policy, StoreError> {
    serde_json::from_str(json).map_err(|error| unexpected(&format!("policy: {error}")))
}
