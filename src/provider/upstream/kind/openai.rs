//! `OpenAI`, and compatible servers: Azure's `/openai/v1`, vLLM, Ollama, `LiteLLM`.

use http::header;

use super::Kind;

pub(super) static KIND: Kind = Kind {
    // Any path counts as a version: compatible servers have other ones, such as `/v1beta/openai` and `/api/v3`.
    has_version: |path| !path.is_empty(),
    credential: (header::AUTHORIZATION, "Bearer "),
    needs: &[],
    account_statuses: &[401, 402, 403, 407],
};
