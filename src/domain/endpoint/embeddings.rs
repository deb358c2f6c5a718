//! `POST /v1/embeddings`

use super::{CacheWrites, Field, Input, Prompt, Spec, Tools};
use crate::domain::{dialect::Dialect, tokens};

pub(super) static SPEC: Spec = Spec {
    path: "/v1/embeddings",
    word: "embeddings",
    dialect: Dialect::OpenAi,
    prompt: Prompt::Inputs,
    input: Input {
        tokenizer_of_model: true,
        chat_format: false,
        added_tokens_max: 1,
        added_tokens_max_unknown: tokens::CALL_TOKENS_MAX,
    },
    output: None,
    tools: Tools::NONE,
    cache_writes: CacheWrites::Never,
    fields: &[
        ("model", Field::Model),
        ("stream", Field::Stream),
        ("input", Field::Prompt),
        ("dimensions", Field::Setting),
        ("encoding_format", Field::Setting),
        ("user", Field::Setting),
    ],
};
