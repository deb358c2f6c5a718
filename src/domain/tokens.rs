//! How many tokens an input can be at the most, and how many it probably is.
//!
//! **Bound.** A byte-pair tokenizer makes at most one token of each byte of UTF-8. The bound of an
//! input is therefore the length in bytes of its compact JSON, escapes decoded: strings and keys by
//! their bytes, numbers by their digits, and the quotes, commas and braces around them, which are
//! more than the handful of tokens that a chat format puts around a message. What a provider adds
//! of its own is in the constants here, each at or above the largest figure its vendor documents.
//!
//! **Estimate.** Where a provider reports no usage, text counts one token for every four bytes,
//! rounded up: close for English, code and, with three bytes a character, for Chinese or Japanese.

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

/// An image in a chat completion: 8 tiles at the dearest documented rate, 2,833 + 8 × 5,667 tokens.
pub const CHAT_IMAGE_TOKENS_MAX: u64 = 48_169;

/// An image in a message, at the highest documented resolution: 4,784 tokens.
pub const MESSAGES_IMAGE_TOKENS_MAX: u64 = 4_784;

/// What an image counts for in an estimate: about a megapixel.
pub const IMAGE_TOKENS_ESTIMATE: u64 = 1_400;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_text_counts_at_least_one_token_and_never_more_than_its_bytes() {
        assert_eq!(count(0), 0);
        for bytes in [1, 2, 3, 4, 5, 4096, u64::MAX] {
            assert!(count(bytes) >= 1 && count(bytes) <= bytes, "{bytes}");
        }
        assert_eq!((count(4), count(5)), (1, 2));
    }
}
