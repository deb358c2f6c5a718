//! `POST /v1/chat/completions`

use super::{CacheWrites, Candidates, Input, Output, Prompt, Spec, Tools};
use crate::domain::{dialect::Dialect, tokens};

pub(super) static SPEC: Spec = Spec {
    path: "/v1/chat/completions",
    word: "chat_completions",
    dialect: Dialect::OpenAi,
    prompt: Prompt::Messages,
    input: Input {
        tokenizer_of_model: true,
        chat_format: true,
        added_tokens_max: tokens::CHAT_CALL_TOKENS_MAX,
        added_tokens_max_unknown: tokens::CALL_TOKENS_MAX,
    },
    output: Some(Output {
        // Both names are in use. The first is the older name, which compatible servers read.
        caps: &["max_tokens", "max_completion_tokens"],
        cap_sent: "max_completion_tokens",
        cap_default: None,
        candidates: Candidates::Product,
        usage_on_request: true,
    }),
    tools: Tools { described: &["function", "custom"], run_by_client: &[] },
    cache_writes: CacheWrites::Unasked,
    refused: &[],
};
