//! The description of an endpoint.

use std::num::NonZeroU32;

use crate::domain::dialect::Dialect;

/// The version that every path begins with. An upstream's base URL has it already.
const VERSION: &str = "/v1";

/// Everything that differs between endpoints.
#[derive(Debug)]
pub struct Spec {
    /// The endpoint's path in the ready-made server: `/v1/…`.
    pub path: &'static str,
    /// The word used in logs, metrics and SQL.
    pub word: &'static str,
    /// The vendor's dialect. It decides how errors, rate-limit headers and usage are written and read.
    pub dialect: Dialect,
    /// The field of the body that has the prompt.
    pub prompt: Prompt,
    /// How the tokens of the body are bounded.
    pub input: Input,
    /// The output of the endpoint; `None` if its answers have no output tokens.
    pub output: Option<Output>,
    /// The tools that a body may name.
    pub tools: Tools,
    /// Whether a call can write to the provider's prompt cache.
    pub cache_writes: CacheWrites,
    /// The fields of a body that are known, each with what is done with it. All others are refused by name, unless an
    /// operator allows them for an upstream, or `domain/request/refused.rs` has a reason to refuse them everywhere.
    pub fields: &'static [(&'static str, Field)],
}

impl Spec {
    /// The path without its version: what follows an upstream's base URL.
    pub const fn path_below_version(&self) -> &'static str {
        self.path.split_at(VERSION.len()).1
    }

    /// What is done with the field `name`; `None` if it is not known.
    pub fn field(&self, name: &str) -> Option<Field> {
        self.fields.iter().find(|(field, _)| *field == name).map(|(_, field)| *field)
    }
}

/// What is done with a field of a body. A field belongs here if it cannot raise the bill above the bound of the call, or
/// if what it costs is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// The model.
    Model,
    /// Whether the answer is streamed.
    Stream,
    /// What a stream reports.
    StreamOptions,
    /// Caps the output of each answer. If a body has several caps, the largest counts.
    Cap,
    /// A cap of another endpoint. The provider would ignore it, and the hold would be far too small.
    NoCap,
    /// How many answers are returned.
    Answers,
    /// How many answers are generated.
    BestOf,
    /// The prompt, in the form that [`Prompt`] says.
    Prompt,
    /// The text that the model gets with each prompt.
    Suffix,
    /// Whether each answer begins with its prompt.
    Echo,
    /// Instructions beside the conversation.
    System,
    /// The tools that the model may call.
    Tools,
    /// Describes tools or the form of the answer: the vendor renders it for the model.
    Description,
    /// An answer that is partly known. Its tokens that are not part of the answer are billed as output.
    Prediction,
    /// How much the model may think, which may be more than the cap.
    Thinking,
    /// What the provider removes from the prompt before it answers.
    ContextEdits,
    /// An object that has no other keys than these.
    Object(&'static [&'static str]),
    /// Steers the answer, and is not part of the prompt.
    Setting,
    /// The model may get it: it counts as its JSON text.
    Counted,
    /// The forms of the answer, of which only text has a price.
    Modalities,
    /// Refused unless it has one of these values, which do not change the price.
    OneOf(&'static [&'static str]),
    /// Refused unless it is empty (`null`, `false`, an empty list); the text says why and what to do instead.
    Refused(&'static str),
}

/// The field of a body that has the prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prompt {
    /// `messages`: a conversation.
    Messages,
    /// `input`: texts or tokens.
    Inputs,
    /// `prompt`: texts or tokens. Each text and each list of tokens is a prompt of its own. The model gets `suffix`
    /// with each prompt, and with `echo` each answer begins with its prompt.
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
    /// Whether the tokenizer may be looked up by the model's name
    /// ([`Tokenizer::of_model`](crate::domain::tokens::Tokenizer::of_model)). Without a tokenizer, the bound of a text
    /// is its bytes.
    pub tokenizer_of_model: bool,
    /// Whether messages are formatted in `OpenAI`'s chat format, whose tokens are documented. Only used if the
    /// tokenizer is known.
    pub chat_format: bool,
    /// The most tokens that the provider adds to a prompt, if the tokenizer is known.
    pub added_tokens_max: u64,
    /// The most tokens that the provider adds to a prompt, if the tokenizer is not known.
    pub added_tokens_max_unknown: u64,
}

/// The output of an endpoint.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    /// The field in which the gateway sends its own cap.
    pub cap_sent: &'static str,
    /// The field that compatible servers read, if it is another one. Some of them overlook the vendor's newer field, or
    /// refuse it.
    pub cap_compatible: Option<&'static str>,
    /// The cap that the vendor documents for a body without one. The gateway sends it, because compatible servers have
    /// other defaults. `None` if the vendor documents none.
    pub cap_default: Option<NonZeroU32>,
    /// How many answers are generated.
    pub candidates: Candidates,
    /// Whether a stream reports usage only if `stream_options.include_usage` asks for it.
    pub usage_on_request: bool,
    /// The service tier that has the price of the price book, where a body without a tier may get another: at the vendor
    /// itself, the settings of our account decide.
    pub standard_tier: Option<&'static str>,
}

/// How many answers are generated for one prompt.
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
    /// Prefixes of the types of tools that the vendor describes and the client runs.
    pub run_by_client: &'static [&'static str],
    /// Whether a tool may leave its type out; it then is one that the caller describes.
    pub type_optional: bool,
    /// The keys that a tool may have besides `type`. A server may read a hosted tool from another key.
    pub keys: &'static [&'static str],
}

impl Tools {
    /// No tools.
    pub const NONE: Self =
        Self { described: &[], run_by_client: &[], type_optional: false, keys: &[] };
}

/// Whether a call can write to the provider's prompt cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheWrites {
    /// Yes: providers cache without being asked to.
    Unasked,
    /// Only if the body has `cache_control`.
    Marked,
    /// Never.
    Never,
}
