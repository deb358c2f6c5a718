//! Verifies a token: cache, header, key, the checks of `jsonwebtoken`, claims.

use std::{fmt, sync::Arc};

use aws_lc_rs::digest::{SHA256, digest};
use quick_cache::{Weighter, sync::Cache};

#[cfg(feature = "http")]
use super::jwks::JwksOptions;
use super::{
    claims,
    clock::Clock,
    config::{VerifierConfig, VerifierError},
    decoder::Decoder,
    denial::Denial,
    jwks::{Awaited, Jwks},
    keys::{Key, KeySet},
    shape::{self, Header, TOKEN_BYTES_MAX},
};
#[cfg(feature = "http")]
use crate::client::HttpClient;
use crate::context::Tenant;

/// The weight of a token cache entry in addition to its claims: key, digest, bookkeeping.
const ENTRY_BYTES: u64 = 256;
/// A request waits for at most two fetches: one that was already running, and one that it asked for.
const WAITS_MAX: u8 = 2;

/// Where the issuer's keys come from.
#[derive(Clone, Debug)]
pub struct KeySource(Source);

#[derive(Clone, Debug)]
enum Source {
    Fixed(Vec<u8>),
    #[cfg(feature = "http")]
    Published(Box<(JwksOptions, HttpClient)>),
}

impl KeySource {
    /// A JSON Web Key Set that never changes. It needs neither HTTP nor a runtime.
    pub fn fixed(document: impl Into<Vec<u8>>) -> Self {
        Self(Source::Fixed(document.into()))
    }

    /// The set that the issuer publishes, fetched by `client` and kept fresh.
    ///
    /// Here with the organization in a claim of Auth0 or Clerk:
    /// ```no_run
    /// # use tollgate::{client::HttpClient, tenant::{JwksOptions, KeySource, Verifier, VerifierConfig, VerifierError}};
    /// # fn verifier() -> Result<Verifier, VerifierError> {
    /// let config = VerifierConfig {
    ///     organization_claim: "/app_metadata/organization_id".to_owned(),
    ///     role_claim: Some("/app_metadata/role".to_owned()),
    ///     ..VerifierConfig::new("https://issuer.example", "tollgate")
    /// };
    /// let keys = JwksOptions::new("https://issuer.example/.well-known/jwks.json");
    /// let verifier = Verifier::new(config, KeySource::published(keys, HttpClient::default()))?;
    /// # Ok(verifier)
    /// # }
    /// ```
    #[cfg(feature = "http")]
    pub fn published(options: JwksOptions, client: HttpClient) -> Self {
        Self(Source::Published(Box::new((options, client))))
    }
}

/// Why a token gives no tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// The token is invalid.
    #[error("denied: {0}")]
    Denied(Denial),
    /// There are no keys to verify with: none were ever fetched, or they are too old.
    #[error("the issuer's keys are not available")]
    Unavailable,
}

/// Verifies tokens of one issuer. Cheap to clone; all clones share keys and cache.
#[derive(Clone)]
pub struct Verifier(Arc<Inner>);

struct Inner {
    config: VerifierConfig,
    decoder: Decoder,
    keys: Keys,
    verified: Option<Cache<[u8; 32], Verified, ByBytes>>,
    clock: Clock,
}

enum Keys {
    Fixed(KeySet),
    #[cfg_attr(
        not(feature = "http"),
        expect(dead_code, reason = "only `KeySource::published` makes it, which needs `http`")
    )]
    Published(Jwks),
}

/// A token that was valid when it was last verified in full.
#[derive(Clone)]
struct Verified {
    tenant: Tenant,
    key: Arc<Key>,
    ends: i64,
}

#[derive(Clone)]
struct ByBytes;

impl Weighter<[u8; 32], Verified> for ByBytes {
    fn weight(&self, _: &[u8; 32], verified: &Verified) -> u64 {
        u64::try_from(verified.tenant.claims().len())
            .unwrap_or(u64::MAX)
            .saturating_add(ENTRY_BYTES)
    }
}

/// The verdict on a token, as far as it is known now.
pub(super) enum Verdict {
    Settled(Result<Tenant, Rejection>),
    /// A fetch of the key set may allow a verdict.
    Wait(Waiting),
}

/// Waits for the fetch that may bring a key.
pub(super) struct Waiting {
    verifier: Verifier,
    awaited: Awaited,
    kid: Option<Box<str>>,
}

enum Failure {
    Denied(Denial),
    UnknownKid(Box<str>),
}

impl From<Denial> for Failure {
    fn from(denial: Denial) -> Self {
        Self::Denied(denial)
    }
}

impl Verifier {
    /// A verifier of this issuer's tokens.
    ///
    /// With a published key set, fetching starts at once, in a task that ends with the last clone of the
    /// verifier. The verifier must then be made inside a tokio runtime.
    ///
    /// The first verifier of a process installs aws-lc as the crypto provider of `jsonwebtoken`, unless
    /// the application has installed one before.
    pub fn new(config: VerifierConfig, source: KeySource) -> Result<Self, VerifierError> {
        config.check()?;
        let keys = match source.0 {
            Source::Fixed(document) => Keys::Fixed(KeySet::parse(&document, &config.algorithms)?),
            #[cfg(feature = "http")]
            Source::Published(published) => {
                let (options, client) = *published;
                Keys::Published(Jwks::over_http(options, client, config.algorithms.clone())?)
            }
        };
        Ok(Self::assemble(config, keys, Clock::default()))
    }

    fn assemble(config: VerifierConfig, keys: Keys, clock: Clock) -> Self {
        let bytes = config.cache_bytes_max;
        let entries = usize::try_from(bytes / 1024).unwrap_or(usize::MAX);
        let verified = (bytes > 0).then(|| Cache::with_weighter(entries, bytes, ByBytes));
        let decoder = Decoder::new(&config, &clock);
        Self(Arc::new(Inner { config, decoder, keys, verified, clock }))
    }

    /// A verifier with fixed keys and a clock that the test sets.
    #[cfg(test)]
    pub(super) fn at(
        config: VerifierConfig,
        keys: &str,
        now: Arc<std::sync::atomic::AtomicI64>,
    ) -> Self {
        let keys = KeySet::parse(keys.as_bytes(), &config.algorithms).unwrap();
        Self::assemble(config, Keys::Fixed(keys), Clock::Fixed(now))
    }

    /// The tenant of a token. Waits only if the token names an unknown key, or if there are no keys and a
    /// fetch is running.
    pub async fn verify(&self, token: &str) -> Result<Tenant, Rejection> {
        let mut waits = 0;
        loop {
            match self.check(token, waits) {
                Verdict::Settled(verdict) => return verdict,
                Verdict::Wait(waiting) => waiting.ended().await,
            }
            waits = waits.saturating_add(1);
        }
    }

    /// Whether there are keys to verify with. For a readiness probe.
    pub fn ready(&self) -> bool {
        self.0.keys.with(|keys| keys.len() > 0).unwrap_or(false)
    }

    /// Resolves when the first fetch of the keys has ended. `true` if there are keys now.
    pub async fn first_fetch(&self) -> bool {
        if let Keys::Published(jwks) = &self.0.keys {
            jwks.first().await;
        }
        self.ready()
    }

    /// Whether a text is a token that names this issuer. Nothing in it is verified.
    pub(super) fn issued(&self, text: &str) -> bool {
        shape::issuer(text).is_some_and(|issuer| issuer == self.0.config.issuer)
    }

    /// The verdict on a token without waiting, after `waits` earlier waits.
    pub(super) fn check(&self, token: &str, waits: u8) -> Verdict {
        if token.len() > TOKEN_BYTES_MAX {
            return Verdict::Settled(Err(Rejection::Denied(Denial::TooLong)));
        }
        let may_wait = waits < WAITS_MAX;
        let wait = |awaited, kid| Verdict::Wait(Waiting { verifier: self.clone(), awaited, kid });
        let verdict = match (self.0.keys.with(|keys| self.0.examine(token, keys)), &self.0.keys) {
            (Some(Ok(tenant)), _) => Ok(tenant),
            (Some(Err(Failure::Denied(denial))), _) => Err(Rejection::Denied(denial)),
            (Some(Err(Failure::UnknownKid(kid))), Keys::Published(jwks)) if may_wait => {
                match jwks.want(&kid) {
                    Some(awaited) => return wait(awaited, Some(kid)),
                    None => Err(Rejection::Denied(Denial::UnknownKey)),
                }
            }
            (Some(Err(Failure::UnknownKid(_))), _) => Err(Rejection::Denied(Denial::UnknownKey)),
            (None, Keys::Published(jwks)) if may_wait => match jwks.running() {
                Some(awaited) => return wait(awaited, None),
                None => Err(Rejection::Unavailable),
            },
            (None, _) => Err(Rejection::Unavailable),
        };
        Verdict::Settled(verdict)
    }
}

impl Inner {
    fn examine(&self, token: &str, keys: &KeySet) -> Result<Tenant, Failure> {
        let now = self.clock.now();
        let Some(cache) = &self.verified else {
            return self.verify(token, keys, now).map(|verified| verified.tenant);
        };
        let mut id = [0; 32];
        id.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
        if let Some(known) = cache.get(&id) {
            // The key must still be in the set: when the issuer withdraws a key, its tokens become invalid.
            if now < known.ends && keys.holds(&known.key) {
                return Ok(known.tenant);
            }
            cache.remove(&id);
        }
        let verified = self.verify(token, keys, now)?;
        let tenant = verified.tenant.clone();
        cache.insert(id, verified);
        Ok(tenant)
    }

    fn verify(&self, token: &str, keys: &KeySet, now: i64) -> Result<Verified, Failure> {
        let header = Header::of(token, &self.config.algorithms)?;
        let kid = header.kid.as_deref();
        let key = keys.find(kid).ok_or_else(|| match kid {
            Some(kid) => Failure::UnknownKid(kid.into()),
            // The issuer has several keys, and the token does not say which.
            None => Failure::Denied(Denial::KeyId),
        })?;
        // `jsonwebtoken` panics if the system's clock is before 1970, or less than the leeway after it. Our clock
        // reads `i64::MAX` before 1970. In all these cases the token counts as expired.
        let leeway = i64::try_from(self.config.leeway.as_secs()).unwrap_or(i64::MAX);
        if !(leeway..i64::MAX).contains(&now) {
            return Err(Denial::Expired.into());
        }
        let decoding = key.decoding(header.algorithm)?;
        let payload = self.decoder.decode(token, header.algorithm, decoding)?;
        let read = claims::read(payload, &self.config, now)?;
        Ok(Verified { tenant: read.tenant, key: Arc::clone(key), ends: read.ends })
    }
}

impl Keys {
    fn with<R>(&self, read: impl FnOnce(&KeySet) -> R) -> Option<R> {
        match self {
            Self::Fixed(keys) => Some(read(keys)),
            Self::Published(jwks) => jwks.current()?.as_ref().map(|snapshot| read(&snapshot.keys)),
        }
    }
}

impl Waiting {
    pub(super) async fn ended(self) {
        let complete = self.awaited.ended().await;
        if let (true, Some(kid), Keys::Published(jwks)) =
            (complete, &self.kid, &self.verifier.0.keys)
        {
            let brought = self.verifier.0.keys.with(|keys| keys.find(Some(kid)).is_some());
            if brought == Some(false) {
                jwks.missed(kid);
            }
        }
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier").field("config", &self.0.config).finish_non_exhaustive()
    }
}
