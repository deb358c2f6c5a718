//! One entry of a published key set, and whether it is a key to verify with.
//!
//! `jsonwebtoken` accepts any bytes as a key and fails at the first token. So the crypto library parses each key here
//! once: a key that can verify nothing must not count as one of the issuer's keys.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519 as ED25519_SIGNATURES,
    ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, VerificationAlgorithm,
};
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use jsonwebtoken::DecodingKey;
use serde::Deserialize;

use super::Key;
use crate::tenant::{algorithm::Algorithm, shape::is_kid};

/// 65537, which issuers use. Smaller exponents make some forgeries cheap, larger ones make verification slow.
const RSA_EXPONENT: [u8; 3] = [1, 0, 1];
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
    alg: Option<String>,
    kid: Option<String>,
    n: Option<String>,
    e: Option<String>,
    crv: Option<String>,
    x: Option<String>,
    y: Option<String>,
    d: Option<serde::de::IgnoredAny>,
}

/// The key, if it is a public signature key for at least one of the allowed algorithms.
pub(super) fn usable(text: &str, allowed: &[Algorithm]) -> Option<Key> {
    let jwk: Jwk = serde_json::from_str(text).ok()?;
    if jwk.d.is_some() {
        // Anyone who can read the set could sign with this key.
        tracing::error!("the issuer's key set publishes a private key: the key is not used");
        return None;
    }
    let for_signatures = jwk.usage.as_deref().is_none_or(|usage| usage == "sig")
        && jwk.key_ops.as_ref().is_none_or(|ops| ops.iter().any(|op| op == "verify"))
        && jwk.kid.as_deref().is_none_or(is_kid);
    if !for_signatures {
        return None;
    }
    let (decoding, family) = jwk.decoding()?;
    let named =
        |algorithm: &Algorithm| jwk.alg.as_deref().is_none_or(|alg| alg == algorithm.as_str());
    let algorithms: Vec<_> = allowed
        .iter()
        .filter(|algorithm| family.contains(algorithm) && named(algorithm))
        .copied()
        .collect();
    let is_usable = !algorithms.is_empty();
    is_usable.then(|| Key { kid: jwk.kid.map(Into::into), algorithms, decoding })
}

/// The algorithms that a key of this type and curve can be used with.
const RSA: &[Algorithm] = &[
    Algorithm::Rs256,
    Algorithm::Rs384,
    Algorithm::Rs512,
    Algorithm::Ps256,
    Algorithm::Ps384,
    Algorithm::Ps512,
];
const P256: &[Algorithm] = &[Algorithm::Es256];
const P384: &[Algorithm] = &[Algorithm::Es384];
const ED25519: &[Algorithm] = &[Algorithm::EdDsa];

impl Jwk {
    fn decoding(&self) -> Option<(DecodingKey, &'static [Algorithm])> {
        match (self.kty.as_str(), self.crv.as_deref()) {
            ("RSA", _) => Some((self.rsa()?, RSA)),
            ("EC", Some("P-256")) => Some((self.ec(32, &ECDSA_P256_SHA256_FIXED)?, P256)),
            ("EC", Some("P-384")) => Some((self.ec(48, &ECDSA_P384_SHA384_FIXED)?, P384)),
            ("OKP", Some("Ed25519")) => Some((self.ed()?, ED25519)),
            _ => None,
        }
    }

    fn rsa(&self) -> Option<DecodingKey> {
        let (n, e) = (bytes(self.n.as_ref())?, bytes(self.e.as_ref())?);
        // Some issuers prefix the modulus with the sign byte of ASN.1.
        let n = n.strip_prefix(&[0]).unwrap_or(&n);
        let unused = usize::try_from(n.first()?.leading_zeros()).ok()?;
        let bits = n.len().checked_mul(8)?.checked_sub(unused)?;
        if e != RSA_EXPONENT || !RSA_BITS.contains(&bits) {
            return None;
        }
        let components = RsaPublicKeyComponents { n, e: &e };
        components.to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256).ok()?;
        Some(DecodingKey::from_rsa_raw_components(n, &e))
    }

    fn ec(
        &self,
        coordinate_bytes: usize,
        curve: &'static dyn VerificationAlgorithm,
    ) -> Option<DecodingKey> {
        let coordinate =
            |text: Option<&String>| bytes(text).filter(|bytes| bytes.len() == coordinate_bytes);
        let point = [vec![4], coordinate(self.x.as_ref())?, coordinate(self.y.as_ref())?].concat();
        ParsedPublicKey::new(curve, &point).ok()?;
        Some(DecodingKey::from_ec_der(&point))
    }

    fn ed(&self) -> Option<DecodingKey> {
        let x = bytes(self.x.as_ref()).filter(|x| x.len() == 32)?;
        ParsedPublicKey::new(&ED25519_SIGNATURES, &x).ok()?;
        Some(DecodingKey::from_ed_der(&x))
    }
}

fn bytes(text: Option<&String>) -> Option<Vec<u8>> {
    BASE64_URL_SAFE_NO_PAD.decode(text?).ok()
}
