//! `POST /v1/completions`: `OpenAI`'s older text completion, which vLLM, `LiteLLM` and many other servers serve.
//!
//! A body has one prompt or a list of prompts; each prompt gets its own answers. `OpenAI` documents what is billed at
//! most: the tokens of the prompts, and `max_tokens` times the larger of `n` and `best_of` for each prompt. With `echo`
//! an answer begins with its prompt, which is not output. With `best_of` more answers are generated than are returned.
//!
//! A cap of 0 is refused, as at every endpoint. With such a cap `OpenAI` writes nothing, but other servers write one
//! token, or go on to the end of their context.

#[cfg(test)]
mod tests;

use std::num::NonZeroU32;

use super::{CacheWrites, Candidates, Field, Input, Output, Prompt, Spec, Tools};
use crate::domain::{dialect::Dialect, tokens};

pub(super) static SPEC: Spec = Spec {
    path: "/v1/completions",
    word: "completions",
    dialect: Dialect::OpenAi,
    prompt: Prompt::Prompts,
    input: Input {
        tokenizer_of_model: true,
        chat_format: false,
        // Another gateway behind this one may turn each prompt into a message of a chat.
        added_tokens_max: tokens::CHAT_CALL_TOKENS_MAX + tokens::CHAT_MESSAGE_TOKENS_MAX,
        added_tokens_max_unknown: tokens::CALL_TOKENS_MAX,
    },
    output: Some(Output {
        cap_sent: "max_tokens",
        cap_compatible: None,
        // Documented by OpenAI.
        cap_default: NonZeroU32::new(16),
        candidates: Candidates::Larger,
        usage_on_request: true,
        standard_tier: None,
    }),
    tools: Tools::NONE,
    // As for chats, servers cache the beginnings of prompts.
    cache_writes: CacheWrites::Unasked,
    fields: &[
        ("model", Field::Model),
        ("stream", Field::Stream),
        ("stream_options", Field::StreamOptions),
        ("prompt", Field::Prompt),
        ("suffix", Field::Suffix),
        ("echo", Field::Echo),
        ("max_tokens", Field::Cap),
        ("max_completion_tokens", Field::NoCap),
        ("max_output_tokens", Field::NoCap),
        ("n", Field::Answers),
        ("best_of", Field::BestOf),
        ("service_tier", Field::OneOf(&["auto", "default", "standard_only"])),
        ("frequency_penalty", Field::Setting),
        ("logit_bias", Field::Setting),
        ("logprobs", Field::Setting),
        ("min_p", Field::Setting),
        ("presence_penalty", Field::Setting),
        ("repetition_penalty", Field::Setting),
        ("seed", Field::Setting),
        ("stop", Field::Setting),
        ("temperature", Field::Setting),
        ("top_k", Field::Setting),
        ("top_p", Field::Setting),
        ("user", Field::Setting),
        (
            "prompt_embeds",
            Field::Refused(
                "how many tokens and prompts it stands for is not known: send text or tokens in prompt",
            ),
        ),
    ],
};
