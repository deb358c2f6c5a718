//! The statements about the organizations in one schema.

use std::time::Duration;

use super::{door::Door, journal, ledger, pool::Pool};
use crate::{
    domain::{
        finish::Finished,
        hold::{Heartbeat, HoldVerdict},
        ids::{OrganizationId, RequestId},
    },
    store::{
        StoreError,
        coalesce::{Asked, Ended},
    },
};

/// The organizations in one schema of one database. Each method runs one statement for one organization at once, in one
/// round trip. Cheap to clone.
///
/// It has no queue and does not follow an organization that moves: [`PostgresStore`](super::PostgresStore) does both.
#[derive(Clone, Debug)]
pub(super) struct OneSchema(Door);

impl OneSchema {
    /// The schema of this pool.
    pub(super) const fn new(pool: Pool) -> Self {
        Self(Door::new(pool))
    }

    pub(super) const fn pool(&self) -> &Pool {
        self.0.pool()
    }

    pub(super) const fn door(&self) -> &Door {
        &self.0
    }

    pub(super) async fn hold_all(
        &self,
        organization: OrganizationId,
        calls: &[Asked],
    ) -> Result<Vec<HoldVerdict>, StoreError> {
        ledger::hold(self.pool(), organization, calls).await
    }

    pub(super) async fn finish_all(
        &self,
        organization: OrganizationId,
        calls: &[Ended],
    ) -> Result<Vec<Finished>, StoreError> {
        journal::finish(self.pool(), organization, calls).await
    }

    pub(super) async fn renew_all(
        &self,
        organization: OrganizationId,
        heartbeats: &[Heartbeat],
        ttl: Duration,
    ) -> Result<Vec<RequestId>, StoreError> {
        ledger::renew(self.pool(), organization, heartbeats, ttl).await
    }

    pub(super) async fn give_back_all(
        &self,
        organization: OrganizationId,
        calls: &[RequestId],
    ) -> Result<(), StoreError> {
        ledger::give_back(self.pool(), organization, calls).await
    }
}
