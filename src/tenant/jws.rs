//! The shape of a token: what can be refused before any cryptography.

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use serde_json::{Map, Value};

use super::{algorithm::Algorithm, denial::Denial, strict};

/// The longest token that is looked at, in bytes.
pub const TOKEN_BYTES_MAX: usize = 8 * 1024;
const KID_BYTES_MAX: usize = 128;

/// A compact JWS with an acceptable header. Nothing in it has been verified.
#[derive(Debug)]
pub(super) struct Jws<'a> {
    pub(super) algorithm: Algorithm,
    pub(super) kid: Option<Box<str>>,
    signed: &'a str,
    payload: &'a str,
    signature: &'a str,
}

impl<'a> Jws<'a> {
    pub(super) fn parse(token: &'a str, allowed: &[Algorithm]) -> Result<Self, Denial> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(Denial::TooLong);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(Denial::Malformed)?;
        let (header, payload) = signed.split_once('.').ok_or(Denial::Malformed)?;
        // A JWE has five parts, a detached payload or an unsecured token has an empty one.
        if header.is_empty() || payload.is_empty() || payload.contains('.') || signature.is_empty()
        {
            return Err(Denial::Malformed);
        }
        let header = object(header)?;
        Ok(Self {
            algorithm: algorithm(&header, allowed)?,
            kid: kid(&header)?,
            signed,
            payload,
            signature,
        })
    }

    /// What the signature is over.
    pub(super) const fn signed(&self) -> &'a [u8] {
        self.signed.as_bytes()
    }

    pub(super) fn signature(&self) -> Result<Vec<u8>, Denial> {
        decode(self.signature)
    }

    pub(super) fn payload(&self) -> Result<Map<String, Value>, Denial> {
        object(self.payload)
    }
}

/// The header's algorithm, if configuration allows it and nothing else in the header changes what
/// the signature means. `jku`, `x5u`, `x5c` and `jwk` are never read: keys come from configuration.
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
    // A media type, whose `application/` may be left out, and whose case does not matter.
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

/// A key id that may be compared: short and printable.
pub(super) fn is_kid(kid: &str) -> bool {
    (1..=KID_BYTES_MAX).contains(&kid.len()) && kid.bytes().all(|byte| (0x20..0x7f).contains(&byte))
}

fn object(part: &str) -> Result<Map<String, Value>, Denial> {
    strict::object(&decode(part)?).ok_or(Denial::Malformed)
}

/// Without padding, whitespace or stray bits in the last character: one byte string, one spelling.
fn decode(part: &str) -> Result<Vec<u8>, Denial> {
    BASE64_URL_SAFE_NO_PAD.decode(part).map_err(|_| Denial::Malformed)
}
