//! Reading a call's body: the facts that decide about models, limits and money, and the edits
//! that the gateway makes before the body goes upstream.
//!
//! Fields that nobody here knows pass through untouched. Refused, by name, are only those that would
//! break a promise: fields whose price is not in the price book (hosted tools, audio, other service
//! tiers), fields that choose another model or account than the one that was checked, and fields
//! that keep state in the provider's account, which organizations share. Parts of a prompt whose
//! tokens have no documented bound (files, audio, video) are refused too; images have one, by model and
//! detail (see [`tokens`](super::tokens)).

mod draft;
mod edits;
mod field;
mod prompt;
mod refused;
mod rules;
#[cfg(test)]
mod tests;

use std::num::NonZeroU32;

use super::{endpoint::Endpoint, json::JsonError};

pub use draft::{read, waits};
pub use edits::apply_edits;

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
    /// How many answers are written (`n`, `best_of`, for each prompt); 1 where the caller says nothing.
    pub answers: u64,
    /// How many of them are not returned (`best_of`): what is delivered does not show their output.
    pub hidden_answers: u64,
    /// The bytes of the prompt that come back in the answers (`echo`), which are no output. A prompt of tokens counts
    /// for four bytes a token.
    pub echoed_bytes: u64,
    /// An upper bound of the input tokens.
    pub input_bound: u64,
    /// What the input probably is, in tokens: for a settlement where the provider reports nothing.
    pub input_estimate: u64,
    /// Whether the call can write to the provider's prompt cache: chat providers do so unasked, a
    /// message must carry `cache_control`.
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

impl InvalidBody {
    #[cold]
    fn of(field: &str, message: impl Into<String>) -> Self {
        Self { field: Some(field.into()), message: message.into() }
    }
}

impl From<JsonError> for InvalidBody {
    #[cold]
    fn from(error: JsonError) -> Self {
        let message = format!("The request body can't be read: {error}.");
        match error {
            JsonError::DuplicateKey(key) => Self { field: Some(key), message },
            JsonError::NotUtf8
            | JsonError::Syntax { .. }
            | JsonError::Unexpected { .. }
            | JsonError::TooDeep => Self { field: None, message },
        }
    }
}
