//! `POST /v1/messages`

use super::{CacheWrites, Candidates, Input, Output, Prompt, Spec, Tools};
use crate::domain::{dialect::Dialect, tokens};

pub(super) static SPEC: Spec = Spec {
    path: "/v1/messages",
    word: "messages",
    dialect: Dialect::Anthropic,
    prompt: Prompt::Messages,
    input: Input {
        // No model of this dialect has a public tokenizer, so `added_tokens_max` is never used.
        tokenizer_of_model: false,
        chat_format: false,
        added_tokens_max: tokens::CALL_TOKENS_MAX,
        added_tokens_max_unknown: tokens::CALL_TOKENS_MAX,
    },
    output: Some(Output {
        caps: &["max_tokens"],
        cap_sent: "max_tokens",
        cap_default: None,
        candidates: Candidates::Product,
        // Its streams always report usage.
        usage_on_request: false,
    }),
    tools: Tools {
        described: &["custom"],
        // Only the tokens of their descriptions and of their calls are billed.
        run_by_client: &["bash_", "text_editor_", "computer_", "memory_"],
    },
    cache_writes: CacheWrites::Marked,
    refused: &[],
};
