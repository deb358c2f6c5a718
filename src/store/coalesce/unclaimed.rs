//! Holds that may have been granted and that no caller has taken yet.

use std::{fmt, sync::Arc};

use tokio::runtime::Handle;

use super::{Batches, Shared};
use crate::domain::ids::{OrganizationId, RequestId};

/// Gives the holds back when it is dropped, unless a caller has claimed them.
pub(super) struct Unclaimed<B: Batches> {
    shared: Arc<Shared<B>>,
    organization: OrganizationId,
    calls: Vec<RequestId>,
    runtime: Handle,
}

impl<B: Batches> Unclaimed<B> {
    /// Must be called inside a tokio runtime, in which the holds are given back.
    pub(super) fn new(
        shared: &Arc<Shared<B>>,
        organization: OrganizationId,
        calls: Vec<RequestId>,
    ) -> Self {
        Self { shared: Arc::clone(shared), organization, calls, runtime: Handle::current() }
    }

    /// The caller has taken the holds: nothing is given back.
    pub(super) fn claimed(mut self) {
        self.calls = Vec::new();
    }
}

impl<B: Batches> Drop for Unclaimed<B> {
    fn drop(&mut self) {
        let calls = std::mem::take(&mut self.calls);
        if calls.is_empty() {
            return;
        }
        let (shared, organization) = (Arc::clone(&self.shared), self.organization);
        let give_back = async move {
            match shared.batches.give_back_all(organization, &calls).await {
                Ok(()) => {
                    let count = u64::try_from(calls.len()).unwrap_or(u64::MAX);
                    metrics::counter!("tollgate_holds_given_back_total").increment(count);
                    shared.released(organization);
                }
                Err(error) => {
                    tracing::warn!(organization_id = %organization, holds = calls.len(), %error, "unclaimed holds could not be given back: they stay until they expire");
                }
            }
        };
        drop(self.shared.tasks.spawn_on(give_back, &self.runtime));
    }
}

impl<B: Batches> fmt::Debug for Unclaimed<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unclaimed").field("calls", &self.calls).finish_non_exhaustive()
    }
}
