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

/// An agreement was not made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AgreementError {
    /// Only one price of a model, and one mark-up, can begin at a moment.
    #[error("another price or mark-up begins at exactly that moment")]
    SameMoment,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Sets organizations' own prices and mark-ups. Without a moment, they come into force now. A day begins at midnight in
/// the organization's time zone.
pub trait AgreementAdmin: Send + Sync {
    /// The agreement with an organization that is in force at a moment (RFC 3339), or now.
    fn agreement<'a>(
        &'a self,
        id: OrganizationId,
        at: Option<&'a str>,
    ) -> StoreFuture<'a, Agreement>;

    /// Sets an organization's own prices: all of them or none. They replace the list prices and get no mark-up. Only
    /// the model, the rates and the price per request of each price are used.
    ///
    /// # Errors
    /// A model already has a price that begins at exactly that moment, or a price is negative.
    fn agree_prices<'a>(
        &'a self,
        id: OrganizationId,
        prices: &'a [ModelPrice],
        from: Option<&'a Moment>,
    ) -> StoreFuture<'a, Begins, AgreementError>;

    /// Ends an organization's own price of a model: from then on it pays the list price, with the mark-up.
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
    /// The mark-up is above [`MARKUP_BPS_MAX`](crate::domain::price::MARKUP_BPS_MAX), or another mark-up begins at
    /// exactly that moment.
    fn set_markup<'a>(
        &'a self,
        id: OrganizationId,
        markup_bps: u32,
        from: Option<&'a Moment>,
    ) -> StoreFuture<'a, Begins, AgreementError>;
}
