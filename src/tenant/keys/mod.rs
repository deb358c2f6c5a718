//! The issuer's public keys: which keys of a published set are used, and for which tokens.

mod jwk;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use jsonwebtoken::{DecodingKey, DecodingKeyKind};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{algorithm::Algorithm, denial::Denial};

/// The most keys that a published set may have.
const KEYS_MAX: usize = 32;

/// One public key, parsed once, and the allowed algorithms that it may be used with.
#[derive(Debug)]
pub(super) struct Key {
    kid: Option<Box<str>>,
    algorithms: Vec<Algorithm>,
    decoding: DecodingKey,
}

impl Key {
    /// The decoding key for this algorithm, if this key may be used with it.
    pub(super) fn decoding(&self, algorithm: Algorithm) -> Result<&DecodingKey, Denial> {
        if self.algorithms.contains(&algorithm) {
            Ok(&self.decoding)
        } else {
            Err(Denial::Algorithm)
        }
    }

    /// Whether both have the same material, `kid` and algorithms.
    fn is(&self, other: &Self) -> bool {
        self.kid == other.kid
            && self.algorithms == other.algorithms
            && self.material() == other.material()
    }

    /// The bytes that distinguish this key from others of its family.
    fn material(&self) -> [&[u8]; 2] {
        match self.decoding.kind() {
            DecodingKeyKind::SecretOrDer(bytes) => [bytes, &[]],
            DecodingKeyKind::RsaModulusExponent { n, e } => [n, e],
        }
    }
}

/// The usable keys of one published set. Immutable.
#[derive(Debug, Default)]
pub(super) struct KeySet {
    keys: Vec<Arc<Key>>,
}

/// Why a document is not a key set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeySetError {
    /// Not JSON of the form `{"keys": [...]}`.
    #[error("not a JSON Web Key Set")]
    Malformed,
    /// More keys than an issuer needs. The bound keeps the search for a key cheap.
    #[error("more than 32 keys")]
    TooManyKeys,
}

#[derive(Deserialize)]
struct Document<'a> {
    #[serde(borrow)]
    keys: Vec<&'a RawValue>,
}

impl KeySet {
    /// Reads a published set. Unusable keys are left out. Keys that share a `kid` are left out too, since
    /// the `kid` does not say which of them the issuer means.
    pub(super) fn parse(document: &[u8], allowed: &[Algorithm]) -> Result<Self, KeySetError> {
        let document: Document<'_> =
            serde_json::from_slice(document).map_err(|_| KeySetError::Malformed)?;
        if document.keys.len() > KEYS_MAX {
            return Err(KeySetError::TooManyKeys);
        }
        let usable: Vec<Key> =
            document.keys.iter().filter_map(|key| jwk::usable(key.get(), allowed)).collect();
        let named = |kid: &Option<Box<str>>| usable.iter().filter(|key| key.kid == *kid).count();
        let ambiguous: Vec<bool> =
            usable.iter().map(|key| key.kid.is_some() && named(&key.kid) > 1).collect();
        if ambiguous.contains(&true) {
            tracing::error!(
                "the issuer's key set has several keys with the same `kid`: none of them is used"
            );
        }
        let keys = usable.into_iter().zip(ambiguous).filter(|(_, twice)| !twice);
        Ok(Self { keys: keys.map(|(key, _)| Arc::new(key)).collect() })
    }

    /// The same set, sharing the allocations of keys that `earlier` has too. Tokens that were verified
    /// with those keys are then still recognized ([`holds`](Self::holds)).
    pub(super) fn sharing(mut self, earlier: &Self) -> Self {
        for key in &mut self.keys {
            if let Some(same) = earlier.keys.iter().find(|same| same.is(key)) {
                *key = Arc::clone(same);
            }
        }
        self
    }

    /// The key with this `kid`. Without a `kid`, the only key, if there is just one.
    pub(super) fn find(&self, kid: Option<&str>) -> Option<&Arc<Key>> {
        match (kid, self.keys.as_slice()) {
            (Some(_), keys) => keys.iter().find(|key| key.kid.as_deref() == kid),
            (None, [only]) => Some(only),
            (None, _) => None,
        }
    }

    /// Whether this very allocation of a key is in the set.
    pub(super) fn holds(&self, key: &Arc<Key>) -> bool {
        self.keys.iter().any(|ours| Arc::ptr_eq(ours, key))
    }

    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }
}
