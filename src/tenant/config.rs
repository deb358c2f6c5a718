//! The configuration of a verifier.

use std::time::Duration;

#[cfg(feature = "http")]
use super::jwks::JwksOptionsError;
use super::{algorithm::Algorithm, keys::KeySetError};

/// The largest leeway that may be configured.
pub const LEEWAY_MAX: Duration = Duration::from_secs(30);

/// Whose tokens are accepted, and which claims identify the caller.
#[derive(Clone, Debug)]
pub struct VerifierConfig {
    /// The tokens' `iss`, exactly.
    pub issuer: String,
    /// The tokens' `aud` must be, or contain, one of these.
    pub audiences: Vec<String>,
    /// `[RS256]`: the algorithms that tokens may be signed with.
    pub algorithms: Vec<Algorithm>,
    /// `/organization_id`: JSON pointer (RFC 6901) to the organization's UUID in the payload. A `/`
    /// in a claim's name is written `~1`.
    pub organization_claim: String,
    /// None: JSON pointer to the role. A value that is no role in an organization, such as `platform`,
    /// is ignored; then the membership table decides.
    pub role_claim: Option<String>,
    /// None: JSON pointer to the team's UUID. A token whose claim is no UUID is denied, since it would
    /// escape the team's budget.
    pub team_claim: Option<String>,
    /// None: JSON pointer to the UUID of the key for which the token was issued. As with the team, a claim
    /// that is no UUID is denied.
    pub key_claim: Option<String>,
    /// 10 s, at most [`LEEWAY_MAX`]: how far the issuer's clock may be off.
    pub leeway: Duration,
    /// 64 MiB: the most memory for the cache of verified tokens. 0 turns the cache off.
    pub cache_bytes_max: u64,
}

impl VerifierConfig {
    /// The defaults, for one issuer and one audience.
    pub fn new(issuer: impl Into<String>, audience: impl Into<String>) -> Self {
        Self {
            issuer: issuer.into(),
            audiences: vec![audience.into()],
            algorithms: vec![Algorithm::Rs256],
            organization_claim: "/organization_id".to_owned(),
            role_claim: None,
            team_claim: None,
            key_claim: None,
            leeway: Duration::from_secs(10),
            cache_bytes_max: 64 * 1024 * 1024,
        }
    }

    /// Refuses a configuration that cannot work, or would weaken verification. Default values pass.
    pub(crate) fn check(&self) -> Result<(), Unfit> {
        let unfit = |field, problem| Err(Unfit { field, problem });
        if self.issuer.is_empty() {
            return unfit("issuer", "is empty: set it to the `iss` of the tokens");
        }
        if self.audiences.is_empty() || self.audiences.iter().any(String::is_empty) {
            return unfit("audience", "is missing or empty: set it to the `aud` of the tokens");
        }
        if self.algorithms.is_empty() {
            return unfit("algorithms", "names no algorithm: leave it out for [\"RS256\"]");
        }
        for (field, pointer) in [
            ("organization_claim", Some(&self.organization_claim)),
            ("role_claim", self.role_claim.as_ref()),
            ("team_claim", self.team_claim.as_ref()),
            ("key_claim", self.key_claim.as_ref()),
        ] {
            if pointer.is_some_and(|pointer| !pointer.starts_with('/')) {
                return unfit(field, "must be a JSON pointer such as `/organization_id`");
            }
        }
        if self.leeway > LEEWAY_MAX {
            return unfit("leeway", "must be 30s at the most: set the clocks right instead");
        }
        Ok(())
    }
}

/// A value of a [`VerifierConfig`] that cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
#[non_exhaustive]
pub struct Unfit {
    /// The field; of several audiences the singular, which is also the key in the gateway's file.
    pub field: &'static str,
    /// What is wrong, and what to do.
    pub problem: &'static str,
}

/// Why a verifier cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifierError {
    /// The configuration is invalid.
    #[error(transparent)]
    Config(#[from] Unfit),
    /// The fixed document is no key set.
    #[error(transparent)]
    KeySet(#[from] KeySetError),
    /// The published key set cannot be fetched with these options.
    #[cfg(feature = "http")]
    #[error(transparent)]
    Jwks(#[from] JwksOptionsError),
}
