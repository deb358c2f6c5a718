//! Lists of models in Anthropic's shapes.

use serde_json::{Value, json};

/// The answer to `GET /v1/models`.
pub(super) fn models(names: &[String]) -> Value {
    json!({
        "data": names.iter().map(|name| model(name)).collect::<Vec<_>>(),
        "has_more": false,
        "first_id": names.first(),
        "last_id": names.last(),
    })
}

/// The answer to `GET /v1/models/{name}`.
pub(super) fn model(name: &str) -> Value {
    json!({"type": "model", "id": name, "display_name": name, "created_at": "2023-11-14T22:13:20Z"})
}
