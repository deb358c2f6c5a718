//! An upper bound and an estimate of the tokens of an input.
//!
//! **Which tokenizer.** The model's name decides ([`Tokenizer::of_model`]), when the body is read. The price book is
//! not known there, and a name means the same model at every seller. `OpenAI` publishes the tables `cl100k_base` and
//! `o200k_base`, and which of its models use them. The tables of other vendors' models, such as Anthropic's, are not
//! public or not known here.
//!
//! **Bound of a text, table known.** The exact count by the table ([`Counter`]). Counting costs some nanoseconds a
//! byte, but much more for malicious text, such as a word of a million letters, or a new script with each character. So
//! a text is cut where the tokenizer itself always cuts (`segments`). A stretch that is expensive to count is bounded
//! by its bytes instead. A body has a fixed allowance of expensive text, which ordinary text never uses up.
//!
//! **Bound of a text, table not known.** Its bytes: a tokenizer that works on bytes, or falls back on them, makes at
//! most one token of each. Some tokenizers normalize the text first (NFKC), which makes some characters longer. These
//! characters count by their normalized bytes (`normalized`).
//!
//! **Around the text.** A chat format puts a few tokens around a message, and vendors add instructions of their own for
//! tools or structured answers. The constants here are at or above the documented numbers. Everything that is not plain
//! text of a message (tools, tool calls, schemas, unknown fields) is bounded as JSON: each string and key by its text,
//! plus three tokens for its quotes and separator. A vendor's own rendering has fewer tokens around the text.
//!
//! **Estimate.** For calls without reported usage: the count, if the table is known; else one token for every four
//! bytes, rounded up. This is close for English and code, and for Chinese or Japanese, with three bytes a character.
//!
//! ```
//! # use tollgate::domain::tokens::{Counter, Tokenizer};
//! let text = "How many tokens is this?";
//! let bound = |model| Counter::new(Tokenizer::of_model(model)).count(text).bound;
//! assert_eq!(bound("gpt-4o"), 6);
//! assert_eq!(bound("claude-sonnet-5"), 24);
//! ```

mod counter;
mod image;
mod model;
mod normalized;
mod segments;
#[cfg(test)]
mod tests;

pub(super) use counter::edges;
pub use counter::{Count, Counter};
pub use image::image_bound;
pub use model::Tokenizer;

/// One token for every four bytes, rounded up: 0 only for an empty text.
pub const fn count(text_bytes: u64) -> u64 {
    text_bytes.div_ceil(4)
}

/// The most tokens that a chat format and a default system prompt add to any call.
pub const CALL_TOKENS_MAX: u64 = 64;

/// The most tokens that a vendor's instructions for tools or structured answers add to a call (documented: up to 530).
pub const TOOLS_TOKENS_MAX: u64 = 1024;

/// The most tokens of a tool that the vendor describes and the client runs (documented: up to 735).
pub const CLIENT_TOOL_TOKENS_MAX: u64 = 1024;

/// The most tokens that `OpenAI`'s chat format adds to a call (documented: 3).
pub const CHAT_CALL_TOKENS_MAX: u64 = 8;

/// The most tokens that `OpenAI`'s chat format puts around a message (documented: 3, for the first models 4).
pub const CHAT_MESSAGE_TOKENS_MAX: u64 = 4;

/// The most tokens that `OpenAI`'s rendering adds for the tools or the schema of a chat call (documented: 12), with a
/// system message if there is none (documented: 4).
pub const CHAT_TOOLS_TOKENS_MAX: u64 = 48;

/// The tokens of an image in an estimate, unless its bound is lower: about those of a megapixel.
pub const IMAGE_TOKENS_ESTIMATE: u64 = 1_400;

/// Loads the token tables in the background. Otherwise the first text loads them and waits: a few hundred milliseconds,
/// once in a process. The tables take some 35 MB, and each thread that counts keeps a cache of about 1 MB.
pub fn prepare() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let load = || {
            for tokenizer in [Tokenizer::O200k, Tokenizer::Cl100k] {
                let _table = tokenizer.table();
            }
        };
        // If the thread cannot be started, the first text loads the tables.
        drop(std::thread::Builder::new().name("token tables".into()).spawn(load));
    });
}

/// Whether all tables have been loaded, so that counting does not wait.
pub fn are_ready() -> bool {
    Tokenizer::O200k.is_ready() && Tokenizer::Cl100k.is_ready()
}
