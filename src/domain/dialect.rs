//! Which vendor's API a caller speaks.

use serde::{Deserialize, Serialize};

/// The vendor whose shapes of requests, responses and errors are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dialect {
    /// `OpenAI`'s.
    OpenAi,
    /// Anthropic's.
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
