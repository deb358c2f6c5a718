//! The keys under which limits are counted.

use std::hash::{BuildHasher, BuildHasherDefault, Hash, Hasher, RandomState};

use crate::domain::{ids::OrganizationId, policy::RateLimit};

/// Identifies one limit of one organization: a 128-bit hash of its owner, keyed by a secret of this process.
///
/// Hashed, because names are long and there may be a million keys. Without the secret nobody can construct a
/// collision. The probability of one among a million keys is one in 10²⁶.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    shard: u64,
    hash: u64,
}

/// Makes keys.
#[derive(Clone, Debug, Default)]
pub(super) struct Keys(RandomState);

impl Keys {
    /// The key of the rates in an organization's policy.
    pub(super) fn of_policy(&self, organization: OrganizationId) -> Key {
        let mut hasher = self.0.build_hasher();
        organization.hash(&mut hasher);
        key(hasher)
    }

    /// The key of a rate limit outside the policy.
    pub(super) fn of_limit(&self, organization: OrganizationId, limit: &RateLimit) -> Key {
        let RateLimit { scope, scope_id, model_pattern, .. } = limit;
        let mut hasher = self.0.build_hasher();
        // `Hash` ends each text with a byte that no text contains, so different limits write different bytes.
        (organization, scope, scope_id, model_pattern).hash(&mut hasher);
        key(hasher)
    }
}

/// `SipHash` is a keyed function of everything that was written. With one more byte it gives a second half that is
/// independent of the first.
fn key(mut hasher: impl Hasher) -> Key {
    let shard = hasher.finish();
    hasher.write_u8(0);
    Key { shard, hash: hasher.finish() }
}

impl Key {
    /// The index of the key's shard. It is independent of `hash`, which distinguishes the keys within a shard.
    pub(super) fn shard(self, shards: usize) -> usize {
        let shards = u64::try_from(shards).unwrap_or(u64::MAX);
        usize::try_from(self.shard.checked_rem(shards).unwrap_or_default()).unwrap_or_default()
    }
}

/// Writes one number, because a key is a hash already.
impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

/// A hasher that returns the one number that a [`Key`] writes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct AsItIs(u64);

/// The hasher of maps by [`Key`].
pub(super) type BuildAsItIs = BuildHasherDefault<AsItIs>;

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        // No key writes bytes. If one did, different bytes would still give different hashes.
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{policy::Rates, scope::Scope};

    #[test]
    fn whatever_tells_two_limits_apart_tells_their_keys_apart() {
        let keys = Keys::default();
        let organization = OrganizationId::new(uuid::Uuid::new_v4());
        let other = OrganizationId::new(uuid::Uuid::new_v4());
        let limit = |scope, scope_id: &str, model_pattern: &str| RateLimit {
            scope,
            scope_id: scope_id.into(),
            model_pattern: model_pattern.into(),
            rates: Rates::default(),
        };
        let mut all = vec![keys.of_policy(organization), keys.of_policy(other)];
        for organization in [organization, other] {
            for scope in Scope::ALL {
                for (id, model) in [("", "*"), ("a", "b"), ("ab", ""), ("", "ab"), ("a", "b*")] {
                    all.push(keys.of_limit(organization, &limit(scope, id, model)));
                }
            }
        }
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
        let again = keys.of_limit(organization, &limit(Scope::Team, "a", "b"));
        assert!(all.contains(&again));
    }
}
