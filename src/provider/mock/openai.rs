//! Answers in the shapes of `OpenAI`.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::{
    CREATED,
    options::Reported,
    plan::{Figures, Plan},
};

/// The whole answer to `/v1/chat/completions`.
pub(super) fn completion(plan: &Plan) -> Value {
    let text = plan.text();
    let choices: Vec<Value> = (0..plan.ask.answers)
        .map(|index| {
            json!({
                "index": index,
                "message": {"role": "assistant", "content": text, "refusal": null, "annotations": []},
                "logprobs": null,
                "finish_reason": finish_reason(plan),
            })
        })
        .collect();
    let mut answer = json!({
        "id": id(plan),
        "object": "chat.completion",
        "created": CREATED,
        "model": plan.ask.model,
        "choices": choices,
        "service_tier": "default",
        "system_fingerprint": "fp_mock",
    });
    report(&mut answer, plan, plan.figures());
    answer
}

/// The events before the first content.
pub(super) fn opening(plan: &Plan) -> String {
    each_answer(
        plan,
        0,
        &json!({"role": "assistant", "content": "", "refusal": null}),
        &Value::Null,
    )
}

/// The events of chunk number `chunk`, counted from 0.
pub(super) fn content(plan: &Plan, chunk: usize) -> String {
    let delta = json!({"content": plan.chunk_text(chunk)});
    each_answer(plan, chunk.saturating_add(1), &delta, &Value::Null)
}

/// The events after the last content.
pub(super) fn closing(plan: &Plan) -> String {
    let mut events = each_answer(plan, plan.chunks(), &json!({}), &finish_reason(plan).into());
    if plan.ask.include_usage && plan.reported != Reported::None {
        let mut last = chunk_of(plan, &json!([]));
        set(&mut last, "usage", usage(plan.figures()));
        events.push_str(&event(&last));
    }
    events.push_str("data: [DONE]\n\n");
    events
}

/// The answer to `/v1/embeddings`.
pub(super) fn embeddings(plan: &Plan) -> Value {
    let vectors: Vec<Value> = plan
        .ask
        .embed
        .inputs
        .iter()
        .enumerate()
        .map(|(index, input)| json!({"object": "embedding", "index": index, "embedding": embedding(plan, input)}))
        .collect();
    let mut answer = json!({"object": "list", "data": vectors, "model": plan.ask.model});
    if plan.reported != Reported::None {
        set(&mut answer, "usage", json!({"prompt_tokens": plan.input, "total_tokens": plan.input}));
    }
    answer
}

/// The answer to `GET /v1/models`.
pub(super) fn models(names: &[String]) -> Value {
    json!({"object": "list", "data": names.iter().map(|name| model(name)).collect::<Vec<_>>()})
}

/// The answer to `GET /v1/models/{name}`.
pub(super) fn model(name: &str) -> Value {
    json!({"id": name, "object": "model", "created": CREATED, "owned_by": "mock"})
}

/// One event for each answer that was asked for; `done` chunks of content are out after it.
fn each_answer(plan: &Plan, done: usize, delta: &Value, finish_reason: &Value) -> String {
    let mut events = String::new();
    for index in 0..plan.ask.answers {
        let choice = json!({"index": index, "delta": delta, "logprobs": null, "finish_reason": finish_reason});
        let mut chunk = chunk_of(plan, &json!([choice]));
        if plan.ask.include_usage {
            let so_far = match plan.reported {
                Reported::Cumulative => usage(plan.figures_after(done)),
                Reported::None | Reported::Final => Value::Null,
            };
            set(&mut chunk, "usage", so_far);
        }
        events.push_str(&event(&chunk));
    }
    events
}

fn chunk_of(plan: &Plan, choices: &Value) -> Value {
    json!({
        "id": id(plan),
        "object": "chat.completion.chunk",
        "created": CREATED,
        "model": plan.ask.model,
        "service_tier": "default",
        "system_fingerprint": "fp_mock",
        "choices": choices,
    })
}

fn report(answer: &mut Value, plan: &Plan, figures: Figures) {
    if plan.reported != Reported::None {
        set(answer, "usage", usage(figures));
    }
}

fn usage(figures: Figures) -> Value {
    let mut input = json!({"cached_tokens": figures.cached, "audio_tokens": 0});
    if figures.cache_write > 0 {
        set(&mut input, "cache_write_tokens", figures.cache_write.into());
    }
    json!({
        "prompt_tokens": figures.input,
        "completion_tokens": figures.output,
        "total_tokens": figures.input.saturating_add(figures.output),
        "prompt_tokens_details": input,
        "completion_tokens_details": {
            "reasoning_tokens": figures.reasoning,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    })
}

/// A vector made from the input's bytes (FNV-1a, then xorshift): each number between ±0.5 and ±1.
fn embedding(plan: &Plan, input: &str) -> Value {
    let mut state = input.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |state, byte| {
        (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let numbers = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let [_, _, _, _, a, b, c, d] = state.to_be_bytes();
        let bits = u32::from_be_bytes([a, b, c, d]);
        // Sign and fraction from the state, the exponent fixed: no arithmetic on floats needed.
        f32::from_bits((bits & 0x807f_ffff) | 0x3f00_0000)
    });
    let numbers = numbers.take(plan.ask.embed.dimensions);
    if plan.ask.embed.base64 {
        STANDARD.encode(numbers.flat_map(f32::to_le_bytes).collect::<Vec<u8>>()).into()
    } else {
        numbers.map(Value::from).collect()
    }
}

fn event(document: &Value) -> String {
    format!("data: {document}\n\n")
}

fn set(document: &mut Value, name: &str, value: Value) {
    if let Value::Object(fields) = document {
        fields.insert(name.to_owned(), value);
    }
}

fn id(plan: &Plan) -> String {
    format!("chatcmpl-{}", plan.id)
}

const fn finish_reason(plan: &Plan) -> &'static str {
    if plan.capped { "length" } else { "stop" }
}
