//! Which vendor's words a caller speaks, and which endpoint it asked for.

use serde::{Deserialize, Serialize};

/// The vendor whose request, response and error shapes are spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dialect {
    /// `/v1/chat/completions`, `/v1/embeddings`, `/v1/models`.
    OpenAi,
    /// `/v1/messages`.
    Anthropic,
}

impl Dialect {
    /// The word used in logs, metrics and SQL.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Anthropic => "anthropic",
        }
    }
}

/// An endpoint that is a model call: it has a body, a model, and a price.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// `POST /v1/chat/completions`
    ChatCompletions,
    /// `POST /v1/embeddings`
    Embeddings,
    /// `POST /v1/messages`
    Messages,
}

impl Endpoint {
    /// The endpoint that a path names, whatever prefix the service mounts it under
    /// (`/v1/chat/completions`, `/openai/v1/chat/completions`, …).
    pub fn of_path(path: &str) -> Option<Self> {
        let path = path.strip_suffix('/').unwrap_or(path);
        if path.ends_with("/chat/completions") {
            Some(Self::ChatCompletions)
        } else if path.ends_with("/embeddings") {
            Some(Self::Embeddings)
        } else if path.ends_with("/messages") {
            Some(Self::Messages)
        } else {
            None
        }
    }

    /// The vendor whose shapes this endpoint speaks.
    pub const fn dialect(self) -> Dialect {
        match self {
            Self::ChatCompletions | Self::Embeddings => Dialect::OpenAi,
            Self::Messages => Dialect::Anthropic,
        }
    }

    /// The word used in logs, metrics and SQL.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ChatCompletions => "chat_completions",
            Self::Embeddings => "embeddings",
            Self::Messages => "messages",
        }
    }
}
