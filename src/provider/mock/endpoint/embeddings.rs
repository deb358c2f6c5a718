//! `POST /v1/embeddings`

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::Answers;
use crate::provider::mock::{
    ask::{Ask, BadField, Embed},
    openai,
    options::Reported,
    plan::Plan,
};

/// The most inputs of one request, and the most dimensions of a vector, as at the vendors.
const INPUTS_MAX: usize = 2048;
const DIMENSIONS_MAX: u64 = 4096;

pub(super) static ANSWERS: Answers =
    Answers { read, said: |_| Vec::new(), reported: Reported::Final, whole, stream: None };

fn read(body: &Value, ask: &mut Ask) -> Result<(), BadField> {
    let inputs = match body.get("input") {
        Some(Value::Array(list)) if list.iter().all(Value::is_number) => {
            vec![Value::from(list.clone()).to_string()]
        }
        Some(Value::Array(list)) => list.iter().map(Value::to_string).collect(),
        Some(one) => vec![one.to_string()],
        None => Vec::new(),
    };
    if inputs.is_empty() || inputs.len() > INPUTS_MAX {
        return Err(BadField("input", "must have 1 to 2048 elements"));
    }
    let dimensions = body.get("dimensions").and_then(Value::as_u64).unwrap_or(16);
    if !(1..=DIMENSIONS_MAX).contains(&dimensions) {
        return Err(BadField("dimensions", "must be from 1 to 4096"));
    }
    let dimensions = usize::try_from(dimensions).unwrap_or(usize::MAX);
    let base64 = match body.get("encoding_format").and_then(Value::as_str) {
        None | Some("float") => false,
        Some("base64") => true,
        Some(_) => return Err(BadField("encoding_format", "must be `float` or `base64`")),
    };
    ask.embed = Embed { inputs, dimensions, base64 };
    Ok(())
}

fn whole(plan: &Plan) -> Value {
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
        openai::set(
            &mut answer,
            "usage",
            json!({"prompt_tokens": plan.input, "total_tokens": plan.input}),
        );
    }
    answer
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
        // Sign and fraction come from the state, the exponent is fixed: this needs no float arithmetic.
        f32::from_bits((bits & 0x807f_ffff) | 0x3f00_0000)
    });
    let numbers = numbers.take(plan.ask.embed.dimensions);
    if plan.ask.embed.base64 {
        STANDARD.encode(numbers.flat_map(f32::to_le_bytes).collect::<Vec<u8>>()).into()
    } else {
        numbers.map(Value::from).collect()
    }
}
