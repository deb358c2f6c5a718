//! What has been read of an answer so far, and how the readers of either dialect add to it.

use super::figure::{Absurd, Reported};
use crate::domain::{
    endpoint::Endpoint,
    json::{JsonError, Kind, Reader},
};

/// What an event of a stream is, as far as a gateway cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Part of the answer.
    Content,
    /// Usage and nothing else: the chunk that a caller sees only if it asked for it.
    Usage,
    /// The provider's last word: `[DONE]`, `message_stop`.
    Terminal,
    /// The provider says that it failed.
    Error,
    /// Anything else: pings, comments, events yet unknown.
    Other,
}

/// What has gone by, in bytes of text.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Delivered {
    pub(super) text: u64,
    pub(super) reasoning: u64,
    /// How many parts had any text.
    pub(super) pieces: u64,
    /// At least one part of an answer, even if it had no text.
    pub(super) anything: bool,
}

impl Delivered {
    pub(super) fn add_text(&mut self, bytes: u64) {
        self.text = self.text.saturating_add(bytes);
        self.pieces = self.pieces.saturating_add(bytes.min(1));
    }

    pub(super) fn add_reasoning(&mut self, bytes: u64) {
        self.reasoning = self.reasoning.saturating_add(bytes);
        self.pieces = self.pieces.saturating_add(bytes.min(1));
    }
}

/// What an answer has said so far.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) endpoint: Endpoint,
    pub(super) reported: Reported,
    pub(super) delivered: Delivered,
    pub(super) model: Option<String>,
    pub(super) finished: bool,
    pub(super) absurd: bool,
}

const MODEL_BYTES_MAX: usize = 256;

impl Reading {
    pub(super) fn new(endpoint: Endpoint) -> Self {
        Self {
            endpoint,
            reported: Reported::default(),
            delivered: Delivered::default(),
            model: None,
            finished: false,
            absurd: false,
        }
    }

    /// Counts what cannot be read as text.
    pub(super) fn count_unreadable(&mut self, data: &[u8]) {
        self.delivered.anything = true;
        self.delivered.add_text(u64::try_from(data.len()).unwrap_or(u64::MAX));
    }

    /// Takes what the provider has said now; the last word stands.
    pub(super) fn report(&mut self, reported: Result<Reported, Absurd>) {
        match reported {
            Ok(reported) => {
                let output_is_current =
                    reported.output_is_current || self.reported.output_is_current;
                self.reported = Reported { output_is_current, ..reported };
                // A good last word makes up for an earlier bad one.
                self.absurd = false;
            }
            Err(Absurd) => self.absurd = true,
        }
    }

    pub(super) fn read_model(&mut self, reader: &mut Reader<'_>) -> Result<(), JsonError> {
        if self.model.is_some() || reader.kind()? != Kind::String {
            return reader.skip();
        }
        let model = reader.string()?;
        if !model.is_empty() && model.len() <= MODEL_BYTES_MAX {
            self.model = Some(model.decoded().into_owned());
        }
        Ok(())
    }
}
