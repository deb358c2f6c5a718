//! The price book as layers ask for it: one snapshot, swapped whole.

use std::{fmt, sync::Arc};

use arc_swap::ArcSwap;

use super::{PriceStore, StoreError};
use crate::domain::price::PriceBook;

/// The prices in force. Cheap to clone; clones share the snapshot. Readers never wait.
#[derive(Clone)]
pub struct Prices(Arc<ArcSwap<PriceBook>>);

impl Prices {
    /// This book until it is replaced.
    pub fn new(book: PriceBook) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(book)))
    }

    /// The prices in force now.
    pub fn current(&self) -> Arc<PriceBook> {
        self.0.load_full()
    }

    /// Puts another book in force for all that share this handle.
    pub fn replace(&self, book: PriceBook) {
        self.0.store(Arc::new(book));
    }

    /// Reads the book anew. Where that fails, the old one stays in force.
    pub async fn refresh(&self, store: &dyn PriceStore) -> Result<(), StoreError> {
        self.replace(store.price_book().await?);
        Ok(())
    }
}

impl fmt::Debug for Prices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prices").field("models", &self.0.load().len()).finish()
    }
}
