//! Keys and tokens for the tests of this room.

use std::sync::LazyLock;

use aws_lc_rs::{
    rand::SystemRandom,
    rsa::{KeyPair, KeySize},
    signature::{KeyPair as _, RSA_PKCS1_SHA256},
};
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use serde_json::{Value, json};

pub(super) const ORGANIZATION: &str = "0192f0c0-0000-7000-8000-000000000001";
pub(super) const NOW: i64 = 1_900_000_000;

static PAIRS: LazyLock<[KeyPair; 2]> =
    LazyLock::new(|| [(); 2].map(|()| KeyPair::generate(KeySize::Rsa2048).unwrap()));

/// The public half of one of the two keys, with this `kid`.
pub(super) fn jwk(pair: usize, kid: &str) -> Value {
    let public = PAIRS[pair].public_key();
    let encode = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
    json!({
        "kty": "RSA", "use": "sig", "alg": "RS256", "kid": kid,
        "n": encode(public.modulus().big_endian_without_leading_zero()),
        "e": encode(public.exponent().big_endian_without_leading_zero()),
    })
}

pub(super) fn set(keys: &[Value]) -> String {
    json!({ "keys": keys }).to_string()
}

/// The claims of a token that is valid for a minute from [`NOW`].
pub(super) fn claims() -> Value {
    json!({
        "iss": "issuer", "aud": "tollgate", "sub": "ada", "organization_id": ORGANIZATION,
        "exp": NOW + 60,
    })
}

pub(super) fn token(pair: usize, kid: &str, claims: &Value) -> String {
    sign(pair, &json!({"alg": "RS256", "typ": "JWT", "kid": kid}).to_string(), &claims.to_string())
}

pub(super) fn sign(pair: usize, header: &str, payload: &str) -> String {
    let encode = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
    let signed = format!("{}.{}", encode(header.as_bytes()), encode(payload.as_bytes()));
    let mut signature = vec![0; PAIRS[pair].public_modulus_len()];
    PAIRS[pair]
        .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature)
        .unwrap();
    format!("{signed}.{}", encode(&signature))
}
