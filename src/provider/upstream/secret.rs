//! Credentials: named in the configuration, fetched at run time, never shown.

use std::{fmt, io, path::PathBuf, str::FromStr, time::Duration};

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};
use tokio::{io::AsyncReadExt, sync::Mutex, time::Instant};
use zeroize::Zeroizing;

use super::kind::Kind;

/// How long the content of a secret file is used before it is read again.
const REREAD_AFTER: Duration = Duration::from_secs(5);
/// How many bytes of a secret file are read.
const SECRET_BYTES_MAX: u64 = 16 << 10;

/// Where a secret is, never the secret itself: `env:NAME` or `file:/path`.
///
/// ```
/// use tollgate::provider::upstream::SecretRef;
///
/// assert_eq!("env:OPENAI_API_KEY".parse(), Ok(SecretRef::Env("OPENAI_API_KEY".into())));
/// assert!("sk-a-key-itself".parse::<SecretRef>().is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[non_exhaustive]
pub enum SecretRef {
    /// An environment variable of this process; read once.
    Env(String),
    /// A file that another program keeps up to date. It is read again within five seconds of a change, and for the next
    /// request after the provider has refused the credential. If the file is removed, the credential counts as revoked.
    File(PathBuf),
}

/// The text is not a reference to a secret. The error does not repeat the text, which may be the secret itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a secret is referred to as `env:NAME` or `file:/path`; the value itself has no place in a configuration"
)]
pub struct NotASecretRef;

impl FromStr for SecretRef {
    type Err = NotASecretRef;

    fn from_str(text: &str) -> Result<Self, NotASecretRef> {
        match text.split_once(':') {
            Some(("env", name)) if !name.is_empty() => Ok(Self::Env(name.to_owned())),
            Some(("file", path)) if !path.is_empty() => Ok(Self::File(path.into())),
            _ => Err(NotASecretRef),
        }
    }
}

impl TryFrom<String> for SecretRef {
    type Error = NotASecretRef;

    fn try_from(text: String) -> Result<Self, NotASecretRef> {
        text.parse()
    }
}

impl From<SecretRef> for String {
    fn from(reference: SecretRef) -> Self {
        reference.to_string()
    }
}

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "env:{name}"),
            Self::File(path) => write!(f, "file:{}", path.display()),
        }
    }
}

/// A secret could not be read. The error names the reference, never a part of the secret.
#[derive(Debug, thiserror::Error)]
#[error("no credential at `{reference}`: {reason}")]
pub struct SecretError {
    reference: SecretRef,
    #[source]
    reason: io::Error,
}

/// A credential as a request header, fetched when needed.
pub(super) struct Credential {
    reference: SecretRef,
    kind: &'static Kind,
    current: ArcSwapOption<Fetched>,
    fetching: Mutex<()>,
}

struct Fetched {
    value: HeaderValue,
    at: Instant,
}

impl Credential {
    pub(super) fn new(reference: SecretRef, kind: &'static Kind) -> Self {
        Self { reference, kind, current: ArcSwapOption::empty(), fetching: Mutex::new(()) }
    }

    /// The header that carries the credential.
    pub(super) async fn header(&self) -> Result<(HeaderName, HeaderValue), SecretError> {
        let name = self.kind.credential.0.clone();
        if let Some(value) = self.fresh() {
            return Ok((name, value));
        }
        // One request fetches; the requests that waited for the lock find the result.
        let _fetching = self.fetching.lock().await;
        if let Some(value) = self.fresh() {
            return Ok((name, value));
        }
        match self.fetch().await {
            Ok(value) => {
                self.current
                    .store(Some(Fetched { value: value.clone(), at: Instant::now() }.into()));
                Ok((name, value))
            }
            Err(reason) => {
                self.current.store(None);
                Err(SecretError { reference: self.reference.clone(), reason })
            }
        }
    }

    /// The provider has refused the credential: the next request fetches it again.
    pub(super) fn forget(&self) {
        self.current.store(None);
    }

    fn fresh(&self) -> Option<HeaderValue> {
        let current = self.current.load();
        let fetched = current.as_ref()?;
        let lasting = match &self.reference {
            SecretRef::Env(_) => true,
            SecretRef::File(_) => fetched.at.elapsed() < REREAD_AFTER,
        };
        lasting.then(|| fetched.value.clone())
    }

    async fn fetch(&self) -> io::Result<HeaderValue> {
        let secret = match &self.reference {
            SecretRef::Env(name) => {
                let value = std::env::var(name).map_err(|_| {
                    io::Error::new(io::ErrorKind::NotFound, "the environment variable is not set")
                })?;
                Zeroizing::new(value.into_bytes())
            }
            SecretRef::File(path) => {
                let mut secret = Zeroizing::new(Vec::new());
                let file = tokio::fs::File::open(path).await?;
                file.take(SECRET_BYTES_MAX).read_to_end(&mut secret).await?;
                secret
            }
        };
        let secret = secret.trim_ascii();
        if secret.is_empty() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it is empty"));
        }
        let mut value = Zeroizing::new(Vec::new());
        value.extend_from_slice(self.kind.credential.1.as_bytes());
        value.extend_from_slice(secret);
        // The header value shares these bytes, which are wiped when its last clone is dropped.
        let mut value = HeaderValue::from_maybe_shared(Bytes::from_owner(value)).map_err(|_| {
            io::Error::new(io::ErrorKind::InvalidData, "it cannot stand in a header")
        })?;
        value.set_sensitive(true);
        Ok(value)
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential").field("reference", &self.reference).finish_non_exhaustive()
    }
}
