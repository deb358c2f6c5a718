//! The seal that a gateway puts on claims, so that the database accepts claims from nobody else.
//!
//! The seal is the first member of the claims, so that claims stay one text:
//! `{"tollgate_seal":"v1.<key id>.<expires ms>.<64 hex digits>",` and the original members. The digits are
//! HMAC-SHA256 over `v1.<key id>.<expires ms>.` and everything after the seal.

use std::{borrow::Cow, error::Error, fmt, sync::Arc, time::Duration};

use aws_lc_rs::{
    digest::{SHA256, digest},
    hmac,
};
use tokio_postgres::types::{IsNull, ToSql, Type, private::BytesMut, to_sql_checked};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::clock::unix_millis;

/// The block size of SHA-256. HMAC pads a shorter key with zeros, and hashes a longer one first.
const BLOCK_BYTES: usize = 64;
const INNER: u8 = 0x36;
const OUTER: u8 = 0x5c;

type Block = Zeroizing<[u8; BLOCK_BYTES]>;

/// Seals claims with one key. Cheap to clone. The key is wiped from memory with the last clone.
///
/// ```
/// use tollgate::postgres::Seal;
///
/// let seal = Seal::new(&[7; 32])?;
/// let sealed = seal.seal(r#"{"sub":"ann"}"#, 1_800_000_000_000);
/// assert!(sealed.starts_with(r#"{"tollgate_seal":"v1."#) && sealed.ends_with(r#"","sub":"ann"}"#));
/// # Ok::<(), tollgate::postgres::NotASealKey>(())
/// ```
#[derive(Clone)]
pub struct Seal(Arc<Inner>);

struct Inner {
    key_id: Box<str>,
    block: Block,
    key: hmac::Key,
}

/// The text or bytes are not a key. The error does not repeat them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a key for seals: expected at least 64 hexadecimal digits, as `openssl rand -hex 32` prints them"
)]
pub struct NotASealKey;

impl Seal {
    /// The shortest key.
    pub const KEY_BYTES_MIN: usize = 32;
    /// How long a seal is valid.
    pub const VALIDITY: Duration = Duration::from_mins(1);

    /// A seal with this key: random bytes, at least [`KEY_BYTES_MIN`](Self::KEY_BYTES_MIN).
    ///
    /// # Errors
    /// The key is shorter.
    pub fn new(key: &[u8]) -> Result<Self, NotASealKey> {
        if key.len() < Self::KEY_BYTES_MIN {
            return Err(NotASealKey);
        }
        let mut block: Block = Zeroizing::new([0; BLOCK_BYTES]);
        if key.len() > BLOCK_BYTES {
            fill(&mut block, digest(&SHA256, key).as_ref());
        } else {
            fill(&mut block, key);
        }
        let id: String = hex(digest(&SHA256, key).as_ref()).chars().take(8).collect();
        Ok(Self::of_block(id.into(), block))
    }

    /// As [`new`](Self::new), with the key as hexadecimal digits.
    ///
    /// # Errors
    /// The text has other characters in it, or the key is too short.
    pub fn from_hex(text: &str) -> Result<Self, NotASealKey> {
        let mut key = Zeroizing::new(Vec::with_capacity(text.len()));
        for pair in text.as_bytes().chunks(2) {
            let [high, low] = pair else { return Err(NotASealKey) };
            key.push(digit(*high)?.checked_mul(16).ok_or(NotASealKey)? | digit(*low)?);
        }
        Self::new(&key)
    }

    /// The id of the key: the first eight hexadecimal digits of its SHA-256. Not a secret.
    pub fn key_id(&self) -> &str {
        &self.0.key_id
    }

    /// The claims with a seal that is valid for [`VALIDITY`](Self::VALIDITY) from `now`, in milliseconds since the Unix
    /// epoch. A text that is not a JSON object stays as it is.
    pub fn seal(&self, claims: &str, now: i64) -> String {
        let Some(members) = claims.trim_start().strip_prefix('{') else {
            return claims.to_owned();
        };
        let comma = if members.trim_start().starts_with('}') { "" } else { "," };
        let validity = i64::try_from(Self::VALIDITY.as_millis()).unwrap_or(0);
        let head = format!("v1.{}.{:013}.", self.0.key_id, now.saturating_add(validity));
        let mut mac = hmac::Context::with_key(&self.0.key);
        for part in [&head, comma, members] {
            mac.update(part.as_bytes());
        }
        let mac = hex(mac.sign().as_ref());
        [r#"{"tollgate_seal":""#, &head, &mac, "\"", comma, members].concat()
    }

    /// The seal with the key that the database stores as this inner pad.
    pub(super) fn of_pad(key_id: &str, inner_pad: &[u8]) -> Option<Self> {
        if inner_pad.len() != BLOCK_BYTES {
            return None;
        }
        let mut block: Block = Zeroizing::new([0; BLOCK_BYTES]);
        fill(&mut block, inner_pad);
        block.iter_mut().for_each(|byte| *byte ^= INNER);
        Some(Self::of_block(key_id.into(), block))
    }

    /// The key as the database stores it: its inner and its outer pad.
    pub(super) fn pads(&self) -> [Block; 2] {
        [INNER, OUTER].map(|pad| {
            let mut block = self.0.block.clone();
            block.iter_mut().for_each(|byte| *byte ^= pad);
            block
        })
    }

    /// A seal with a random key under this id, for forged claims.
    pub(super) fn made_up(key_id: &str) -> Self {
        let mut block: Block = Zeroizing::new([0; BLOCK_BYTES]);
        fill(&mut block, [Uuid::new_v4(), Uuid::new_v4()].map(Uuid::into_bytes).as_flattened());
        Self::of_block(key_id.into(), block)
    }

    fn of_block(key_id: Box<str>, block: Block) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, block.as_slice());
        Self(Arc::new(Inner { key_id, block, key }))
    }
}

impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Seal").field(&self.0.key_id).finish()
    }
}

/// Claims as the parameter of a statement. They are sealed when they are sent, after any wait for a connection.
#[derive(Clone, Copy)]
pub struct Sealed<'a> {
    seal: Option<&'a Seal>,
    claims: &'a str,
}

impl<'a> Sealed<'a> {
    pub(super) const fn new(seal: Option<&'a Seal>, claims: &'a str) -> Self {
        Self { seal, claims }
    }

    /// The claims, sealed now, or unchanged if there is no seal.
    pub fn text(&self) -> Cow<'a, str> {
        self.seal.map_or(Cow::Borrowed(self.claims), |seal| {
            Cow::Owned(seal.seal(self.claims, unix_millis()))
        })
    }
}

impl fmt::Debug for Sealed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the claims: they are personal data.
        f.debug_struct("Sealed").field("seal", &self.seal).finish_non_exhaustive()
    }
}

impl ToSql for Sealed<'_> {
    fn to_sql(
        &self,
        kind: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        self.text().to_sql(kind, out)
    }

    fn accepts(kind: &Type) -> bool {
        <&str as ToSql>::accepts(kind)
    }

    to_sql_checked!();
}

fn fill(block: &mut Block, bytes: &[u8]) {
    block.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
}

fn digit(letter: u8) -> Result<u8, NotASealKey> {
    let digit = char::from(letter).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    digit.ok_or(NotASealKey)
}

fn hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 0x0f]);
    digits.filter_map(|digit| char::from_digit(digit.into(), 16)).collect()
}

#[cfg(test)]
#[path = "seal_tests.rs"]
mod tests;
