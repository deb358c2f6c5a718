//! The kill switch for open calls: cuts them when a switch is turned on.

use std::{
    collections::HashSet,
    fmt,
    sync::{Arc, Weak},
    task::{Context, Poll, Waker},
};

use futures_util::{StreamExt, stream};
use parking_lot::Mutex;

use super::registry::{Entry, Registry};
use crate::{
    context::Tenant,
    domain::{ids::OrganizationId, scope::Scope, switch::Switches},
    store::SwitchStore,
};

/// Keeps track of the open calls and their tenants, and cuts the calls that a kill switch stops. Cheap to clone; clones
/// share the calls.
///
/// New calls do not need this: the statement that takes their hold reads the current switches. Open calls are cut by
/// [`cut`](Self::cut), if the caller knows the switches. [`check_those`](Self::check_those) asks the store after
/// notices of changes. [`check`](Self::check) asks the store about all open calls; run it every few seconds, as notices
/// can get lost.
///
/// A call that is cut ends at once for its client, whether or not the client reads. A stream ends with an error event. If
/// the head of the answer was not sent yet, the answer is 403. The provider's answer is read on in the background and
/// charged, so that a switch makes no call cheaper.
#[derive(Clone, Default)]
pub struct KillSwitch(
    /// By organization, so that all its calls are under one lock.
    Registry<Arc<Watch>>,
);

/// One open call.
struct Watch {
    tenant: Tenant,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    stopped: Option<Scope>,
    waker: Option<Waker>,
    stream: Option<Weak<dyn Cut>>,
}

/// A stream that can be ended from outside, because the task that sends it may be waiting for its client.
pub(super) trait Cut: Send + Sync {
    /// Ends the stream for its client, unless it has already ended.
    fn cut(self: Arc<Self>, scope: Scope);
}

impl KillSwitch {
    /// How many organizations are checked at once. A bound, because calls need connections to the store, too.
    const CHECKS_MAX: usize = 4;

    /// Cuts the organization's calls that the switches in `on` stop.
    ///
    /// # Panics
    /// Outside a Tokio runtime.
    pub fn cut(&self, organization: OrganizationId, on: &Switches) {
        self.cut_before(self.0.next(), organization, on);
    }

    /// As [`cut`](Self::cut), only for calls with a number below `number`.
    fn cut_before(&self, number: u64, organization: OrganizationId, on: &Switches) {
        if on.is_empty() {
            return;
        }
        // A call that is cut removes itself from its shard, so the lock must be free by then.
        let stopped: Vec<_> = self
            .0
            .of(organization.as_uuid())
            .iter()
            .filter(|(of, watch)| **of < number && watch.tenant.organization_id() == organization)
            .filter_map(|(_, watch)| Some((Arc::clone(watch), watch.stopped_by(on)?)))
            .collect();
        let cut = stopped.into_iter().filter(|(watch, scope)| watch.cut(*scope)).count();
        if cut > 0 {
            tracing::warn!(organization_id = %organization, calls = cut, "open calls are cut: a kill switch is on");
        }
    }

    /// Asks the store about every organization with open calls, and cuts the calls that a switch stops. If the store
    /// does not answer for an organization, the next check asks again.
    pub async fn check(&self, store: &dyn SwitchStore) {
        let mut organizations = HashSet::new();
        for calls in self.0.each() {
            organizations.extend(calls.values().map(|watch| watch.tenant.organization_id()));
        }
        self.check_those(store, organizations).await;
    }

    /// As [`check`](Self::check), for these organizations. An organization without open calls is skipped.
    pub async fn check_those(
        &self,
        store: &dyn SwitchStore,
        organizations: impl IntoIterator<Item = OrganizationId>,
    ) {
        stream::iter(organizations)
            .for_each_concurrent(Self::CHECKS_MAX, |organization| {
                self.check_one(store, organization)
            })
            .await;
    }

    async fn check_one(&self, store: &dyn SwitchStore, organization: OrganizationId) {
        let mut open = false;
        for watch in self.0.of(organization.as_uuid()).values() {
            open |= watch.tenant.organization_id() == organization;
        }
        if !open {
            return;
        }
        // A call that arrives during this read checks the switches itself, when it takes its hold. It must not be cut
        // by this read, which may be older: the switch may be off again by then. If the switch is turned on later, a
        // notice of its own follows.
        let number = self.0.next();
        match store.switches(organization).await {
            Ok(on) => self.cut_before(number, organization, &on),
            Err(error) => {
                tracing::warn!(
                    organization_id = %organization,
                    %error,
                    "the kill switches could not be read; trying again in a few seconds"
                );
            }
        }
    }

    pub(super) fn watch(&self, tenant: &Tenant) -> Watched {
        let watch = Arc::new(Watch { tenant: tenant.clone(), state: Mutex::default() });
        let entry = self.0.enter(tenant.organization_id().as_uuid(), Arc::clone(&watch));
        Watched { watch, _entry: entry }
    }
}

impl Watch {
    fn stopped_by(&self, on: &Switches) -> Option<Scope> {
        on.stop(self.tenant.team_id(), self.tenant.user_id(), self.tenant.key_id())
    }

    /// Cuts the call. Returns `false` if it had been cut before.
    fn cut(&self, scope: Scope) -> bool {
        let (waker, stream) = {
            let mut state = self.state.lock();
            if state.stopped.is_some() {
                return false;
            }
            state.stopped = Some(scope);
            (state.waker.take(), state.stream.take())
        };
        if let Some(stream) = stream.and_then(|stream| stream.upgrade()) {
            stream.cut(scope);
        }
        if let Some(waker) = waker {
            waker.wake();
        }
        true
    }
}

/// One open call that the switch watches until this is dropped.
pub(super) struct Watched {
    watch: Arc<Watch>,
    _entry: Entry<Arc<Watch>>,
}

impl Watched {
    /// Ready when the call is to be cut, with the scope that is stopped.
    pub(super) fn poll_cut(&self, cx: &Context<'_>) -> Poll<Scope> {
        let mut state = self.watch.state.lock();
        if let Some(scope) = state.stopped {
            return Poll::Ready(scope);
        }
        match &mut state.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        Poll::Pending
    }

    /// Registers the stream to end when the call is cut. Returns the scope if the call has already been cut.
    pub(super) fn goes_on_as(&self, stream: Weak<dyn Cut>) -> Option<Scope> {
        let mut state = self.watch.state.lock();
        state.stream = Some(stream);
        state.stopped
    }
}

impl fmt::Debug for KillSwitch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KillSwitch").field("calls", &self.0.len()).finish_non_exhaustive()
    }
}
