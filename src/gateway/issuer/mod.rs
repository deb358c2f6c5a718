//! The development token issuer: signs tokens for anyone who asks, and publishes its keys.
//!
//! It is for `tollgate dev` and for tests, never for production, because it authenticates nobody. Otherwise it is a
//! real issuer, with RS256, a key set over HTTP, and rotation.
//!
//! | request | answer |
//! |---|---|
//! | `GET /.well-known/jwks.json` | the public keys, good for a minute |
//! | `POST /token` with `{organization_id, user_id, role, team_id?, key_id?, ttl_seconds?}` | `{token, expires_at}`, the latter in Unix seconds |
//!
//! ```
//! use tollgate::gateway::issuer::{DevIssuer, Grant};
//! use tollgate::tenant::{KeySource, Verifier, VerifierConfig};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let issuer = DevIssuer::ephemeral("http://issuer.test", "tollgate")?;
//! let organization_id = "0192f0c0-0000-7000-8000-000000000001".parse()?;
//! let issued = issuer.issue(&Grant::new(organization_id, "ada"))?;
//!
//! let config = VerifierConfig::new("http://issuer.test", "tollgate");
//! let verifier = Verifier::new(config, KeySource::fixed(issuer.jwks()))?;
//! let tenant = verifier.verify(&issued.token).await?;
//! assert_eq!((tenant.organization_id(), tenant.user_id()), (organization_id, "ada"));
//! # Ok(())
//! # }
//! ```

mod http;
mod key;
#[cfg(test)]
mod tests;

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::{Mutex, MutexGuard};
use uuid::Uuid;

pub use self::http::{JWKS_PATH, TOKEN_PATH};
use self::key::SigningKey;
use crate::{
    clock::unix_seconds,
    domain::{
        ids::{KeyId, OrganizationId, TeamId},
        role::Role,
    },
};

/// How long a token is valid by default.
pub const TTL_DEFAULT: Duration = Duration::from_hours(1);
/// The longest that a token can be valid. A longer time is cut to this; a time below 1 s is raised to 1 s.
pub const TTL_MAX: Duration = Duration::from_hours(24);

/// The issuer. Cheap to clone; all clones share the keys. See the [module docs](self).
#[derive(Clone)]
pub struct DevIssuer(Arc<Inner>);

struct Inner {
    issuer: String,
    audience: String,
    /// The file with the keys. Without it, the keys are lost when the process ends.
    file: Option<PathBuf>,
    /// The first one signs; the others are still published.
    keys: ArcSwap<Vec<Arc<SigningKey>>>,
    /// Locked while the keys and the file change.
    changing: Mutex<()>,
}

/// The contents of a token to issue.
#[derive(Clone, Debug)]
pub struct Grant {
    /// The organization.
    pub organization_id: OrganizationId,
    /// The person: the token's `sub`.
    pub user_id: String,
    /// The person's role; none leaves the claim out.
    pub role: Option<Role>,
    /// The person's team; none leaves the claim out.
    pub team_id: Option<TeamId>,
    /// The key of a program; none leaves the claim out.
    pub key_id: Option<KeyId>,
    /// How long the token is valid, between 1 s and [`TTL_MAX`]. Default: [`TTL_DEFAULT`].
    pub ttl: Duration,
}

impl Grant {
    /// A member of this organization, for an hour.
    pub fn new(organization_id: OrganizationId, user_id: &str) -> Self {
        let user_id = user_id.to_owned();
        let role = Some(Role::Member);
        Self { organization_id, user_id, role, team_id: None, key_id: None, ttl: TTL_DEFAULT }
    }
}

/// A signed token.
#[derive(Clone, Serialize)]
pub struct Issued {
    /// The token, in compact form.
    pub token: String,
    /// Its `exp`: Unix seconds.
    pub expires_at: i64,
}

/// Shows when the token expires, never the token.
impl fmt::Debug for Issued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issued").field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}

/// The issuer cannot do its work.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IssuerError {
    /// The crypto library cannot make a key or a signature.
    #[error("the crypto library failed")]
    Crypto,
    /// The key file cannot be read or written.
    #[error("the key file {} cannot be used", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The key file holds no key, or something other than keys.
    #[error("the key file {} holds no RSA keys in PEM form; remove it to have a new one made", .0.display())]
    NotKeys(PathBuf),
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    aud: &'a str,
    sub: &'a str,
    organization_id: OrganizationId,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<Role>,
    #[serde(skip_serializing_if = "Option::is_none")]
    team_id: Option<TeamId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_id: Option<KeyId>,
    iat: i64,
    exp: i64,
    jti: Uuid,
}

impl DevIssuer {
    /// An issuer that keeps its keys in memory only.
    pub fn ephemeral(issuer: &str, audience: &str) -> Result<Self, IssuerError> {
        Ok(Self::with_keys(issuer, audience, None, vec![Arc::new(SigningKey::generate()?)]))
    }

    /// An issuer that keeps its keys in this file, so that tokens stay valid after a restart. The file is in PEM form,
    /// and only its owner may read it. It is created if it is missing; its directory must exist.
    pub async fn open(issuer: &str, audience: &str, file: PathBuf) -> Result<Self, IssuerError> {
        if let Some(keys) = key::read(&file).await? {
            return Ok(Self::with_keys(issuer, audience, Some(file), keys));
        }
        let keys = vec![Arc::new(SigningKey::generate()?)];
        key::write(&file, &keys).await?;
        Ok(Self::with_keys(issuer, audience, Some(file), keys))
    }

    fn with_keys(
        issuer: &str,
        audience: &str,
        file: Option<PathBuf>,
        keys: Vec<Arc<SigningKey>>,
    ) -> Self {
        Self(Arc::new(Inner {
            issuer: issuer.to_owned(),
            audience: audience.to_owned(),
            file,
            keys: ArcSwap::from_pointee(keys),
            changing: Mutex::new(()),
        }))
    }

    /// Signs a token with these contents.
    pub fn issue(&self, grant: &Grant) -> Result<Issued, IssuerError> {
        let now = unix_seconds();
        let ttl = grant.ttl.clamp(Duration::from_secs(1), TTL_MAX);
        let expires_at = now.saturating_add(i64::try_from(ttl.as_secs()).unwrap_or(i64::MAX));
        let claims = Claims {
            iss: &self.0.issuer,
            aud: &self.0.audience,
            sub: &grant.user_id,
            organization_id: grant.organization_id,
            role: grant.role,
            team_id: grant.team_id,
            key_id: grant.key_id,
            iat: now,
            exp: expires_at,
            jti: Uuid::new_v4(),
        };
        let claims = serde_json::to_value(claims).map_err(|_| IssuerError::Crypto)?;
        Ok(Issued { token: self.sign(&claims)?, expires_at })
    }

    /// Signs a token with exactly this payload, for tests of tokens that must be denied.
    pub fn sign(&self, payload: &Value) -> Result<String, IssuerError> {
        let keys = self.0.keys.load();
        let key = keys.first().ok_or(IssuerError::Crypto)?;
        let header = json!({"alg": "RS256", "typ": "JWT", "kid": key.kid()});
        let encode = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", encode(&header), encode(payload));
        let signature = BASE64_URL_SAFE_NO_PAD.encode(key.sign(signed.as_bytes())?);
        Ok(format!("{signed}.{signature}"))
    }

    /// The public keys, as a JSON Web Key Set.
    pub fn jwks(&self) -> String {
        let keys: Vec<Value> = self.0.keys.load().iter().map(|key| key.public_jwk()).collect();
        json!({ "keys": keys }).to_string()
    }

    /// Signs with a new key from now on. The earlier ones stay published until [`retire`](Self::retire).
    pub async fn rotate(&self) -> Result<(), IssuerError> {
        let changing = self.0.changing.lock().await;
        let mut keys = vec![Arc::new(SigningKey::generate()?)];
        keys.extend(self.0.keys.load().iter().cloned());
        self.replace(keys, changing).await
    }

    /// Withdraws all keys except the one that signs. Tokens of the withdrawn keys are invalid once verifiers have
    /// fetched the set again.
    pub async fn retire(&self) -> Result<(), IssuerError> {
        let changing = self.0.changing.lock().await;
        let keys = self.0.keys.load().iter().take(1).cloned().collect();
        self.replace(keys, changing).await
    }

    async fn replace(
        &self,
        keys: Vec<Arc<SigningKey>>,
        changing: MutexGuard<'_, ()>,
    ) -> Result<(), IssuerError> {
        // Write the file first: if a crash lost the new key, no verifier could check tokens that it has signed.
        if let Some(file) = &self.0.file {
            key::write(file, &keys).await?;
        }
        self.0.keys.store(Arc::new(keys));
        drop(changing);
        Ok(())
    }
}

impl fmt::Debug for DevIssuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DevIssuer").field("issuer", &self.0.issuer).finish_non_exhaustive()
    }
}
