//! Credits.

use crate::{
    domain::{credits::Credits, ids::OrganizationId},
    store::{Balance, StoreError, StoreFuture},
};

/// The result of a grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Granted {
    /// The balance after the grant.
    pub balance: Balance,
    /// Whether the reference was granted before, so that nothing was added now.
    pub replayed: bool,
}

/// Credits were not granted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GrantError {
    /// The reference was used before, for another amount.
    #[error("this reference stands for a grant of another amount")]
    OtherAmount,
    /// The balance would exceed its upper bound.
    #[error("the balance would be larger than 9.2 billion dollars")]
    TooLarge,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<GrantError> for StoreError {
    fn from(error: GrantError) -> Self {
        if let GrantError::Store(error) = error { error } else { Self::Refused(error.into()) }
    }
}

/// Grants credits.
pub trait CreditAdmin: Send + Sync {
    /// Adds credits. They pay an open debt first. A repeated `reference` adds nothing.
    ///
    /// # Errors
    /// The amount is not above zero; for the rest, see [`GrantError`].
    fn grant_credits<'a>(
        &'a self,
        id: OrganizationId,
        amount: Credits,
        reference: Option<&'a str>,
    ) -> StoreFuture<'a, Granted, GrantError>;
}
