//! List prices: puts new ones in force, and reads current and scheduled ones.

use crate::{
    domain::{
        instant::Moment,
        price::{ModelPrice, PriceBook},
        price_file::PriceFile,
        price_review::Review,
    },
    store::{StoreError, StoreFuture},
};

/// Options for the import of a price file.
#[derive(Clone, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "independent options")]
pub struct ImportOptions {
    /// When the prices come into force. `None` is now. A day begins at midnight in UTC.
    pub effective_from: Option<Moment>,
    /// Accepts prices that jump or are implausible.
    pub accept_jumps: bool,
    /// The file is only a part of the list: models that it does not name are not concerned.
    pub part: bool,
    /// The list is a third party's, which always has some wrong entries. Leaves such entries out.
    pub leave_out: bool,
    /// Only reviews the file, and changes nothing.
    pub dry_run: bool,
}

/// The result of an import.
#[derive(Clone, Debug)]
pub struct Import {
    /// The changes of the file, and the objections to them.
    pub review: Review,
    /// How many prices were added. `None` if there were objections, or if the file was only reviewed.
    pub added: Option<u64>,
}

/// A price that will come into force.
#[derive(Clone, Debug)]
pub struct ScheduledPrice {
    /// The price.
    pub price: ModelPrice,
    /// When the price comes into force, in microseconds since the Unix epoch.
    pub effective_from_micros: i64,
}

/// A price file was not imported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// Calls have been settled by other prices since.
    #[error("the moment is past: calls have been settled by other prices since")]
    Past,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Keeps the list of prices, which is the same for all organizations.
pub trait PriceAdmin: Send + Sync {
    /// Puts the prices of a file in force, if there are no objections: see
    /// [`price_review`](crate::domain::price_review). All of them or none.
    ///
    /// # Errors
    /// The moment is past, or concurrent imports prevent this one.
    fn import_price_file<'a>(
        &'a self,
        file: &'a PriceFile,
        options: &'a ImportOptions,
    ) -> StoreFuture<'a, Import, ImportError>;

    /// The list prices that are in force at a moment (RFC 3339), or now.
    fn price_book_at<'a>(&'a self, at: Option<&'a str>) -> StoreFuture<'a, PriceBook>;

    /// The scheduled list prices of one model or of all, the earliest first.
    fn scheduled_prices<'a>(
        &'a self,
        model: Option<&'a str>,
    ) -> StoreFuture<'a, Vec<ScheduledPrice>>;
}
