//! Policies for the layers, from a cache whose entries live at most thirty seconds.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use quick_cache::Equivalent;

use super::{PolicyStore, StoreError, cache::Cached};
use crate::{
    context::{Call, Standing, Tenant},
    domain::{
        ids::{KeyId, OrganizationId, TeamId},
        policy::Policy,
    },
};

/// The policies of all organizations, cached. Cheap to clone; clones share the cache.
#[derive(Clone)]
pub struct Policies(Source);

#[derive(Clone)]
enum Source {
    Fixed(Arc<Policy>),
    OfStore(Arc<OfStore>),
}

struct OfStore {
    /// Distinguishes these policies from all others in the process.
    number: u64,
    store: Arc<dyn PolicyStore>,
    standings: Cached<Key, Standing>,
}

static NEXT_NUMBER: AtomicU64 = AtomicU64::new(0);

/// The cache has one entry per caller, because rates and switches may be set for a person, a team or a key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::struct_field_names, reason = "the ids as they are called everywhere")]
struct Key {
    organization_id: OrganizationId,
    team_id: Option<TeamId>,
    key_id: Option<KeyId>,
    user_id: Box<str>,
}

/// A borrowed [`Key`] for look-ups without a copy. Both must have the same hash.
#[derive(Clone, Copy, Debug, Hash)]
#[expect(clippy::struct_field_names, reason = "the ids as they are called everywhere")]
struct KeyRef<'a> {
    organization_id: OrganizationId,
    team_id: Option<TeamId>,
    key_id: Option<KeyId>,
    user_id: &'a str,
}

impl Policies {
    /// The longest time to live of a cached policy: thirty seconds.
    pub const TTL_MAX: Duration = Duration::from_secs(30);

    /// The policies of this store, cached for `ttl` (at most [`TTL_MAX`](Self::TTL_MAX)).
    pub fn cached(store: Arc<dyn PolicyStore>, ttl: Duration) -> Self {
        let number = NEXT_NUMBER.fetch_add(1, Ordering::Relaxed);
        // A suspended standing is not reused: the kill switch may be turned off before the next call.
        let lasts = |standing: &Standing| standing.suspended.is_none();
        let standings = Cached::new("policy", ttl.min(Self::TTL_MAX), lasts);
        Self(Source::OfStore(Arc::new(OfStore { number, store, standings })))
    }

    /// One policy for everybody, for a single layer in front of your own service.
    pub fn fixed(policy: Policy) -> Self {
        Self(Source::Fixed(Arc::new(policy)))
    }

    /// The standing, if it is known without waiting.
    pub fn peek(&self, tenant: &Tenant) -> Option<Standing> {
        match &self.0 {
            Source::Fixed(policy) => Some(Standing::under(Arc::clone(policy), tenant.role())),
            Source::OfStore(known) => known.peek(tenant),
        }
    }

    /// The standing, from the cache or the store. Callers that ask at the same time share one statement.
    pub async fn get(&self, tenant: &Tenant) -> Result<Standing, StoreError> {
        match &self.0 {
            Source::Fixed(policy) => Ok(Standing::under(Arc::clone(policy), tenant.role())),
            Source::OfStore(known) => known.get(tenant).await,
        }
    }

    /// [`peek`](Self::peek), once per call. The call keeps the standing that the first layer read here,
    /// and the layers further in take it from the call.
    pub(crate) fn peek_for(&self, tenant: &Tenant, call: Option<&Call>) -> Option<Standing> {
        let (Source::OfStore(known), Some(call)) = (&self.0, call) else {
            return self.peek(tenant);
        };
        if let Some(standing) = call.standing(known.number, tenant) {
            return Some(standing.clone());
        }
        let standing = known.peek(tenant)?;
        call.learn(known.number, tenant, &standing);
        Some(standing)
    }

    /// [`get`](Self::get), and keeps the standing in the call.
    pub(crate) async fn get_for(
        &self,
        tenant: &Tenant,
        call: Option<&Call>,
    ) -> Result<Standing, StoreError> {
        let standing = self.get(tenant).await?;
        if let (Source::OfStore(known), Some(call)) = (&self.0, call) {
            call.learn(known.number, tenant, &standing);
        }
        Ok(standing)
    }

    /// Removes the cache entries of an organization. The next call reads the store.
    pub fn forget(&self, organization: OrganizationId) {
        self.forget_those(|known| known == organization);
    }

    /// Removes the cache entries of these organizations in one pass, which takes as long as for one.
    pub fn forget_those(&self, are: impl Fn(OrganizationId) -> bool) {
        if let Source::OfStore(known) = &self.0 {
            known.standings.forget(|key| are(key.organization_id));
        }
    }
}

impl OfStore {
    fn peek(&self, tenant: &Tenant) -> Option<Standing> {
        self.standings.peek(&KeyRef::of(tenant)).map(|standing| of_caller(standing, tenant))
    }

    async fn get(&self, tenant: &Tenant) -> Result<Standing, StoreError> {
        // Lazy: the store is called only when it is this caller's turn to read.
        let (key, read) = (KeyRef::of(tenant), async { self.store.standing(tenant).await });
        let standing = self.standings.get(&key, || key.into(), read).await?;
        Ok(of_caller(standing, tenant))
    }
}

/// The role in the token takes precedence. It is not part of the cache key.
fn of_caller(standing: Standing, tenant: &Tenant) -> Standing {
    Standing { role: tenant.role().or(standing.role), ..standing }
}

impl<'a> KeyRef<'a> {
    fn of(tenant: &'a Tenant) -> Self {
        Self {
            organization_id: tenant.organization_id(),
            team_id: tenant.team_id(),
            key_id: tenant.key_id(),
            user_id: tenant.user_id(),
        }
    }
}

impl Equivalent<Key> for KeyRef<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        self.organization_id == key.organization_id
            && self.team_id == key.team_id
            && self.key_id == key.key_id
            && self.user_id == &*key.user_id
    }
}

impl From<KeyRef<'_>> for Key {
    fn from(key: KeyRef<'_>) -> Self {
        let KeyRef { organization_id, team_id, key_id, user_id } = key;
        Self { organization_id, team_id, key_id, user_id: user_id.into() }
    }
}

impl fmt::Debug for Policies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Policies")
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use tokio::time::Instant;

    use super::*;
    use crate::{store::MemoryStore, testing};

    fn stored() -> (MemoryStore, Policies, Tenant) {
        let (store, tenant) = (MemoryStore::default(), testing::tenant());
        assert!(store.create_organization(tenant.organization_id()));
        let policies = Policies::cached(Arc::new(store.clone()), Policies::TTL_MAX);
        (store, policies, tenant)
    }

    fn cap(standing: Option<Standing>) -> Option<u32> {
        standing?.policy.output_tokens_default.map(NonZeroU32::get)
    }

    #[tokio::test]
    async fn one_snapshot_judges_all_of_a_call() {
        let (store, policies, tenant) = stored();
        let (call, next) = (Call::for_model("small"), Call::for_model("small"));
        assert!(policies.peek_for(&tenant, Some(&call)).is_none());
        policies.get_for(&tenant, Some(&call)).await.unwrap();
        let output_tokens_default = NonZeroU32::new(7);
        let policy = Policy { output_tokens_default, ..Policy::default() };
        store.set_policy(tenant.organization_id(), policy).unwrap();
        policies.forget(tenant.organization_id());
        policies.get_for(&tenant, Some(&next)).await.unwrap();
        assert_eq!(cap(policies.peek_for(&tenant, Some(&call))), None);
        assert_eq!(cap(policies.peek_for(&tenant, Some(&next))), Some(7));
    }

    #[tokio::test]
    async fn what_a_call_has_learned_answers_for_one_tenant_and_one_source_only() {
        let (_, policies, tenant) = stored();
        let call = Call::for_model("small");
        policies.get_for(&tenant, Some(&call)).await.unwrap();
        assert!(policies.peek_for(&tenant.clone(), Some(&call)).is_some());
        let stranger = testing::tenant();
        assert!(policies.peek_for(&stranger, Some(&call)).is_none());
        let namesake = Tenant::new(tenant.organization_id(), "bob");
        assert!(policies.peek_for(&namesake, Some(&call)).is_none());
        let others = testing::fetched(Policy::default());
        assert!(others.peek_for(&tenant, Some(&call)).is_none());
    }

    #[tokio::test]
    async fn each_caller_has_an_entry() {
        let (store, policies, ada) = stored();
        store.set_role(ada.organization_id(), "ada", crate::domain::role::Role::Viewer).unwrap();
        let bob = Tenant::new(ada.organization_id(), "bob");
        assert!(policies.get(&ada).await.unwrap().role.is_some());
        assert!(policies.peek(&bob).is_none());
        assert!(policies.get(&bob).await.unwrap().role.is_none());
        assert!(policies.peek(&ada).unwrap().role.is_some());
    }

    /// A store that answers when the test lets it.
    struct Slow {
        store: MemoryStore,
        answers: tokio::sync::Semaphore,
    }

    impl PolicyStore for Slow {
        fn standing<'a>(&'a self, tenant: &'a Tenant) -> crate::store::StoreFuture<'a, Standing> {
            Box::pin(async {
                let standing = self.store.standing(tenant).await;
                self.answers.acquire().await.unwrap().forget();
                standing
            })
        }
    }

    #[tokio::test]
    async fn what_was_on_its_way_when_it_was_forgotten_is_not_kept() {
        let (store, _, tenant) = stored();
        let slow = Arc::new(Slow { store, answers: tokio::sync::Semaphore::new(0) });
        let policies = Policies::cached(Arc::<Slow>::clone(&slow), Policies::TTL_MAX);
        for forget in [true, false] {
            let mut asking = tokio_test::task::spawn(policies.get(&tenant));
            tokio_test::assert_pending!(asking.poll());
            if forget {
                policies.forget(tenant.organization_id());
            }
            slow.answers.add_permits(1);
            asking.await.unwrap();
            assert_eq!(policies.peek(&tenant).is_none(), forget);
        }
    }

    #[tokio::test]
    async fn a_kill_switch_that_is_on_is_not_believed_by_the_next_call() {
        let (store, policies, tenant) = stored();
        let organization = tenant.organization_id();
        store.set_suspended(organization, true).unwrap();
        for _ in 0..2 {
            assert!(policies.get(&tenant).await.unwrap().suspended.is_some());
            assert!(policies.peek(&tenant).is_none());
        }
        store.set_suspended(organization, false).unwrap();
        assert!(policies.get(&tenant).await.unwrap().suspended.is_none());
        assert!(policies.peek(&tenant).is_some());
        store.set_suspended(organization, true).unwrap();
        assert!(policies.get(&tenant).await.unwrap().suspended.is_none());
        policies.forget(organization);
        assert!(policies.get(&tenant).await.unwrap().suspended.is_some());
    }

    /// A store that fails as unavailable after five seconds.
    struct Away(std::sync::atomic::AtomicUsize);

    impl PolicyStore for Away {
        fn standing<'a>(&'a self, _: &'a Tenant) -> crate::store::StoreFuture<'a, Standing> {
            self.0.fetch_add(1, Ordering::SeqCst);
            Box::pin(async {
                tokio::time::sleep(Duration::from_secs(5)).await;
                Err(StoreError::Unavailable("away".into()))
            })
        }
    }

    #[tokio::test(start_paused = true)]
    async fn those_who_wait_for_one_answer_share_its_failure_and_do_not_wait_in_a_row() {
        let store = Arc::new(Away(0.into()));
        let policies = Policies::cached(Arc::<Away>::clone(&store), Policies::TTL_MAX);
        let (begun, tenant) = (Instant::now(), testing::tenant());
        let answers = futures_util::future::join_all((0..100).map(|_| policies.get(&tenant))).await;
        assert!(answers.iter().all(|answer| answer.as_ref().is_err_and(StoreError::is_transient)));
        assert!(begun.elapsed() < Duration::from_secs(6), "{:?}", begun.elapsed());
        assert_eq!(store.0.load(Ordering::SeqCst), 1);
        // A later caller reads the store again.
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(policies.get(&tenant).await.is_err());
        assert_eq!(store.0.load(Ordering::SeqCst), 2);
    }
}
