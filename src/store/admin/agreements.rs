//! Prices agreed with one organization, and its mark-up.

use crate::{
    domain::{
        ids::OrganizationId,
        instant::Moment,
        price::{Agreement, ModelPrice},
    },
    store::{StoreError, StoreFuture},
};

/// When an agreement begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begins {
    /// At this moment, in microseconds since the Unix epoch.
    AtMicros(i64),
    /// Never: the moment is past, and calls have been settled since.
    Past,
}

/// Nothing was agreed on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AgreementError {
    /// Only one agreement about a model, and one mark-up, can begin at a moment.
    #[error("something else begins at that very moment already")]
    SameMoment,
    /// The store did not take it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Agrees on prices with organizations. From when on is now, where no moment is named; a day begins at midnight in the
/// organization's time zone.
pub trait AgreementAdmin: Send + Sync {
    /// What is agreed with an organization and in force at a moment (RFC 3339), or now.
    fn agreement<'a>(
        &'a self,
        id: OrganizationId,
        at: Option<&'a str>,
    ) -> StoreFuture<'a, Agreement>;

    /// Agrees on these prices. They take the place of the list's, without a mark-up. All of them or none. Of a price,
    /// only its model, its rates and the price of a request count.
    ///
    /// # Errors
    /// One of the models has a price that begins at that very moment already, or a price is negative.
    fn agree_prices<'a>(
        &'a self,
        id: OrganizationId,
        prices: &'a [ModelPrice],
        from: Option<&'a Moment>,
    ) -> StoreFuture<'a, Begins, AgreementError>;

    /// Ends what was agreed on for a model: the list price holds, with the mark-up.
    ///
    /// # Errors
    /// As [`agree_prices`](Self::agree_prices).
    fn withdraw_price<'a>(
        &'a self,
        id: OrganizationId,
        model: &'a str,
        from: Option<&'a Moment>,
    ) -> StoreFuture<'a, Begins, AgreementError>;

    /// Adds this many basis points to list prices.
    ///
    /// # Errors
    /// It is above [`MARKUP_BPS_MAX`](crate::domain::price::MARKUP_BPS_MAX), or another one begins at that very moment.
    fn set_markup<'a>(
        &'a self,
        id: OrganizationId,
        markup_bps: u32,
        from: Option<&'a Moment>,
    ) -> StoreFuture<'a, Begins, AgreementError>;
}
