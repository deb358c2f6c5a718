//! What has to be said about an endpoint.

use std::num::NonZeroU32;

use crate::domain::dialect::Dialect;

/// The version that every path begins with. An upstream's base URL has it already.
const VERSION: &str = "/v1";

/// Everything that is particular about an endpoint.
#[derive(Debug)]
pub struct Spec {
    /// The path that the ready-made server serves it at: `/v1/…`.
    pub path: &'static str,
    /// The word used in logs, metrics and SQL.
    pub word: &'static str,
    /// Whose shapes it speaks. Decides how errors, rate-limit headers and usage are written and read.
    pub dialect: Dialect,
    /// Where the body says what is asked.
    pub prompt: Prompt,
    /// How the tokens of the body are bounded.
    pub input: Input,
    /// What it writes; `None` where an answer has no output tokens.
    pub output: Option<Output>,
    /// The tools that a body may name.
    pub tools: Tools,
    /// Whether a call can write to the provider's prompt cache.
    pub cache_writes: CacheWrites,
    /// Fields that are refused here, unless they say nothing, with what to do instead. The fields that every
    /// endpoint refuses are listed in `domain/request/refused.rs`.
    pub refused: &'static [(&'static str, &'static str)],
}

impl Spec {
    /// The path without its version: what follows an upstream's base URL.
    pub const fn path_below_version(&self) -> &'static str {
        self.path.split_at(VERSION.len()).1
    }
}

/// Where a body says what is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prompt {
    /// `messages`: a conversation.
    Messages,
    /// `input`: texts or tokens.
    Inputs,
    /// `prompt`: texts or tokens, each text and each list of tokens answered by itself. `suffix` is told to the model
    /// with each of them, and `echo` repeats each of them in its answers.
    Prompts,
}

impl Prompt {
    /// The name of the field.
    pub const fn field(self) -> &'static str {
        match self {
            Self::Messages => "messages",
            Self::Inputs => "input",
            Self::Prompts => "prompt",
        }
    }
}

/// How the tokens of a body are bounded.
#[derive(Clone, Copy, Debug)]
pub struct Input {
    /// Whether a model's name may tell its tokenizer
    /// ([`Tokenizer::of_model`](crate::domain::tokens::Tokenizer::of_model)). Without a tokenizer, texts are bounded
    /// by their bytes.
    pub tokenizer_of_model: bool,
    /// Whether messages are written out in `OpenAI`'s chat format, whose tokens are documented. Only used where the
    /// tokenizer is known.
    pub chat_format: bool,
    /// What the provider adds to a prompt, at the most, where the tokenizer is known.
    pub added_tokens_max: u64,
    /// What the provider adds to a prompt, at the most, where the tokenizer is not known.
    pub added_tokens_max_unknown: u64,
}

/// What an endpoint writes.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    /// The fields that cap the output of one answer. Of several the largest counts. Other names of caps are refused:
    /// a provider overlooks them, so the hold would be for next to nothing.
    pub caps: &'static [&'static str],
    /// The field that a cap of the gateway's is sent in.
    pub cap_sent: &'static str,
    /// The cap that the vendor documents for a body without one. The gateway sends it, because compatible servers
    /// have other defaults. `None` where the vendor has no such default.
    pub cap_default: Option<NonZeroU32>,
    /// How many answers are written.
    pub candidates: Candidates,
    /// Whether a stream reports usage only if `stream_options.include_usage` asks for it.
    pub usage_on_request: bool,
}

/// How many answers are written to one prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Candidates {
    /// `n` times `best_of`, all of them returned.
    Product,
    /// The larger of `n` and `best_of`, of which `n` are returned.
    Larger,
}

/// The tools that a body may name. All others are run by the provider, at a price that is not in the price book.
#[derive(Clone, Copy, Debug)]
pub struct Tools {
    /// The types of tools that the caller describes.
    pub described: &'static [&'static str],
    /// Beginnings of types of tools that the vendor describes and the client runs.
    pub run_by_client: &'static [&'static str],
}

impl Tools {
    /// No tools.
    pub const NONE: Self = Self { described: &[], run_by_client: &[] };
}

/// Whether a call can write to the provider's prompt cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheWrites {
    /// Providers do so unasked.
    Unasked,
    /// Only where the body carries `cache_control`.
    Marked,
    /// Never.
    Never,
}
