//! The plan of one answer, made before its first byte: figures, words and the beginnings of its chunks.

use super::{
    ask::Ask,
    options::{Malformed, Options, Reported},
};

/// Output tokens of an answer by default.
const OUTPUT_TOKENS_DEFAULT: u64 = 16;
/// Chunks of a stream by default.
const CHUNKS_DEFAULT: usize = 4;
/// The most words in an answer's text. The figures may report more.
const WORDS_MAX: u64 = 10_000;

/// One answer.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) ask: Ask,
    pub(super) options: Options,
    pub(super) id: String,
    /// All input tokens; the cached ones are a part of them.
    pub(super) input: u64,
    /// Output tokens of all answers; the reasoning is a part of them.
    pub(super) output: u64,
    pub(super) reasoning: u64,
    /// The output cap ended the answer.
    pub(super) capped: bool,
    pub(super) reported: Reported,
    words: u64,
}

/// The tokens used up to some point of an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Figures {
    pub(super) input: u64,
    pub(super) cached: u64,
    pub(super) cache_write: u64,
    pub(super) output: u64,
    pub(super) reasoning: u64,
}

impl Plan {
    pub(super) fn new(
        ask: Ask,
        options: Options,
        request_id: Option<&str>,
    ) -> Result<Self, Malformed> {
        let input = options.input_tokens.unwrap_or(ask.input_tokens);
        if options.cached_tokens.saturating_add(options.cache_write_tokens) > input {
            return Err(Malformed {
                header: "x-mock-cached-tokens".into(),
                expected: "no more than the input tokens",
            });
        }
        let wanted = match ask.endpoint.spec().output {
            None => 0,
            Some(_) => options.output_tokens.unwrap_or(OUTPUT_TOKENS_DEFAULT),
        };
        let cap = ask.output_cap.filter(|_| !options.endless);
        let each = cap.map_or(wanted, |cap| wanted.min(cap));
        let reasoning = options.reasoning_tokens.min(each);
        let reported = options.usage.unwrap_or(ask.reported);
        Ok(Self {
            id: request_id.unwrap_or("mock").to_owned(),
            input,
            output: each.saturating_mul(ask.written),
            reasoning: reasoning.saturating_mul(ask.written),
            capped: each < wanted,
            reported,
            words: each.saturating_sub(reasoning).min(WORDS_MAX),
            ask,
            options,
        })
    }

    pub(super) fn chunks(&self) -> usize {
        self.options.chunks.map_or(CHUNKS_DEFAULT, std::num::NonZeroUsize::get)
    }

    /// The whole text of one answer.
    pub(super) fn text(&self) -> String {
        self.words_between(0, self.words)
    }

    /// The text of chunk number `chunk`, counted from 0. All chunks together are [`text`](Self::text).
    pub(super) fn chunk_text(&self, chunk: usize) -> String {
        self.words_between(
            self.share(self.words, chunk),
            self.share(self.words, chunk.saturating_add(1)),
        )
    }

    /// The tokens used once `chunks` chunks of content have been sent.
    pub(super) fn figures_after(&self, chunks: usize) -> Figures {
        Figures {
            input: self.input,
            cached: self.options.cached_tokens,
            cache_write: self.options.cache_write_tokens,
            output: self.share(self.output, chunks),
            reasoning: self.share(self.reasoning, chunks),
        }
    }

    /// The tokens that the whole answer uses.
    pub(super) fn figures(&self) -> Figures {
        self.figures_after(self.chunks())
    }

    /// The part of `whole` that belongs to the first `chunks` chunks. In an endless stream it can exceed `whole`.
    fn share(&self, whole: u64, chunks: usize) -> u64 {
        let [done, all] =
            [chunks, self.chunks()].map(|count| u128::try_from(count).unwrap_or(u128::MAX));
        let done = if self.options.endless { done } else { done.min(all) };
        let part = u128::from(whole).saturating_mul(done).checked_div(all).unwrap_or(0);
        u64::try_from(part).unwrap_or(whole)
    }

    fn words_between(&self, from: u64, to: u64) -> String {
        let mut said = String::new();
        let cycle = u64::try_from(self.ask.echo.len()).unwrap_or(u64::MAX);
        for number in from..to {
            if number > 0 {
                said.push(' ');
            }
            let place = number.checked_rem(cycle).and_then(|place| usize::try_from(place).ok());
            said.push_str(
                place.and_then(|place| self.ask.echo.get(place)).map_or("mock", String::as_str),
            );
        }
        said
    }
}
