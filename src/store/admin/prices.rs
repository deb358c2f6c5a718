//! List prices: putting new ones in force, and looking at those that are and will be.

use crate::{
    domain::{
        instant::Moment,
        price::{ModelPrice, PriceBook},
        price_file::PriceFile,
        price_review::Review,
    },
    store::{StoreError, StoreFuture},
};

/// How a price file is taken.
#[derive(Clone, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "independent options")]
pub struct ImportOptions {
    /// From when on its prices hold; now, without it. A day begins at midnight in UTC.
    pub effective_from: Option<Moment>,
    /// Prices that jump or are beyond belief are meant.
    pub accept_jumps: bool,
    /// The file is not the whole list: models that it does not name are nothing to it.
    pub part: bool,
    /// The list is other people's, in which some entry is always wrong: such entries are left out.
    pub leave_out: bool,
    /// Only look.
    pub dry_run: bool,
}

/// What came of a price file.
#[derive(Clone, Debug)]
pub struct Import {
    /// What it would change, and what speaks against it.
    pub review: Review,
    /// How many prices were added; none of them where anything spoke against the file, or where it was
    /// only looked at.
    pub added: Option<u64>,
}

/// A price that will come into force.
#[derive(Clone, Debug)]
pub struct ScheduledPrice {
    /// The price.
    pub price: ModelPrice,
    /// When, in microseconds since the Unix epoch.
    pub effective_from_micros: i64,
}

/// A price file was not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// Calls have been settled by other prices since.
    #[error("the moment is past: calls have been settled by other prices since")]
    Past,
    /// The store did not take it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Keeps the list of prices, which is the same for all organizations.
pub trait PriceAdmin: Send + Sync {
    /// Puts the prices of a file in force, if nothing speaks against it: see
    /// [`price_review`](crate::domain::price_review). All of them or none.
    ///
    /// # Errors
    /// The moment is past, or others import all the time.
    fn import_price_file<'a>(
        &'a self,
        file: &'a PriceFile,
        options: &'a ImportOptions,
    ) -> StoreFuture<'a, Import, ImportError>;

    /// The list prices that are in force at a moment (RFC 3339), or now.
    fn price_book_at<'a>(&'a self, at: Option<&'a str>) -> StoreFuture<'a, PriceBook>;

    /// The list prices that will come into force, of one model or of all, the next ones first.
    fn scheduled_prices<'a>(
        &'a self,
        model: Option<&'a str>,
    ) -> StoreFuture<'a, Vec<ScheduledPrice>>;
}
