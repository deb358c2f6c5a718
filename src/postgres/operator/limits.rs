//! Rate limits beside those of the policy.

use std::num::NonZeroU32;

use tokio_postgres::{Row, types::Type};

use super::{Operator, one};
use crate::{
    domain::{
        ids::OrganizationId,
        policy::{RateLimit, Rates},
        scope::Scope,
    },
    postgres::{
        error::PostgresError,
        policies,
        rows::{column, unexpected},
        statement::{Parameter, Statement},
    },
    store::StoreError,
};

const SET: Statement = Statement::new(
    include_str!("../sql/statements/limits/set_rate_limit.sql"),
    &[Type::UUID, Type::TEXT, Type::TEXT, Type::TEXT, Type::INT8, Type::INT8, Type::INT8],
);
const SHOW: Statement =
    Statement::new(include_str!("../sql/statements/limits/show_rate_limits.sql"), &[Type::UUID]);
const REMOVE: Statement = Statement::new(
    include_str!("../sql/statements/limits/remove_rate_limit.sql"),
    &[Type::UUID, Type::TEXT, Type::TEXT, Type::TEXT],
);

/// Whose calls a rate limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limited<'a> {
    /// The scope.
    pub scope: Scope,
    /// Which one of it: a team's or key's UUID as it is written in tokens, a person's `sub`, or [`Scope::EACH`].
    /// Empty for the organization.
    pub scope_id: &'a str,
    /// The models: a name, where a trailing `*` stands for any ending.
    pub model_pattern: &'a str,
}

/// What becomes of a rate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RateChange {
    /// It stays as it is.
    #[default]
    Keep,
    /// It is not limited any more.
    Lift,
    /// This is the limit.
    To(NonZeroU32),
}

/// What becomes of the rates of a limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RateChanges {
    /// Requests per minute.
    pub requests_per_minute: RateChange,
    /// Tokens per minute, input and output together.
    pub tokens_per_minute: RateChange,
    /// Calls whose answer has not ended yet.
    pub calls_in_flight: RateChange,
}

/// A rate limit was not set.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RateLimitError {
    /// A limit that counts no call is a mistake: most likely in the name.
    #[error("no model with a price is named `{0}`")]
    UnknownModel(String),
    /// Nothing would be limited: that is a limit to remove.
    #[error("a limit needs at least one rate")]
    Nothing,
    /// The store did not take it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Operator {
    /// Changes the rates of a limit, or makes one, and returns what they are now. In force with each gateway's next
    /// reading of the caller's standing: at once where it listens, else within 30 s.
    ///
    /// # Errors
    /// No model with a price fits the pattern, no rate would be left, or as [`organization`](Self::organization).
    pub async fn set_rate_limit(
        &self,
        id: OrganizationId,
        limited: Limited<'_>,
        changes: RateChanges,
    ) -> Result<Rates, RateLimitError> {
        let [requests, tokens, calls] = [
            changes.requests_per_minute.parameter(),
            changes.tokens_per_minute.parameter(),
            changes.calls_in_flight.parameter(),
        ];
        let Limited { scope, scope_id, model_pattern } = limited;
        let parameters: [Parameter<'_>; 7] =
            [&id.as_uuid(), &scope.as_str(), &scope_id, &model_pattern, &requests, &tokens, &calls];
        let rows = self.run(id, &SET, &parameters).await.map_err(|error| {
            // The table's own check: at least one rate.
            match PostgresError::of(&error).and_then(PostgresError::code) {
                Some(code) if code.code() == "23514" => RateLimitError::Nothing,
                _ => error.into(),
            }
        })?;
        let row = one(&rows)?;
        if !column::<bool>(row, 0)? {
            return Err(RateLimitError::UnknownModel(model_pattern.to_owned()));
        }
        Ok(rates(row, 1)?)
    }

    /// The rate limits of an organization beside its policy's, as they are stored: those of each of a scope have
    /// [`Scope::EACH`] for an id.
    ///
    /// # Errors
    /// As [`organization`](Self::organization).
    pub async fn rate_limits(&self, id: OrganizationId) -> Result<Vec<RateLimit>, StoreError> {
        let rows = self.run(id, &SHOW, &[&id.as_uuid()]).await?;
        one(&rows)?;
        rows.iter().filter_map(|row| stored(row).transpose()).collect()
    }

    /// Removes a rate limit. `false` if there was none.
    ///
    /// # Errors
    /// As [`organization`](Self::organization).
    pub async fn remove_rate_limit(
        &self,
        id: OrganizationId,
        limited: Limited<'_>,
    ) -> Result<bool, StoreError> {
        let Limited { scope, scope_id, model_pattern } = limited;
        let parameters: [Parameter<'_>; 4] =
            [&id.as_uuid(), &scope.as_str(), &scope_id, &model_pattern];
        let rows = self.run(id, &REMOVE, &parameters).await?;
        column(one(&rows)?, 0)
    }
}

impl RateChange {
    /// As the statement reads it.
    fn parameter(self) -> Option<i64> {
        match self {
            Self::Keep => None,
            Self::Lift => Some(0),
            Self::To(limit) => Some(limit.get().into()),
        }
    }
}

/// The limit of a row; none, where the organization has none at all.
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
