//! Reads a call's body: the facts that decide about models, limits and money. Also makes the edits that the gateway
//! needs before the body goes upstream.
//!
//! The fields of each endpoint are in its [`Spec`](super::endpoint::Spec), each with what is done with it: what is
//! listed costs nothing, or has a bound. Any other field is refused by name, and so is a key that differs from a known
//! one by case only. An operator can allow further fields for an upstream ([`AllowedFields`]), whose costs are not
//! bounded. Fields that choose another model or account than the one that was checked can never be allowed. Each part
//! of a message must have a known type, and no other keys than those of its type. Parts whose tokens have no documented
//! bound (files, audio, video) are refused. Images have a bound, by model and
//! detail (see [`tokens`](super::tokens)).

mod allowed;
mod draft;
mod edits;
mod field;
#[cfg(test)]
mod fields_tests;
mod part;
mod prompt;
mod refused;
mod rules;
#[cfg(test)]
mod tests;

use std::num::NonZeroU32;

use super::{endpoint::Endpoint, json::JsonError};

pub use allowed::AllowedFields;
pub use draft::{read, read_with, waits};
pub use edits::apply_edits;

/// The facts of a call that the layers need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallFacts {
    /// The endpoint that is called.
    pub endpoint: Endpoint,
    /// The model the caller named.
    pub model: String,
    /// Whether a stream was asked for.
    pub stream: bool,
    /// Whether the caller asked for usage in the stream (`stream_options.include_usage`).
    pub wants_usage: bool,
    /// The largest output cap in the body, per answer; `None` if the caller set none.
    pub output_cap: Option<u64>,
    /// The most output tokens of each answer that the cap does not bound: a prediction's, and thinking above the cap.
    pub output_added: u64,
    /// How many answers are generated (`n`, `best_of`, for each prompt); 1 by default.
    pub answers: u64,
    /// How many of the answers are not returned (`best_of`). Their output cannot be counted from the delivered answer.
    pub hidden_answers: u64,
    /// The bytes of the prompts that are repeated in the answers (`echo`) and are not output. A prompt of token ids
    /// counts as four bytes for each token.
    pub echoed_bytes: u64,
    /// An upper bound of the input tokens.
    pub input_bound: u64,
    /// An estimate of the input tokens, for the settlement if the provider reports no usage.
    pub input_estimate: u64,
    /// Whether the call can write to the provider's prompt cache. Chat providers do so without being asked; on
    /// `/v1/messages` the body must have `cache_control`.
    pub may_write_cache: bool,
    /// The caller's output cap, if it is only in the vendor's newer field, which compatible servers may not read.
    pub newer_cap: Option<u64>,
}

/// The gateway's changes to a body before it goes upstream; every other byte stays as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Edits {
    /// Set the output cap to this, because the caller set none, or none that the provider reads.
    pub output_cap: Option<NonZeroU32>,
    /// Ask for usage in the stream.
    pub include_usage: bool,
    /// Set the output cap in the field that compatible servers read.
    pub compatible_cap: bool,
    /// The provider does not know `stream_options`: ask for no usage there.
    pub no_stream_options: bool,
    /// Ask for the service tier of this name, unless the caller names another than `auto`.
    pub standard_tier: Option<&'static str>,
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
