//! Rate limits beside those of the policy.

use std::num::NonZeroU32;

use crate::{
    domain::{
        ids::OrganizationId,
        policy::{RateLimit, Rates},
        scope::Scope,
    },
    store::{StoreError, StoreFuture},
};

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

/// Sets rate limits.
pub trait LimitAdmin: Send + Sync {
    /// Changes the rates of a limit, or makes one, and returns what they are now. In force with each gateway's next
    /// reading of the caller's standing: at once where it listens, else within 30 s.
    ///
    /// # Errors
    /// No model with a price fits the pattern, or no rate would be left.
    fn set_rate_limit<'a>(
        &'a self,
        id: OrganizationId,
        limited: Limited<'a>,
        changes: RateChanges,
    ) -> StoreFuture<'a, Rates, RateLimitError>;

    /// The rate limits of an organization beside its policy's, as they are stored: those of each of a scope have
    /// [`Scope::EACH`] for an id.
    fn rate_limits(&self, id: OrganizationId) -> StoreFuture<'_, Vec<RateLimit>>;

    /// Removes a rate limit. `false` if there was none.
    fn remove_rate_limit<'a>(
        &'a self,
        id: OrganizationId,
        limited: Limited<'a>,
    ) -> StoreFuture<'a, bool>;
}
