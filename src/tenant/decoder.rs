//! The checks that `jsonwebtoken` makes: signature, algorithm, `exp`, `nbf`, `iss` and `aud`.

use jsonwebtoken::{DecodingKey, Validation, crypto::aws_lc, errors::ErrorKind};
use serde_json::{Map, Value};

use super::{
    algorithm::Algorithm, clock::Clock, config::VerifierConfig, denial::Denial, strict::Object,
};

/// The requirements for a token, for each allowed algorithm.
#[derive(Debug)]
pub(super) struct Decoder {
    validations: Vec<(Algorithm, Validation)>,
}

impl Decoder {
    pub(super) fn new(rules: &VerifierConfig, clock: &Clock) -> Self {
        // If another crate in the build enables `rust_crypto`, `jsonwebtoken` has two crypto providers and
        // panics at the first token, unless one is installed as the default. The first installation
        // counts: an application that has installed another provider keeps it.
        aws_lc::DEFAULT_PROVIDER.install_default().ok();
        let validation = |algorithm: &Algorithm| {
            // One algorithm per validation, so that a key of one family is never tried with another family's algorithm.
            let mut validation = Validation::new(algorithm.in_crate());
            validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
            validation.set_issuer(&[&rules.issuer]);
            validation.set_audience(&rules.audiences);
            validation.leeway = rules.leeway.as_secs();
            // The crate can read only the system's clock. With a test's clock, only our own check of the
            // dates applies.
            validation.validate_exp = clock.is_the_systems();
            validation.validate_nbf = clock.is_the_systems();
            (*algorithm, validation)
        };
        Self { validations: rules.algorithms.iter().map(validation).collect() }
    }

    /// The payload of a valid token that this key has signed with this algorithm.
    pub(super) fn decode(
        &self,
        token: &str,
        algorithm: Algorithm,
        key: &DecodingKey,
    ) -> Result<Map<String, Value>, Denial> {
        let (_, validation) = self
            .validations
            .iter()
            .find(|(allowed, _)| *allowed == algorithm)
            .ok_or(Denial::Algorithm)?;
        match jsonwebtoken::decode::<Object>(token, key, validation) {
            Ok(token) => Ok(token.claims.0),
            Err(error) => Err(denial(error.kind())),
        }
    }
}

#[cold]
#[expect(clippy::wildcard_enum_match_arm, reason = "the other kinds are about keys and encoding")]
fn denial(error: &ErrorKind) -> Denial {
    match error {
        ErrorKind::InvalidSignature => Denial::Signature,
        ErrorKind::InvalidAlgorithm | ErrorKind::InvalidKeyFormat => Denial::Algorithm,
        ErrorKind::ExpiredSignature => Denial::Expired,
        ErrorKind::ImmatureSignature => Denial::NotYetValid,
        ErrorKind::InvalidIssuer => Denial::Issuer,
        ErrorKind::InvalidAudience => Denial::Audience,
        ErrorKind::MissingRequiredClaim(_) | ErrorKind::InvalidClaimFormat(_) => Denial::Claims,
        _ => Denial::Malformed,
    }
}

#[cfg(test)]
mod tests;
