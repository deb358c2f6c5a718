//! Anthropic, and compatible servers.

use http::HeaderName;
use serde_json::{Value, json};

use super::Kind;

pub(super) static KIND: Kind = Kind {
    has_version: |path| path.ends_with("/v1"),
    credential: (HeaderName::from_static("x-api-key"), ""),
    needs: &[("anthropic-version", "2023-06-01")],
    account_statuses: &[401, 402, 403, 407],
    error: |error| {
        if error.document.get("type").and_then(Value::as_str) != Some("error") {
            return None;
        }
        Some(json!({
            "type": "error",
            "error": {"type": error.kind, "message": error.message},
            "request_id": error.request_id,
        }))
    },
};
