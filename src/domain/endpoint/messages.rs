//! `POST /v1/messages`

use super::{CacheWrites, Candidates, Field, Input, Output, Prompt, Spec, Tools};
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
        cap_sent: "max_tokens",
        cap_compatible: None,
        cap_default: None,
        candidates: Candidates::Product,
        // Its streams always report usage.
        usage_on_request: false,
        standard_tier: None,
    }),
    tools: Tools {
        described: &["custom"],
        // Only the tokens of their descriptions and of their calls are billed.
        run_by_client: &["bash_", "text_editor_", "computer_", "memory_", "browser_"],
        type_optional: true,
        keys: &[
            "allowed_callers",
            "cache_control",
            "configs",
            "defer_loading",
            "description",
            "display_height_px",
            "display_number",
            "display_width_px",
            "eager_input_streaming",
            "enable_zoom",
            "input_examples",
            "input_schema",
            "max_characters",
            "name",
            "strict",
        ],
    },
    cache_writes: CacheWrites::Marked,
    fields: &[
        ("model", Field::Model),
        ("stream", Field::Stream),
        ("messages", Field::Prompt),
        ("system", Field::System),
        ("max_tokens", Field::Cap),
        ("max_completion_tokens", Field::NoCap),
        ("max_output_tokens", Field::NoCap),
        ("tools", Field::Tools),
        ("tool_choice", Field::Counted),
        ("output_config", Field::Description),
        ("output_format", Field::Description),
        ("thinking", Field::Thinking),
        ("context_management", Field::ContextEdits),
        ("cache_control", Field::Counted),
        // `previous_message_id` names an answer of the account that organizations share. `null` is no name.
        ("diagnostics", Field::Object(&[])),
        ("service_tier", Field::OneOf(&["auto", "default", "standard_only"])),
        ("speed", Field::OneOf(&["standard"])),
        ("inference_geo", Field::OneOf(&["global"])),
        ("metadata", Field::Setting),
        ("stop_sequences", Field::Setting),
        ("temperature", Field::Setting),
        ("top_k", Field::Setting),
        ("top_p", Field::Setting),
    ],
};
