//! Reading an answer while it passes.

use super::{
    Usage, anthropic,
    figure::{Input, Output, Reported},
    openai,
    reading::{Reading, Seen},
};
use crate::domain::{
    dialect::Dialect, endpoint::Endpoint, json::JsonError, request::CallFacts, sse::Event, tokens,
};

/// The longest token in the tables that are known here: a run of spaces.
const TOKEN_BYTES_MAX: u64 = 128;

/// Reads a provider's answer for what it used, while it passes: one pass over each event, and no
/// more memory than figures and the model's name.
///
/// ```
/// # use tollgate::domain::{endpoint::Endpoint, usage::{Meter, Seen, Usage}};
/// let mut meter = Meter::new(Endpoint::ChatCompletions);
/// let seen = meter.read_document(
///     br#"{"model":"small-2","choices":[{"message":{"content":"Hi"},"finish_reason":"stop"}],
///         "usage":{"prompt_tokens":10,"prompt_tokens_details":{"cached_tokens":4},"completion_tokens":2}}"#,
/// );
/// assert_eq!(seen, Seen::Content);
/// assert_eq!(meter.usage(), Some(Usage { input: 6, cached_read: 4, output: 2, ..Usage::default() }));
/// assert_eq!(meter.answered_by(), Some("small-2"));
/// ```
#[derive(Debug)]
pub struct Meter {
    reading: Reading,
    anthropic: anthropic::Figures,
}

impl Meter {
    /// For an answer of this endpoint.
    pub fn new(endpoint: Endpoint) -> Self {
        Self { reading: Reading::new(endpoint), anthropic: anthropic::Figures::default() }
    }

    /// Reads one event of a stream. An object that can't be read is [`Seen::Other`] and counts as text.
    pub fn read_event(&mut self, event: &Event) -> Seen {
        let Some(data) = event.data() else { return Seen::Other };
        let data = data.trim_ascii();
        if data == b"[DONE]" {
            self.reading.finished = true;
            return Seen::Terminal;
        }
        match self.read_json(data) {
            _ if event.name() == "error" => Seen::Error,
            Ok(seen) => seen,
            Err(_) => {
                // Else it is a keep-alive of some kind.
                if data.starts_with(b"{") {
                    self.reading.count_unreadable(data);
                }
                Seen::Other
            }
        }
    }

    /// Reads a whole JSON answer. What can't be read is [`Seen::Other`] and counts as text.
    pub fn read_document(&mut self, document: &[u8]) -> Seen {
        let Ok(seen) = self.read_json(document) else {
            self.reading.count_unreadable(document);
            return Seen::Other;
        };
        self.reading.finished |= seen == Seen::Content;
        seen
    }

    /// The provider's own figures, up to where it has come; `None` where they are missing, are not
    /// for the whole of the answer, are all zero, or can't be.
    ///
    /// Tokens that only the total has are output: reasoning that some servers count there alone.
    /// While a stream is not [`finished`](Self::finished) more may be to come.
    pub fn usage(&self) -> Option<Usage> {
        let mut usage = self.usage_of_parts()?;
        usage.reasoning = usage.reasoning.saturating_add(self.reading.reported.beyond_parts);
        Some(usage)
    }

    /// As [`usage`](Self::usage), whatever the total says: for where the total cannot be.
    pub fn usage_of_parts(&self) -> Option<Usage> {
        let Reported { input: Some(input), output: Some(output), output_is_current: true, .. } =
            self.reading.reported
        else {
            return None;
        };
        let usage = usage_of(input, output);
        let silent = usage.output_total() == 0
            && self.reading.delivered.text.max(self.reading.delivered.reasoning) > 0;
        (!self.reading.absurd && !silent).then_some(usage)
    }

    /// The provider's last figures can't be, not one of them: negative, no numbers, or beyond all reason. And there
    /// were no earlier ones that can be.
    pub const fn absurd(&self) -> bool {
        self.reading.absurd && !self.reports()
    }

    /// Some figure contradicted the others, and was left out or cut to what can be.
    pub const fn corrected(&self) -> bool {
        self.reading.reported.corrected || self.reading.absurd
    }

    /// What was used, where [`usage`](Self::usage) is missing: the input as reported, or as counted
    /// in the request; the output by the text delivered, and not less than was reported. Never
    /// nothing; and never no output where any part of an answer was delivered.
    pub fn estimate(&self, facts: &CallFacts) -> Usage {
        self.estimate_from(self.reading.reported, facts)
    }

    /// Whether any part of an answer was delivered.
    pub const fn delivers(&self) -> bool {
        let delivered = &self.reading.delivered;
        delivered.anything || delivered.text > 0 || delivered.reasoning > 0
    }

    /// Whether the model has thought, as far as its answer shows.
    pub fn reasons(&self) -> bool {
        self.reading.delivered.reasoning > 0
            || self.reading.reported.output.is_some_and(|output| output.reasoning > 0)
    }

    /// Whether any figure has been reported.
    pub const fn reports(&self) -> bool {
        self.reading.reported.input.is_some() || self.reading.reported.output.is_some()
    }

    /// What was used, as far as it can be counted here: nothing that was reported is believed.
    pub fn count(&self, facts: &CallFacts) -> Usage {
        self.estimate_from(Reported::default(), facts)
    }

    fn estimate_from(&self, reported: Reported, facts: &CallFacts) -> Usage {
        let input = reported
            .input
            .unwrap_or(Input { plain: facts.input_estimate.max(1), ..Input::default() });
        let output = reported.output.unwrap_or_default();
        let mut usage = usage_of(input, output);
        if self.reading.endpoint.spec().output.is_some() {
            let text = self.reading.delivered.text.saturating_sub(facts.echoed_bytes);
            usage.output = usage.output.max(tokens::count(text));
            usage.reasoning = usage.reasoning.max(tokens::count(self.reading.delivered.reasoning));
            if self.reading.delivered.anything && usage.output_total() == 0 {
                usage.output = 1;
            }
        }
        usage
    }

    /// How many output tokens have certainly gone by, whatever the tokenizer: a part of a stream has at least
    /// one, four bytes seldom come to more than one, and no token is longer than 128 bytes.
    pub fn written_min(&self) -> u64 {
        let delivered = self.reading.delivered;
        let bytes = delivered.text.saturating_add(delivered.reasoning);
        delivered.pieces.min(tokens::count(bytes)).max(bytes / TOKEN_BYTES_MAX)
    }

    /// The model that answered, as the provider reports it.
    pub fn answered_by(&self) -> Option<&str> {
        self.reading.model.as_deref()
    }

    /// Whether the answer came to its own end: a reason why it stopped, or the provider's last word.
    pub const fn finished(&self) -> bool {
        self.reading.finished
    }

    fn read_json(&mut self, json: &[u8]) -> Result<Seen, JsonError> {
        match self.reading.endpoint.dialect() {
            Dialect::OpenAi => openai::read(&mut self.reading, json),
            Dialect::Anthropic => anthropic::read(&mut self.reading, &mut self.anthropic, json),
        }
    }
}

const fn usage_of(input: Input, output: Output) -> Usage {
    Usage {
        input: input.plain,
        cached_read: input.cached_read,
        cache_write_5m: input.cache_write_5m,
        cache_write_1h: input.cache_write_1h,
        output: output.plain,
        reasoning: output.reasoning,
    }
}
