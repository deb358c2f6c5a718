//! Policies and memberships.

use std::{fmt::Display, num::NonZeroU32, str::FromStr, sync::Arc};

use serde::Deserialize;
use tokio_postgres::{Row, types::Type};

use super::{
    one_schema::OneSchema,
    query::Query,
    rows::{column, known, unexpected},
};
use crate::{
    context::Tenant,
    domain::{
        policy::{Policy, RateLimit, Rates},
        role::Role,
        scope::Scope,
    },
    store::{Standing, StoreError},
};

const STANDING: Query =
    Query::new(include_str!("sql/statements/calls/standing.sql"), &[Type::UUID, Type::TEXT]);

impl OneSchema {
    /// As [`PolicyStore::standing`](crate::store::PolicyStore::standing).
    pub(super) async fn standing(&self, tenant: &Tenant) -> Result<Standing, StoreError> {
        let id = tenant.organization_id().as_uuid();
        let claims = self.pool().sealed(tenant.claims());
        let rows = self.pool().rows(&STANDING, &[&id, &claims]).await;
        let rows = rows.map_err(known)?;
        let row = rows.first().ok_or(StoreError::UnknownOrganization)?;
        let policy = Arc::new(parse(column(row, 0)?)?);
        let suspended = word::<Scope>(row, 1)?;
        let role = tenant.role().or(word::<Role>(row, 2)?);
        let rates: Vec<StoredRates> = serde_json::from_str(column(row, 3)?)
            .map_err(|error| unexpected(&format!("rates: {error}")))?;
        let rates = rates.into_iter().map(RateLimit::from).collect();
        Ok(Standing { policy, role, rates, suspended })
    }
}

/// A rate limit as it is stored.
#[derive(Deserialize)]
struct StoredRates {
    scope: Scope,
    scope_id: String,
    model_pattern: String,
    requests_per_minute: Option<u64>,
    tokens_per_minute: Option<u64>,
    calls_in_flight: Option<u64>,
}

impl From<StoredRates> for RateLimit {
    fn from(stored: StoredRates) -> Self {
        let StoredRates { scope, scope_id, model_pattern, .. } = stored;
        let rates = Rates {
            requests_per_minute: stored.requests_per_minute.and_then(rate),
            tokens_per_minute: stored.tokens_per_minute.and_then(rate),
            calls_in_flight: stored.calls_in_flight.and_then(rate),
        };
        Self { scope, scope_id, model_pattern, rates }
    }
}

/// A stored rate; the largest countable rate if it is larger, and none for 0.
pub(super) fn rate(stored: u64) -> Option<NonZeroU32> {
    NonZeroU32::new(u32::try_from(stored).unwrap_or(u32::MAX))
}

/// A column with one of our words, such as a role or a scope; `None` if it is null.
fn word<T>(row: &Row, index: usize) -> Result<Option<T>, StoreError>
where
    T: FromStr,
    T::Err: Display,
{
    let word = column::<Option<&str>>(row, index)?.map(str::parse).transpose();
    word.map_err(|error: T::Err| unexpected(&error.to_string()))
}

/// Parses a stored policy. A policy that this program does not fully understand is refused: a limit that is ignored
/// would not be enforced.
pub(super) fn parse(json: &str) -> Result<Policy, StoreError> {
    serde_json::from_str(json).map_err(|error| unexpected(&format!("policy: {error}")))
}
