//! How the mock answers each endpoint: one file for each. A new endpoint must fill in every part of [`Answers`].

mod chat_completions;
mod completions;
mod embeddings;
mod messages;

use serde_json::Value;

use super::{
    ask::{Ask, BadField},
    options::Reported,
    plan::Plan,
};
use crate::domain::endpoint::Endpoint;

/// How one endpoint is answered.
#[derive(Debug)]
pub(super) struct Answers {
    /// Reads what only this endpoint has, and refuses what its vendor would.
    pub(super) read: fn(&Value, &mut Ask) -> Result<(), BadField>,
    /// The texts whose words an answer says again.
    pub(super) said: fn(&Value) -> Vec<&str>,
    /// Which usage a stream reports by default.
    pub(super) reported: Reported,
    /// The answer that is not streamed.
    pub(super) whole: fn(&Plan) -> Value,
    /// The streamed answer; `None` where `stream` means nothing.
    pub(super) stream: Option<Events>,
}

/// A streamed answer, as the text of its events.
#[derive(Clone, Copy, Debug)]
pub(super) struct Events {
    /// Before the first content.
    pub(super) opening: fn(&Plan) -> String,
    /// Chunk number n, counted from 0.
    pub(super) content: fn(&Plan, usize) -> String,
    /// After the last content.
    pub(super) closing: fn(&Plan) -> String,
}

impl Answers {
    /// Those of this endpoint.
    pub(super) const fn of(endpoint: Endpoint) -> &'static Self {
        match endpoint {
            Endpoint::ChatCompletions => &chat_completions::ANSWERS,
            Endpoint::Completions => &completions::ANSWERS,
            Endpoint::Embeddings => &embeddings::ANSWERS,
            Endpoint::Messages => &messages::ANSWERS,
        }
    }
}
