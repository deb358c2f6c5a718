//! Why a token does not hold: for logs and metrics. The caller reads only "401".

use std::fmt;

/// Why a request is denied. Low in cardinality and free of anything from the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Denial {
    /// No `authorization` and no `x-api-key` header.
    Missing,
    /// Several tokens in one request, and they differ.
    Ambiguous,
    /// The `authorization` header is not `Bearer <token>`.
    Scheme,
    /// Longer than [`TOKEN_BYTES_MAX`](super::TOKEN_BYTES_MAX).
    TooLong,
    /// Not three non-empty parts of unpadded base64url with JSON objects that name no key twice.
    Malformed,
    /// The header names an algorithm that is not configured, or one that the key is not for.
    Algorithm,
    /// The header's `typ` is neither `JWT` nor `at+jwt`.
    Type,
    /// The header demands an extension (`crit`, `b64`, `zip`, `enc`).
    Extension,
    /// The header's `kid` is not 1 to 128 printable ASCII characters, or is missing where the
    /// issuer has several keys.
    KeyId,
    /// The issuer has no such key.
    UnknownKey,
    /// The signature does not hold.
    Signature,
    /// A claim is missing or has the wrong type.
    Claims,
    /// Past `exp`.
    Expired,
    /// Before `nbf`.
    NotYetValid,
    /// Another `iss`.
    Issuer,
    /// Not for this `aud`.
    Audience,
    /// The organization claim is missing or no UUID.
    Organization,
    /// The team claim is there, but no UUID.
    Team,
    /// The claim of a program's key is there, but no UUID.
    ProgramKey,
}

impl Denial {
    /// The word for it in logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Ambiguous => "ambiguous",
            Self::Scheme => "scheme",
            Self::TooLong => "too_long",
            Self::Malformed => "malformed",
            Self::Algorithm => "algorithm",
            Self::Type => "type",
            Self::Extension => "extension",
            Self::KeyId => "key_id",
            Self::UnknownKey => "unknown_key",
            Self::Signature => "signature",
            Self::Claims => "claims",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::Issuer => "issuer",
            Self::Audience => "audience",
            Self::Organization => "organization",
            Self::Team => "team",
            Self::ProgramKey => "program_key",
        }
    }
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
