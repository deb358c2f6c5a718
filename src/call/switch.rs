//! The kill switch, as open streams meet it: they are cut.

use std::{
    collections::HashMap,
    fmt,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use crate::{context::Tenant, domain::ids::OrganizationId, store::PolicyStore};

/// Knows which organizations have open streams, and cuts those of an organization that is suspended.
/// Cheap to clone; clones are the same switch.
///
/// New calls need no switch: the hold statement reads the live rows. Streams that are open already
/// are cut when somebody says so ([`cut`](Self::cut)), or finds out ([`check`](Self::check), to be
/// called every few seconds).
#[derive(Clone, Default)]
pub struct KillSwitch(Arc<Mutex<HashMap<OrganizationId, Open>>>);

/// The open streams of an organization.
struct Open {
    /// One of its callers, in whose name the store is asked.
    tenant: Tenant,
    cut: Arc<CancellationToken>,
    streams: usize,
}

impl KillSwitch {
    /// Cuts the streams that an organization has open: each ends with an error event, and its call is
    /// settled by what was delivered.
    pub fn cut(&self, organization: OrganizationId) {
        if let Some(open) = self.lock().remove(&organization) {
            tracing::warn!(organization_id = %organization, streams = open.streams, "open streams are cut: the organization is suspended");
            open.cut.cancel();
        }
    }

    /// Asks the store about every organization with open streams and cuts those that are suspended.
    /// What cannot be asked now is asked again next time.
    pub async fn check(&self, store: &dyn PolicyStore) {
        let tenants: Vec<_> = self.lock().values().map(|open| open.tenant.clone()).collect();
        for tenant in tenants {
            match store.standing(&tenant).await {
                Ok(standing) if standing.suspended.is_some() => self.cut(tenant.organization_id()),
                Ok(_) => {}
                Err(error) => {
                    tracing::debug!(organization_id = %tenant.organization_id(), %error, "a kill switch could not be read");
                }
            }
        }
    }

    pub(super) fn watch(&self, tenant: &Tenant) -> Watched {
        let organization = tenant.organization_id();
        let mut all = self.lock();
        let open = all.entry(organization).or_insert_with(|| Open {
            tenant: tenant.clone(),
            cut: Arc::default(),
            streams: 0,
        });
        open.streams = open.streams.saturating_add(1);
        let cut = Arc::clone(&open.cut);
        let told = Box::pin(CancellationToken::clone(&cut).cancelled_owned());
        Watched { switch: self.clone(), organization, cut, told }
    }

    // Counts and tokens are each set whole: a panic elsewhere leaves none of them half written.
    fn lock(&self) -> MutexGuard<'_, HashMap<OrganizationId, Open>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for KillSwitch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KillSwitch")
            .field("organizations", &self.lock().len())
            .finish_non_exhaustive()
    }
}

/// One open stream under the switch.
pub(super) struct Watched {
    switch: KillSwitch,
    organization: OrganizationId,
    cut: Arc<CancellationToken>,
    told: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl Watched {
    /// Ready when the stream is to be cut.
    pub(super) fn poll_cut(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.told.as_mut().poll(cx)
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let mut all = self.switch.lock();
        let Some(open) = all.get_mut(&self.organization) else { return };
        // After a cut and a resumption, the organization's newer streams are counted anew.
        if !Arc::ptr_eq(&open.cut, &self.cut) {
            return;
        }
        open.streams = open.streams.saturating_sub(1);
        if open.streams == 0 {
            all.remove(&self.organization);
        }
    }
}
