//! Prices for the layers: one price book for everybody, replaced as a whole, and the agreement of each
//! organization.

use std::{fmt, sync::Arc, time::Duration};

use arc_swap::ArcSwap;

use super::{PriceStore, StoreError, agreements::Agreements};
use crate::{
    context::Tenant,
    domain::price::{Agreement, PriceBook},
};

/// The prices in force. Cheap to clone; clones share the snapshot. Readers of the book never wait.
#[derive(Clone)]
pub struct Prices(Arc<Shared>);

struct Shared {
    book: ArcSwap<PriceBook>,
    agreed: Agreed,
}

enum Agreed {
    /// Everybody pays the list price.
    Nothing(Arc<Agreement>),
    Stored(Agreements),
}

impl Prices {
    /// The longest time to live of a cached agreement: thirty seconds.
    pub const TTL_MAX: Duration = Agreements::TTL_MAX;

    /// This book until it is replaced, and the same prices for everybody.
    pub fn new(book: PriceBook) -> Self {
        Self::with(book, Agreed::Nothing(Arc::default()))
    }

    /// This book until it is replaced, and the agreements in this store, cached for `ttl` (at most
    /// [`TTL_MAX`](Self::TTL_MAX)).
    pub fn cached(store: Arc<dyn PriceStore>, book: PriceBook, ttl: Duration) -> Self {
        Self::with(book, Agreed::Stored(Agreements::cached(store, ttl)))
    }

    fn with(book: PriceBook, agreed: Agreed) -> Self {
        Self(Arc::new(Shared { book: ArcSwap::from_pointee(book), agreed }))
    }

    /// The list prices in force now.
    pub fn current(&self) -> Arc<PriceBook> {
        self.0.book.load_full()
    }

    /// The agreement of the tenant's organization, if it is known without waiting.
    pub fn peek(&self, tenant: &Tenant) -> Option<Arc<Agreement>> {
        match &self.0.agreed {
            Agreed::Nothing(list) => Some(Arc::clone(list)),
            Agreed::Stored(agreements) => agreements.peek(tenant.organization_id()),
        }
    }

    /// The agreement of the tenant's organization, from the cache or the store. Callers that ask at the
    /// same time share one statement.
    ///
    /// # Errors
    /// The store cannot answer, so the cost of a call is unknown.
    pub async fn agreement(&self, tenant: &Tenant) -> Result<Arc<Agreement>, StoreError> {
        match &self.0.agreed {
            Agreed::Nothing(list) => Ok(Arc::clone(list)),
            Agreed::Stored(agreements) => agreements.get(tenant).await,
        }
    }

    /// Replaces the book for all clones of this handle.
    pub fn replace(&self, book: PriceBook) {
        self.0.book.store(Arc::new(book));
    }

    /// Reads the book from the store again. If that fails, the old book stays in force.
    pub async fn refresh(&self, store: &dyn PriceStore) -> Result<(), StoreError> {
        self.replace(store.price_book().await?);
        Ok(())
    }
}

impl fmt::Debug for Prices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prices").field("models", &self.0.book.load().len()).finish_non_exhaustive()
    }
}
