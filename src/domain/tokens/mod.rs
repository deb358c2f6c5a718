//! How many tokens an input can be at the most, and how many it probably is.
//!
//! **Which tokenizer.** The model's name decides, when the body is read ([`Tokenizer::of_model`]):
//! the price book is not known there, and a name means the same wherever it is sold. `OpenAI` publishes
//! which of its models use `cl100k_base` and `o200k_base`, and both tables. Everybody else's models,
//! Anthropic's above all, count by tables that are not public or not known here.
//!
//! **Bound of a text, table known.** The count itself, by the table ([`Counter`]). Counting costs some
//! nanoseconds a byte, but much more for text that is made for it: a word of a million letters, a
//! new script with each character. So a text is cut where the tokenizer itself always cuts
//! (`segments`), and a stretch that would be dear is not counted but bounded by its bytes. A body has
//! a fixed allowance of dear text; ordinary text never uses it up.
//!
//! **Bound of a text, table not known.** Its bytes: a tokenizer that works on bytes, or falls back on
//! them, makes at most one token of each. Some normalize the text first (NFKC), which makes some
//! characters longer: those count by what they become (`normalized`).
//!
//! **Around the text.** A chat format puts a few tokens around a message, and vendors add
//! instructions of their own for tools or structured answers. The constants here are at or above what
//! the vendors document. What is not plain text of a message (tools, calls of tools, schemas, fields
//! nobody here knows) is bounded as the JSON that it is: each string and key by its text and three tokens
//! for quotes and what follows them; a vendor's own rendering of it has less around it.
//!
//! **Estimate.** Where a provider reports no usage: the count, where the table is known; else one
//! token for every four bytes, rounded up: close for English, code and, with three bytes a character,
//! for Chinese or Japanese.
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

/// One token for every four bytes, rounded up: 0 for nothing, and for nothing else.
pub const fn count(text_bytes: u64) -> u64 {
    text_bytes.div_ceil(4)
}

/// What a chat format and a default system prompt add to any call.
pub const CALL_TOKENS_MAX: u64 = 64;

/// What a vendor's own instructions for tools or structured answers add to a call (documented: up to 530).
pub const TOOLS_TOKENS_MAX: u64 = 1024;

/// What a tool that the vendor describes and the client runs adds (documented: up to 735).
pub const CLIENT_TOOL_TOKENS_MAX: u64 = 1024;

/// What `OpenAI`'s chat format adds to a call (documented: 3).
pub const CHAT_CALL_TOKENS_MAX: u64 = 8;

/// What `OpenAI`'s chat format puts around a message (documented: 3, for the first models 4).
pub const CHAT_MESSAGE_TOKENS_MAX: u64 = 4;

/// What `OpenAI`'s rendering adds to the tools or the schema of a chat call, and a system message where
/// there is none (documented: 12, and 4).
pub const CHAT_TOOLS_TOKENS_MAX: u64 = 48;

/// What an image counts for in an estimate, unless its bound is lower: about a megapixel.
pub const IMAGE_TOKENS_ESTIMATE: u64 = 1_400;

/// Reads the tables that text is counted by, in the background: without it, the first text does, and
/// waits (a few hundred milliseconds, once in a process). They take some 35 MB, and each thread that counts
/// keeps about 1 MB of what it met last.
pub fn prepare() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let load = || {
            for tokenizer in [Tokenizer::O200k, Tokenizer::Cl100k] {
                let _table = tokenizer.table();
            }
        };
        // Where no thread can be had, the first text reads them.
        drop(std::thread::Builder::new().name("token tables".into()).spawn(load));
    });
}

/// Whether all tables have been read: counting does not wait for any.
pub fn are_ready() -> bool {
    Tokenizer::O200k.is_ready() && Tokenizer::Cl100k.is_ready()
}
