//! Reading an answer while it passes.

use super::{
    Usage, anthropic,
    figure::{Absurd, Input, Output, Reported},
    openai,
};
use crate::domain::{
    dialect::{Dialect, Endpoint},
    json::{JsonError, Kind, Reader},
    request::CallFacts,
    sse::Event,
    tokens,
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

/// Reads a provider's answer for what it used, while it passes: one pass over each event, and no
/// more memory than figures and the model's name.
///
/// ```
/// # use tollgate::domain::{dialect::Endpoint, usage::{Meter, Seen, Usage}};
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
    endpoint: Endpoint,
    reported: Reported,
    anthropic: anthropic::Figures,
    delivered: Delivered,
    model: Option<String>,
    finished: bool,
    absurd: bool,
}

/// What has gone by, in bytes of text.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Delivered {
    text: u64,
    reasoning: u64,
    /// At least one part of an answer, even if it had no text.
    pub(super) anything: bool,
}

impl Delivered {
    pub(super) fn add_text(&mut self, bytes: u64) {
        self.text = self.text.saturating_add(bytes);
    }

    pub(super) fn add_reasoning(&mut self, bytes: u64) {
        self.reasoning = self.reasoning.saturating_add(bytes);
    }
}

const MODEL_BYTES_MAX: usize = 256;

impl Meter {
    /// For an answer of this endpoint.
    pub fn new(endpoint: Endpoint) -> Self {
        Self {
            endpoint,
            reported: Reported::default(),
            anthropic: anthropic::Figures::default(),
            delivered: Delivered::default(),
            model: None,
            finished: false,
            absurd: false,
        }
    }

    /// Reads one event of a stream. An object that can't be read is [`Seen::Other`] and counts as text.
    pub fn read_event(&mut self, event: &Event) -> Seen {
        let Some(data) = event.data() else { return Seen::Other };
        let data = data.trim_ascii();
        if data == b"[DONE]" {
            self.finished = true;
            return Seen::Terminal;
        }
        match self.read_json(data) {
            _ if event.name() == "error" => Seen::Error,
            Ok(seen) => seen,
            Err(_) => {
                // Else it is a keep-alive of some kind.
                if data.starts_with(b"{") {
                    self.count_unreadable(data);
                }
                Seen::Other
            }
        }
    }

    /// Reads a whole JSON answer. What can't be read is [`Seen::Other`] and counts as text.
    pub fn read_document(&mut self, document: &[u8]) -> Seen {
        let Ok(seen) = self.read_json(document) else {
            self.count_unreadable(document);
            return Seen::Other;
        };
        self.finished |= seen == Seen::Content;
        seen
    }

    /// The provider's own figures, up to where it has come; `None` where they are missing, are not
    /// for the whole of the answer, are all zero, or can't be.
    ///
    /// While a stream is not [`finished`](Self::finished) more may be to come.
    pub fn usage(&self) -> Option<Usage> {
        let Reported { input: Some(input), output: Some(output), output_is_current: true } =
            self.reported
        else {
            return None;
        };
        let usage = usage_of(input, output);
        let silent =
            usage.output_total() == 0 && self.delivered.text.max(self.delivered.reasoning) > 0;
        (!self.absurd && !silent).then_some(usage)
    }

    /// The provider reported figures that can't be: negative, fractions, beyond all reason, or parts
    /// larger than their whole.
    pub const fn absurd(&self) -> bool {
        self.absurd
    }

    /// What was used, where [`usage`](Self::usage) is missing: the input as reported, or as counted
    /// in the request; the output by the text delivered, and not less than was reported. Never
    /// nothing; and never no output where any part of an answer was delivered.
    pub fn estimate(&self, facts: &CallFacts) -> Usage {
        let reported = if self.absurd { Reported::default() } else { self.reported };
        let input = reported
            .input
            .unwrap_or(Input { plain: facts.input_estimate.max(1), ..Input::default() });
        let output = reported.output.unwrap_or_default();
        let mut usage = usage_of(input, output);
        if self.endpoint != Endpoint::Embeddings {
            usage.output = usage.output.max(tokens::count(self.delivered.text));
            usage.reasoning = usage.reasoning.max(tokens::count(self.delivered.reasoning));
            if self.delivered.anything && usage.output_total() == 0 {
                usage.output = 1;
            }
        }
        usage
    }

    /// The model that answered, as the provider reports it.
    pub fn answered_by(&self) -> Option<&str> {
        self.model.as_deref()
    }

    /// Whether the answer came to its own end: a reason why it stopped, or the provider's last word.
    pub const fn finished(&self) -> bool {
        self.finished
    }

    fn read_json(&mut self, json: &[u8]) -> Result<Seen, JsonError> {
        match self.endpoint.dialect() {
            Dialect::OpenAi => openai::read(self, json),
            Dialect::Anthropic => anthropic::read(self, json),
        }
    }

    fn count_unreadable(&mut self, data: &[u8]) {
        self.delivered.anything = true;
        self.delivered.add_text(u64::try_from(data.len()).unwrap_or(u64::MAX));
    }

    pub(super) const fn endpoint(&self) -> Endpoint {
        self.endpoint
    }

    pub(super) const fn anthropic(&mut self) -> &mut anthropic::Figures {
        &mut self.anthropic
    }

    pub(super) const fn delivered(&mut self) -> &mut Delivered {
        &mut self.delivered
    }

    pub(super) const fn finish(&mut self) {
        self.finished = true;
    }

    /// Takes what the provider has said now; the last word stands.
    pub(super) fn report(&mut self, reported: Result<Reported, Absurd>) {
        match reported {
            Ok(reported) => {
                let output_is_current =
                    reported.output_is_current || self.reported.output_is_current;
                self.reported = Reported { output_is_current, ..reported };
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
