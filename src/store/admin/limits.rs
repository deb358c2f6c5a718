//! Rate limits in addition to the policy's.

use std::num::NonZeroU32;

use crate::{
    domain::{
        ids::OrganizationId,
        policy::{RateLimit, Rates},
        scope::Scope,
    },
    store::{StoreError, StoreFuture},
};

/// Which calls a rate limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limited<'a> {
    /// The scope.
    pub scope: Scope,
    /// The id in the scope: a team's or key's UUID as tokens spell it, a person's `sub`, or [`Scope::EACH`].
    /// Empty for the organization.
    pub scope_id: &'a str,
    /// The models: a name, in which a trailing `*` is a wildcard.
    pub model_pattern: &'a str,
}

/// A change of a rate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RateChange {
    /// The rate stays as it is.
    #[default]
    Keep,
    /// The rate is not limited any more.
    Lift,
    /// The new limit.
    To(NonZeroU32),
}

/// The changes of a limit's rates.
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
    /// The limit would count no call. Most likely the name of the model is misspelled.
    #[error("no model with a price is named `{0}`")]
    UnknownModel(String),
    /// The limit would have no rate. To get there, remove the limit.
    #[error("a limit needs at least one rate")]
    Nothing,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Sets rate limits.
pub trait LimitAdmin: Send + Sync {
    /// Changes the rates of a limit, or creates a limit. Returns the rates after that. A gateway applies them from its
    /// next read of the caller's standing: at once if the gateway listens for changes, else within 30 s.
    ///
    /// # Errors
    /// No model with a price matches the pattern, or the limit would have no rate.
    fn set_rate_limit<'a>(
        &'a self,
        id: OrganizationId,
        limited: Limited<'a>,
        changes: RateChanges,
    ) -> StoreFuture<'a, Rates, RateLimitError>;

    /// The rate limits of an organization in addition to its policy's, as they are stored. The id of a wildcard limit
    /// is [`Scope::EACH`].
    fn rate_limits(&self, id: OrganizationId) -> StoreFuture<'_, Vec<RateLimit>>;

    /// Removes a rate limit. `false` if there was none.
    fn remove_rate_limit<'a>(
        &'a self,
        id: OrganizationId,
        limited: Limited<'a>,
    ) -> StoreFuture<'a, bool>;
}
