//! Reading a call's body: the facts that decide about models, limits and money, and the edits
//! that the gateway makes before the body goes upstream.

use std::num::NonZeroU32;

use super::dialect::Endpoint;

/// What a call asks for, as far as the layers need to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallFacts {
    /// Which endpoint.
    pub endpoint: Endpoint,
    /// The model the caller named.
    pub model: String,
    /// Whether a stream was asked for.
    pub stream: bool,
    /// Whether the caller asked for usage in the stream (`stream_options.include_usage`).
    pub wants_usage: bool,
    /// The largest output cap present, per answer; `None` where the caller set none.
    pub output_cap: Option<u64>,
    /// How many answers (`n`, `best_of`); 1 where the caller says nothing.
    pub answers: u64,
    /// An upper bound of the input tokens.
    pub input_bound: u64,
    /// Whether the body can write to the provider's prompt cache (`cache_control`).
    pub may_write_cache: bool,
}

/// What the gateway changes in a body before it goes upstream; everything else stays byte for byte.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Edits {
    /// Set the output cap to this, because the caller set none.
    pub output_cap: Option<NonZeroU32>,
    /// Ask for usage in the stream.
    pub include_usage: bool,
}

/// The body is not a call.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct InvalidBody {
    /// The field at fault, if it is one field.
    pub field: Option<String>,
    /// What is wrong and what to do.
    pub message: String,
}

/// Reads the facts of a call from its body.
pub fn read(endpoint: Endpoint, body: &[u8]) -> Result<CallFacts, InvalidBody> {
    let _ = (endpoint, body);
    todo!()
}

/// The body with the edits made, every other byte as it was.
pub fn apply_edits(body: &bytes::Bytes, endpoint: Endpoint, edits: Edits) -> bytes::Bytes {
    let _ = (endpoint, edits);
    body.clone()
}
