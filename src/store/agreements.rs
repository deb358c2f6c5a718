//! The price agreement of each organization, from a cache whose entries live at most thirty seconds.

use std::{sync::Arc, time::Duration};

use super::{PriceStore, StoreError, cache::Cached};
use crate::{
    context::Tenant,
    domain::{ids::OrganizationId, price::Agreement},
};

/// The agreements in one store, cached.
pub(super) struct Agreements {
    store: Arc<dyn PriceStore>,
    agreements: Cached<OrganizationId, Arc<Agreement>>,
}

impl Agreements {
    pub(super) const TTL_MAX: Duration = Duration::from_secs(30);

    pub(super) fn cached(store: Arc<dyn PriceStore>, ttl: Duration) -> Self {
        Self { store, agreements: Cached::new("prices", ttl.min(Self::TTL_MAX), |_| true) }
    }

    pub(super) fn peek(&self, organization: OrganizationId) -> Option<Arc<Agreement>> {
        self.agreements.peek(&organization)
    }

    pub(super) async fn get(&self, tenant: &Tenant) -> Result<Arc<Agreement>, StoreError> {
        let read = async { self.store.agreement(tenant).await.map(Arc::new) };
        let organization = tenant.organization_id();
        self.agreements.get(&organization, || organization, read).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::{
        domain::price::PriceBook,
        store::{Prices, StoreFuture},
        testing,
    };

    /// A store that counts its reads, and fails as long as the test says so.
    struct Counting {
        asked: AtomicUsize,
        away: bool,
    }

    impl PriceStore for Counting {
        fn price_book(&self) -> StoreFuture<'_, PriceBook> {
            Box::pin(async { Ok(PriceBook::default()) })
        }

        fn agreement<'a>(&'a self, _: &'a Tenant) -> StoreFuture<'a, Agreement> {
            Box::pin(async {
                let asked = self.asked.fetch_add(1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_secs(5)).await;
                if self.away {
                    return Err(StoreError::Unavailable("away".into()));
                }
                Ok(Agreement::new(u32::try_from(asked).unwrap(), []))
            })
        }
    }

    fn prices(away: bool) -> (Arc<Counting>, Prices) {
        let store = Arc::new(Counting { asked: 0.into(), away });
        let prices =
            Prices::cached(Arc::<Counting>::clone(&store), PriceBook::default(), Prices::TTL_MAX);
        (store, prices)
    }

    #[tokio::test(start_paused = true)]
    async fn those_who_ask_at_once_share_one_statement_and_later_ones_none() {
        let (store, prices) = prices(false);
        let tenant = testing::tenant();
        assert!(prices.peek(&tenant).is_none());
        let asking = (0..100).map(|_| prices.agreement(&tenant));
        assert!(futures_util::future::join_all(asking).await.iter().all(Result::is_ok));
        assert!(prices.peek(&tenant).is_some());
        prices.agreement(&tenant).await.unwrap();
        assert_eq!(store.asked.load(Ordering::SeqCst), 1);
        // Another organization has no entry yet.
        let other = testing::tenant();
        assert!(prices.peek(&other).is_none());
        assert_eq!(prices.agreement(&other).await.unwrap().markup_bps(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_is_away_is_asked_once_by_all_who_wait_and_never_guessed_for() {
        let (store, prices) = prices(true);
        let tenant = testing::tenant();
        let asking = (0..100).map(|_| prices.agreement(&tenant));
        let answers = futures_util::future::join_all(asking).await;
        assert!(answers.iter().all(|answer| answer.as_ref().is_err_and(StoreError::is_transient)));
        assert_eq!(store.asked.load(Ordering::SeqCst), 1);
        // A later caller reads the store again.
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(prices.agreement(&tenant).await.is_err());
        assert_eq!(store.asked.load(Ordering::SeqCst), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn an_agreement_that_is_too_old_is_not_believed() {
        let store = Arc::new(Counting { asked: 0.into(), away: false });
        let prices = Prices::cached(store, PriceBook::default(), Duration::ZERO);
        let tenant = testing::tenant();
        for expected in 0..3 {
            assert_eq!(prices.agreement(&tenant).await.unwrap().markup_bps(), expected);
            assert!(prices.peek(&tenant).is_none());
        }
    }
}
