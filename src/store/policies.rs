//! Policies as layers ask for them: from a cache of at most thirty seconds.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use quick_cache::sync::Cache;

use super::{PolicyStore, StoreError};
use crate::{
    context::Tenant,
    domain::{ids::OrganizationId, policy::Policy, role::Role},
};

/// What an organization may do, and what the caller is in it.
#[derive(Clone, Debug, Default)]
pub struct Standing {
    /// The organization's policy.
    pub policy: Arc<Policy>,
    /// The caller's role: the token's, else the membership table's, else unknown.
    pub role: Option<Role>,
}

/// The policies of all organizations, cached. Cheap to clone; clones share the cache.
#[derive(Clone)]
pub struct Policies(Source);

#[derive(Clone)]
enum Source {
    Fixed(Arc<Policy>),
    Cached(Arc<Cached>),
}

struct Cached {
    store: Arc<dyn PolicyStore>,
    entries: Cache<Key, Entry>,
    ttl: Duration,
}

/// One entry an organization; where the token names no role, one a person.
type Key = (OrganizationId, Option<Box<str>>);

#[derive(Clone)]
struct Entry {
    standing: Standing,
    fetched: Instant,
}

impl Policies {
    /// How long a policy is believed: at most thirty seconds.
    pub const TTL_MAX: Duration = Duration::from_secs(30);
    const ENTRIES_MAX: usize = 200_000;

    /// The policies of this store, believed for `ttl` (at most [`TTL_MAX`](Self::TTL_MAX)).
    pub fn cached(store: Arc<dyn PolicyStore>, ttl: Duration) -> Self {
        let entries = Cache::new(Self::ENTRIES_MAX);
        Self(Source::Cached(Arc::new(Cached { store, entries, ttl: ttl.min(Self::TTL_MAX) })))
    }

    /// One policy for everybody: for a single layer in front of one's own service.
    pub fn fixed(policy: Policy) -> Self {
        Self(Source::Fixed(Arc::new(policy)))
    }

    /// The standing if it can be told without waiting.
    pub fn peek(&self, tenant: &Tenant) -> Option<Standing> {
        match &self.0 {
            Source::Fixed(policy) => {
                Some(Standing { policy: Arc::clone(policy), role: tenant.role() })
            }
            Source::Cached(cached) => cached.peek(tenant),
        }
    }

    /// The standing, from the store if need be; callers that ask at once share one statement.
    pub async fn get(&self, tenant: &Tenant) -> Result<Standing, StoreError> {
        match &self.0 {
            Source::Fixed(policy) => {
                Ok(Standing { policy: Arc::clone(policy), role: tenant.role() })
            }
            Source::Cached(cached) => cached.get(tenant).await,
        }
    }

    /// Forgets what is known of an organization: the next call reads it anew.
    pub fn forget(&self, organization: OrganizationId) {
        if let Source::Cached(cached) = &self.0 {
            cached.entries.retain(|key, _| key.0 != organization);
        }
    }
}

impl Cached {
    fn peek(&self, tenant: &Tenant) -> Option<Standing> {
        let entry = self.entries.get(&key(tenant))?;
        (entry.fetched.elapsed() < self.ttl).then(|| entry.standing_of(tenant))
    }

    async fn get(&self, tenant: &Tenant) -> Result<Standing, StoreError> {
        let key = key(tenant);
        if let Some(entry) = self.entries.get(&key) {
            if entry.fetched.elapsed() < self.ttl {
                return Ok(entry.standing_of(tenant));
            }
            self.entries.remove(&key);
        }
        let fetch = async {
            let standing = self.store.standing(tenant).await?;
            Ok(Entry { standing, fetched: Instant::now() })
        };
        let entry = self.entries.get_or_insert_async(&key, fetch).await?;
        Ok(entry.standing_of(tenant))
    }
}

impl Entry {
    fn standing_of(&self, tenant: &Tenant) -> Standing {
        Standing {
            policy: Arc::clone(&self.standing.policy),
            role: tenant.role().or(self.standing.role),
        }
    }
}

fn key(tenant: &Tenant) -> Key {
    (tenant.organization_id(), tenant.role().is_none().then(|| tenant.user_id().into()))
}

impl fmt::Debug for Policies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Policies")
    }
}
