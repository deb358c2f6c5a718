//! Policies and memberships.

use std::{fmt::Display, str::FromStr, sync::Arc};

use tokio_postgres::{Row, types::Type};

use super::{
    statement::Statement,
    store::{PostgresStore, column, known, unexpected},
};
use crate::{
    context::Tenant,
    domain::{
        policy::{Policy, RateLimit},
        role::Role,
        scope::Scope,
    },
    store::{PolicyStore, Standing, StoreError, StoreFuture},
};

const STANDING: Statement =
    Statement::new(include_str!("sql/standing.sql"), &[Type::UUID, Type::TEXT]);

impl PolicyStore for PostgresStore {
    fn standing<'a>(&'a self, tenant: &'a Tenant) -> StoreFuture<'a, Standing> {
        Box::pin(async move {
            let id = tenant.organization_id().as_uuid();
            let claims = self.pool().sealed(tenant.claims());
            let rows = self.pool().rows(&STANDING, &[&id, &claims]).await;
            let rows = rows.map_err(known)?;
            let row = rows.first().ok_or(StoreError::UnknownOrganization)?;
            let policy = Arc::new(parse(column(row, 0)?)?);
            let suspended = word::<Scope>(row, 1)?;
            let role = tenant.role().or(word::<Role>(row, 2)?);
            let rates: Vec<RateLimit> = serde_json::from_str(column(row, 3)?)
                .map_err(|error| unexpected(&format!("rates: {error}")))?;
            Ok(Standing { policy, role, rates: rates.into(), suspended })
        })
    }
}

/// A word of ours, or none.
fn word<T>(row: &Row, index: usize) -> Result<Option<T>, StoreError>
where
    T: FromStr,
    T::Err: Display,
{
    let word = column::<Option<&str>>(row, index)?.map(str::parse).transpose();
    word.map_err(|error: T::Err| unexpected(&error.to_string()))
}

/// A policy as it is stored. One that this program does not understand in full is refused: a limit
/// that is overlooked would be a limit that does not hold.
pub(super) fn parse(json: &str) -> Result<Policy, StoreError> {
    serde_json::from_str(json).map_err(|error| unexpected(&format!("policy: {error}")))
}
