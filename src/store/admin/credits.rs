//! Credits.

use crate::{
    domain::{credits::Credits, ids::OrganizationId},
    store::{Balance, StoreError, StoreFuture},
};

/// What a grant came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Granted {
    /// The balance after it.
    pub balance: Balance,
    /// The same reference had been granted before: nothing was added now.
    pub replayed: bool,
}

/// Credits were not granted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GrantError {
    /// The reference was used before, for another amount.
    #[error("this reference stands for a grant of another amount")]
    OtherAmount,
    /// A balance has an upper bound.
    #[error("the balance would be larger than 9.2 billion dollars")]
    TooLarge,
    /// The store did not take it.
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
    /// Adds credits, of which a debt is paid first. Repeating a `reference` adds nothing.
    ///
    /// # Errors
    /// The amount is not above zero, or see [`GrantError`].
    fn grant_credits<'a>(
        &'a self,
        id: OrganizationId,
        amount: Credits,
        reference: Option<&'a str>,
    ) -> StoreFuture<'a, Granted, GrantError>;
}
