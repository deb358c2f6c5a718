//! One entry of a published key set: is it a key that we may verify with?

use aws_lc_rs::signature::{ED25519, ParsedPublicKey, RsaParameters, RsaPublicKeyComponents};
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use serde::Deserialize;

use super::Key;
use crate::tenant::{
    algorithm::{Algorithm, Family},
    jws::is_kid,
};

/// Small exponents make some forgeries cheap, large ones make verifying dear; issuers use this one.
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
        // Whoever can read the set can sign with it.
        tracing::error!("the issuer's key set publishes a private key: it is left out");
        return None;
    }
    let for_signatures = jwk.usage.as_deref().is_none_or(|usage| usage == "sig")
        && jwk.key_ops.as_ref().is_none_or(|ops| ops.iter().any(|op| op == "verify"))
        && jwk.kid.as_deref().is_none_or(is_kid);
    if !for_signatures {
        return None;
    }
    let parsed: Vec<_> = allowed
        .iter()
        .filter(|algorithm| jwk.alg.as_deref().is_none_or(|alg| alg == algorithm.as_str()))
        .filter_map(|algorithm| Some((*algorithm, jwk.parse(*algorithm)?)))
        .collect();
    if parsed.is_empty() { None } else { Some(Key { kid: jwk.kid.map(Into::into), parsed }) }
}

impl Jwk {
    fn parse(&self, algorithm: Algorithm) -> Option<ParsedPublicKey> {
        match (self.kty.as_str(), algorithm.family()) {
            ("RSA", Family::Rsa(parameters)) => self.rsa(parameters),
            ("EC", Family::Ec { curve, coordinate_bytes, algorithm })
                if self.crv.as_deref() == Some(curve) =>
            {
                let coordinate = |text: Option<&String>| {
                    bytes(text).filter(|bytes| bytes.len() == coordinate_bytes)
                };
                let uncompressed =
                    [vec![4], coordinate(self.x.as_ref())?, coordinate(self.y.as_ref())?].concat();
                ParsedPublicKey::new(algorithm, uncompressed).ok()
            }
            ("OKP", Family::Ed25519) if self.crv.as_deref() == Some("Ed25519") => {
                ParsedPublicKey::new(&ED25519, bytes(self.x.as_ref()).filter(|x| x.len() == 32)?)
                    .ok()
            }
            _ => None,
        }
    }

    fn rsa(&self, parameters: &'static RsaParameters) -> Option<ParsedPublicKey> {
        let (n, e) = (bytes(self.n.as_ref())?, bytes(self.e.as_ref())?);
        // Some issuers write the sign byte of ASN.1 in front.
        let n = n.strip_prefix(&[0]).unwrap_or(&n);
        let unused = usize::try_from(n.first()?.leading_zeros()).ok()?;
        let bits = n.len().checked_mul(8)?.checked_sub(unused)?;
        if e != RSA_EXPONENT || !RSA_BITS.contains(&bits) {
            return None;
        }
        RsaPublicKeyComponents { n, e: &e }.to_parsed_public_key(parameters).ok()
    }
}

fn bytes(text: Option<&String>) -> Option<Vec<u8>> {
    BASE64_URL_SAFE_NO_PAD.decode(text?).ok()
}
