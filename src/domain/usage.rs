//! What a call used, in disjoint classes of tokens, whatever words the provider used for them.

use serde::{Deserialize, Serialize};

/// Tokens of one call in disjoint classes: no token is counted in two of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Input tokens that were neither read from nor written to the provider's cache.
    pub input: u64,
    /// Input tokens read from the provider's cache.
    pub cached_read: u64,
    /// Input tokens written to the provider's five-minute cache.
    pub cache_write_5m: u64,
    /// Input tokens written to the provider's one-hour cache.
    pub cache_write_1h: u64,
    /// Output tokens, without reasoning.
    pub output: u64,
    /// Reasoning ("thinking") tokens.
    pub reasoning: u64,
}

impl Usage {
    /// All input tokens: what decides the price tier.
    pub const fn input_total(&self) -> u64 {
        self.input
            .saturating_add(self.cached_read)
            .saturating_add(self.cache_write_5m)
            .saturating_add(self.cache_write_1h)
    }

    /// All output tokens.
    pub const fn output_total(&self) -> u64 {
        self.output.saturating_add(self.reasoning)
    }

    /// All tokens: what rates and budgets count.
    pub const fn total(&self) -> u64 {
        self.input_total().saturating_add(self.output_total())
    }
}

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

/// Reads a provider's answer for what it used, while it passes.
#[derive(Debug)]
pub struct Meter {
    endpoint: super::dialect::Endpoint,
}

impl Meter {
    /// For an answer of this endpoint.
    pub fn new(endpoint: super::dialect::Endpoint) -> Self {
        Self { endpoint }
    }

    /// Reads one event of a stream.
    pub fn read_event(&mut self, _event: &super::sse::Event) -> Seen {
        Seen::Other
    }

    /// Reads a whole JSON answer.
    pub fn read_document(&mut self, _document: &[u8]) {}

    /// The provider's own figures, if they are complete and plausible.
    pub fn usage(&self) -> Option<Usage> {
        None
    }

    /// The provider reported figures that can't be: negative, broken, or parts above their whole.
    pub fn absurd(&self) -> bool {
        false
    }

    /// What was used, where [`usage`](Self::usage) is missing.
    pub fn estimate(&self, facts: &super::request::CallFacts) -> Usage {
        Usage { input: facts.input_bound, output: 1, ..Usage::default() }
    }

    /// The model that answered, as the provider reports it.
    pub fn answered_by(&self) -> Option<&str> {
        None
    }

    /// Whether the answer came to its own end.
    pub fn finished(&self) -> bool {
        let _ = self.endpoint;
        false
    }
}
