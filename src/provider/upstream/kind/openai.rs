//! `OpenAI`, and whatever is compatible with it: Azure's `/openai/v1`, vLLM, Ollama, `LiteLLM`.

use http::header;
use serde_json::json;

use super::Kind;

pub(super) static KIND: Kind = Kind {
    // Compatible servers have versions of their own: `/v1beta/openai`, `/api/v3`.
    has_version: |path| !path.is_empty(),
    credential: (header::AUTHORIZATION, "Bearer "),
    needs: &[],
    account_statuses: &[401, 402, 403, 407],
    error: |error| {
        Some(json!({"error": {
            "message": error.message,
            "type": error.kind,
            "param": error.param,
            "code": error.code,
        }}))
    },
};
