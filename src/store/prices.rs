//! The prices as layers ask for them: one book for all, swapped whole, and what is agreed with each
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
    /// How long an agreement is believed: at most thirty seconds.
    pub const TTL_MAX: Duration = Agreements::TTL_MAX;

    /// This book until it is replaced, and the same prices for everybody.
    pub fn new(book: PriceBook) -> Self {
        Self::with(book, Agreed::Nothing(Arc::default()))
    }

    /// This book until it is replaced, and what this store has agreed with each organization, believed
    /// for `ttl` (at most [`TTL_MAX`](Self::TTL_MAX)).
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

    /// What is agreed with the tenant's organization, if it can be told without waiting.
    pub fn peek(&self, tenant: &Tenant) -> Option<Arc<Agreement>> {
        match &self.0.agreed {
            Agreed::Nothing(list) => Some(Arc::clone(list)),
            Agreed::Stored(agreements) => agreements.peek(tenant.organization_id()),
        }
    }

    /// What is agreed with the tenant's organization, from the store if need be; callers that ask at
    /// once share one statement.
    ///
    /// # Errors
    /// The store is away: nobody can say what a call would cost.
    pub async fn agreement(&self, tenant: &Tenant) -> Result<Arc<Agreement>, StoreError> {
        match &self.0.agreed {
            Agreed::Nothing(list) => Ok(Arc::clone(list)),
            Agreed::Stored(agreements) => agreements.get(tenant).await,
        }
    }

    /// Puts another book in force for all that share this handle.
    pub fn replace(&self, book: PriceBook) {
        self.0.book.store(Arc::new(book));
    }

    /// Reads the book anew. Where that fails, the old one stays in force.
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
