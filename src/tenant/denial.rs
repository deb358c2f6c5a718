//! Why a token is invalid, for logs and metrics. The caller gets only a 401.

use std::fmt;

/// Why a request is denied. A label of low cardinality that contains nothing from the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Denial {
    /// No `authorization` and no `x-api-key` header.
    Missing,
    /// Two tokens of this issuer in one request, and they differ.
    Ambiguous,
    /// The `authorization` header is not `Bearer <token>`.
    Scheme,
    /// Longer than [`TOKEN_BYTES_MAX`](super::TOKEN_BYTES_MAX).
    TooLong,
    /// Not three non-empty parts of unpadded base64url, or JSON that is no object or has duplicate keys.
    Malformed,
    /// The header names an algorithm that is not configured, or that the key cannot be used with.
    Algorithm,
    /// The header's `typ` is neither `JWT` nor `at+jwt`.
    Type,
    /// The header demands an extension (`crit`, `b64`, `zip`, `enc`).
    Extension,
    /// The header's `kid` is not 1 to 128 printable ASCII characters, or is missing although the
    /// issuer has several keys.
    KeyId,
    /// The issuer has no such key.
    UnknownKey,
    /// The signature is invalid.
    Signature,
    /// A claim is missing or has the wrong type.
    Claims,
    /// The time is past `exp`.
    Expired,
    /// The time is before `nbf`.
    NotYetValid,
    /// The token has another `iss`.
    Issuer,
    /// The token is not for this `aud`.
    Audience,
    /// The organization claim is missing or no UUID.
    Organization,
    /// The team claim is present, but no UUID.
    Team,
    /// The claim for a program's key is present, but no UUID.
    ProgramKey,
}

impl Denial {
    /// The label in logs and metrics.
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
