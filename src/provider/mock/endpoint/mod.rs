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
    /// Reads the fields that only this endpoint has, and refuses values that its vendor would refuse.
    pub(super) read: fn(&Value, &mut Ask) -> Result<(), BadField>,
    /// The texts whose words an answer repeats.
    pub(super) said: fn(&Value) -> Vec<&str>,
    /// Which usage a stream reports by default.
    pub(super) reported: Reported,
    /// Makes the answer that is not streamed.
    pub(super) whole: fn(&Plan) -> Value,
    /// Makes the streamed answer; `None` if the endpoint cannot stream.
    pub(super) stream: Option<Events>,
}

/// A streamed answer, as the text of its events.
#[derive(Clone, Copy, Debug)]
pub(super) struct Events {
    /// The events before the first content.
    pub(super) opening: fn(&Plan) -> String,
    /// The events of chunk number n, counted from 0.
    pub(super) content: fn(&Plan, usize) -> String,
    /// The events after the last content.
    pub(super) closing: fn(&Plan) -> String,
}

impl Answers {
    /// The answers of this endpoint.
    pub(super) const fn of(endpoint: Endpoint) -> &'static Self {
        match endpoint {
            Endpoint::ChatCompletions => &chat_completions::ANSWERS,
            Endpoint::Completions => &completions::ANSWERS,
            Endpoint::Embeddings => &embeddings::ANSWERS,
            Endpoint::Messages => &messages::ANSWERS,
        }
    }
}
