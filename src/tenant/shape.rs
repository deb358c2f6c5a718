//! The shape of a token and the rules for its header, checked before any cryptography.
//!
//! `jsonwebtoken` reads the header too, but it accepts `crit`, any `typ` and duplicate members.

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use serde_json::{Map, Value};

use super::{algorithm::Algorithm, denial::Denial, strict};

/// The longest token that is accepted, in bytes.
pub const TOKEN_BYTES_MAX: usize = 8 * 1024;
const KID_BYTES_MAX: usize = 128;

/// An acceptable header. Nothing in it has been verified.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) algorithm: Algorithm,
    pub(super) kid: Option<Box<str>>,
}

impl Header {
    /// Reads the header of a compact JWS.
    pub(super) fn of(token: &str, allowed: &[Algorithm]) -> Result<Self, Denial> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(Denial::TooLong);
        }
        let mut parts = token.split('.');
        // A JWE has five parts. A detached payload or an unsecured token has an empty part.
        let header = match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(header), Some(payload), Some(signature), None)
                if ![header, payload, signature].contains(&"") =>
            {
                header
            }
            _ => return Err(Denial::Malformed),
        };
        // No padding, no whitespace, no stray bits in the last character: one spelling for each byte string.
        let header = BASE64_URL_SAFE_NO_PAD.decode(header).map_err(|_| Denial::Malformed)?;
        let header = strict::object(&header).ok_or(Denial::Malformed)?;
        Ok(Self { algorithm: algorithm(&header, allowed)?, kid: kid(&header)? })
    }
}

/// The `iss` of a compact JWS, unverified.
pub(super) fn issuer(token: &str) -> Option<String> {
    if token.len() > TOKEN_BYTES_MAX {
        return None;
    }
    let payload = token.split('.').nth(1)?;
    let mut claims = strict::object(&BASE64_URL_SAFE_NO_PAD.decode(payload).ok()?)?;
    claims.remove("iss")?.as_str().map(str::to_owned)
}

/// The header's algorithm, if configuration allows it and no other member changes the meaning of the
/// signature. `jku`, `x5u`, `x5c` and `jwk` are never used: keys come from configuration.
fn algorithm(header: &Map<String, Value>, allowed: &[Algorithm]) -> Result<Algorithm, Denial> {
    if ["crit", "zip", "enc"].iter().any(|name| header.contains_key(*name)) {
        return Err(Denial::Extension);
    }
    if header.get("b64").is_some_and(|b64| *b64 != Value::Bool(true)) {
        return Err(Denial::Extension);
    }
    match header.get("typ").map(Value::as_str) {
        None => {}
        Some(Some(typ)) if is_jwt(typ) => {}
        Some(_) => return Err(Denial::Type),
    }
    let named = header.get("alg").and_then(Value::as_str).ok_or(Denial::Algorithm)?;
    allowed.iter().copied().find(|algorithm| algorithm.as_str() == named).ok_or(Denial::Algorithm)
}

fn is_jwt(typ: &str) -> bool {
    // A media type in any case, with or without `application/`.
    let short = match typ.split_at_checked(12) {
        Some((prefix, rest)) if prefix.eq_ignore_ascii_case("application/") => rest,
        _ => typ,
    };
    short.eq_ignore_ascii_case("jwt") || short.eq_ignore_ascii_case("at+jwt")
}

fn kid(header: &Map<String, Value>) -> Result<Option<Box<str>>, Denial> {
    match header.get("kid").map(Value::as_str) {
        None => Ok(None),
        Some(Some(kid)) if is_kid(kid) => Ok(Some(kid.into())),
        Some(_) => Err(Denial::KeyId),
    }
}

/// Whether a key id is short and printable, so that it may be compared.
pub(super) fn is_kid(kid: &str) -> bool {
    (1..=KID_BYTES_MAX).contains(&kid.len()) && kid.bytes().all(|byte| (0x20..0x7f).contains(&byte))
}
