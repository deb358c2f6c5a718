//! The kill switch for open calls: cuts them when a switch is turned on.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    future::poll_fn,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
};

use futures_util::{StreamExt, stream};

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
/// A call that is cut ends at once, whether or not its client reads: the connection to the provider is closed, and what
/// was delivered is charged. A stream ends with an error event. If the head of the answer was not sent yet, the answer
/// is 403.
#[derive(Clone)]
pub struct KillSwitch(Arc<Shared>);

struct Shared {
    /// All calls of an organization are in the same shard.
    shards: [Mutex<HashMap<u64, Arc<Watch>>>; SHARDS],
    next: AtomicU64,
}

// Enough that calls of different organizations rarely contend for the same lock.
const SHARDS: usize = 64;

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
    /// Ends the stream, unless it has already ended.
    fn cut(&self, scope: Scope);
}

impl Default for KillSwitch {
    fn default() -> Self {
        let shards = std::array::from_fn(|_| Mutex::default());
        Self(Arc::new(Shared { shards, next: AtomicU64::new(0) }))
    }
}

impl KillSwitch {
    /// How many organizations are checked at once. A bound, because calls need connections to the store, too.
    const CHECKS_MAX: usize = 4;

    /// Cuts the organization's calls that the switches in `on` stop.
    ///
    /// # Panics
    /// Outside a Tokio runtime.
    pub fn cut(&self, organization: OrganizationId, on: &Switches) {
        self.cut_before(self.0.next.load(Ordering::Relaxed), organization, on);
    }

    /// As [`cut`](Self::cut), only for calls with a number below `number`.
    fn cut_before(&self, number: u64, organization: OrganizationId, on: &Switches) {
        if on.is_empty() {
            return;
        }
        // A call that is cut removes itself from its shard, so the lock must be free by then.
        let stopped: Vec<_> = lock(self.shard(organization))
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
        for shard in &self.0.shards {
            organizations.extend(lock(shard).values().map(|watch| watch.tenant.organization_id()));
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
        for watch in lock(self.shard(organization)).values() {
            open |= watch.tenant.organization_id() == organization;
        }
        if !open {
            return;
        }
        // A call that arrives during this read checks the switches itself, when it takes its hold. It must not be cut
        // by this read, which may be older: the switch may be off again by then. If the switch is turned on later, a
        // notice of its own follows.
        let number = self.0.next.load(Ordering::Relaxed);
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
        let number = self.0.next.fetch_add(1, Ordering::Relaxed);
        lock(self.shard(tenant.organization_id())).insert(number, Arc::clone(&watch));
        Watched { switch: self.clone(), number, watch }
    }

    fn shard(&self, organization: OrganizationId) -> &Mutex<HashMap<u64, Arc<Watch>>> {
        // The last byte of a UUID is random in every version that is used for ids.
        let [.., last] = organization.as_uuid().into_bytes();
        let [first, ..] = &self.0.shards;
        self.0.shards.get(usize::from(last) % SHARDS).unwrap_or(first)
    }
}

impl Watch {
    fn stopped_by(&self, on: &Switches) -> Option<Scope> {
        on.stop(self.tenant.team_id(), self.tenant.user_id(), self.tenant.key_id())
    }

    /// Cuts the call. Returns `false` if it had been cut before.
    fn cut(&self, scope: Scope) -> bool {
        let (waker, stream) = {
            let mut state = lock(&self.state);
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
    switch: KillSwitch,
    number: u64,
    watch: Arc<Watch>,
}

impl Watched {
    /// Ready when the call is to be cut, with the scope that is stopped.
    pub(super) fn poll_cut(&self, cx: &Context<'_>) -> Poll<Scope> {
        let mut state = lock(&self.watch.state);
        if let Some(scope) = state.stopped {
            return Poll::Ready(scope);
        }
        match &mut state.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        Poll::Pending
    }

    /// Runs `work`. If the call is cut first, drops `work` and returns the stopped scope.
    pub(super) async fn unless_cut<F: Future>(&self, work: F) -> Result<F::Output, Scope> {
        tokio::select! {
            biased;
            scope = poll_fn(|cx| self.poll_cut(cx)) => Err(scope),
            done = work => Ok(done),
        }
    }

    /// Registers the stream to end when the call is cut. Returns the scope if the call has already been cut.
    pub(super) fn goes_on_as(&self, stream: Weak<dyn Cut>) -> Option<Scope> {
        let mut state = lock(&self.watch.state);
        state.stream = Some(stream);
        state.stopped
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let shard = self.switch.shard(self.watch.tenant.organization_id());
        let watch = lock(shard).remove(&self.number);
        // The lock is free here: dropping the call must not happen under it.
        drop(watch);
    }
}

// A poisoned lock is safe to use: every change is made in one step, so a panic leaves nothing half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for KillSwitch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let calls = self.0.shards.iter().map(|shard| lock(shard).len());
        f.debug_struct("KillSwitch")
            .field("calls", &calls.fold(0, usize::saturating_add))
            .finish_non_exhaustive()
    }
}
