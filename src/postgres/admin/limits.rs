//! Rate limits in addition to the policy's.

use std::num::NonZeroU32;

use tokio_postgres::{Row, types::Type};

use super::{Operator, one};
use crate::{
    domain::{
        ids::OrganizationId,
        policy::{RateLimit, Rates},
    },
    postgres::{
        error::PostgresError,
        policies,
        query::{Parameter, Query},
        rows::{column, unexpected},
    },
    store::{
        StoreError, StoreFuture,
        admin::{LimitAdmin, Limited, RateChange, RateChanges, RateLimitError},
    },
};

const SET: Query = Query::new(
    include_str!("../sql/statements/limits/set_rate_limit.sql"),
    &[Type::UUID, Type::TEXT, Type::TEXT, Type::TEXT, Type::INT8, Type::INT8, Type::INT8],
);
const SHOW: Query =
    Query::new(include_str!("../sql/statements/limits/show_rate_limits.sql"), &[Type::UUID]);
const REMOVE: Query = Query::new(
    include_str!("../sql/statements/limits/remove_rate_limit.sql"),
    &[Type::UUID, Type::TEXT, Type::TEXT, Type::TEXT],
);

impl LimitAdmin for Operator {
    fn set_rate_limit<'a>(
        &'a self,
        id: OrganizationId,
        limited: Limited<'a>,
        changes: RateChanges,
    ) -> StoreFuture<'a, Rates, RateLimitError> {
        Box::pin(async move {
            let [requests, tokens, calls] = [
                changes.requests_per_minute.parameter(),
                changes.tokens_per_minute.parameter(),
                changes.calls_in_flight.parameter(),
            ];
            let Limited { scope, scope_id, model_pattern } = limited;
            let parameters: [Parameter<'_>; 7] = [
                &id.as_uuid(),
                &scope.as_str(),
                &scope_id,
                &model_pattern,
                &requests,
                &tokens,
                &calls,
            ];
            let rows = self.run(id, &SET, &parameters).await.map_err(|error| {
                // The table's check constraint demands at least one rate.
                if PostgresError::is(&error, "23514") {
                    RateLimitError::Nothing
                } else {
                    error.into()
                }
            })?;
            let row = one(&rows)?;
            if !column::<bool>(row, 0)? {
                return Err(RateLimitError::UnknownModel(model_pattern.to_owned()));
            }
            Ok(rates(row, 1)?)
        })
    }

    fn rate_limits(&self, id: OrganizationId) -> StoreFuture<'_, Vec<RateLimit>> {
        Box::pin(async move {
            let rows = self.run(id, &SHOW, &[&id.as_uuid()]).await?;
            one(&rows)?;
            rows.iter().filter_map(|row| stored(row).transpose()).collect()
        })
    }

    fn remove_rate_limit<'a>(
        &'a self,
        id: OrganizationId,
        limited: Limited<'a>,
    ) -> StoreFuture<'a, bool> {
        Box::pin(async move {
            let Limited { scope, scope_id, model_pattern } = limited;
            let parameters: [Parameter<'_>; 4] =
                [&id.as_uuid(), &scope.as_str(), &scope_id, &model_pattern];
            let rows = self.run(id, &REMOVE, &parameters).await?;
            column(one(&rows)?, 0)
        })
    }
}

impl RateChange {
    /// The change as a parameter of the statement.
    fn parameter(self) -> Option<i64> {
        match self {
            Self::Keep => None,
            Self::Lift => Some(0),
            Self::To(limit) => Some(limit.get().into()),
        }
    }
}

/// The limit of a row. `None` if the organization has no limit.
fn stored(row: &Row) -> Result<Option<RateLimit>, StoreError> {
    let Some(scope) = column::<Option<&str>>(row, 0)? else { return Ok(None) };
    Ok(Some(RateLimit {
        scope: scope.parse().map_err(|error| unexpected(&format!("{error}")))?,
        scope_id: column(row, 1)?,
        model_pattern: column(row, 2)?,
        rates: rates(row, 3)?,
    }))
}

fn rates(row: &Row, first: usize) -> Result<Rates, StoreError> {
    let figure = |index: usize| -> Result<Option<NonZeroU32>, StoreError> {
        let stored = column::<Option<i64>>(row, first.saturating_add(index))?;
        Ok(stored.and_then(|stored| policies::rate(stored.unsigned_abs())))
    };
    Ok(Rates {
        requests_per_minute: figure(0)?,
        tokens_per_minute: figure(1)?,
        calls_in_flight: figure(2)?,
    })
}
