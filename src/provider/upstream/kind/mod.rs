//! What is particular about the provider behind an upstream: one file for each kind. A new kind must fill in every
//! part of [`Kind`]. `docs/adding.md` has the steps.

mod anthropic;
mod openai;

use http::HeaderName;
use serde_json::Value;

use crate::domain::dialect::Dialect;

/// Everything that is particular about a kind of provider.
#[derive(Debug)]
pub(super) struct Kind {
    /// Whether the path of a base URL has a version already. Where it has none, `/v1` is added.
    pub(super) has_version: fn(&str) -> bool,
    /// The header that carries the credential, and what stands before it.
    pub(super) credential: (HeaderName, &'static str),
    /// Request headers that it needs, with the value for a caller that sends none.
    pub(super) needs: &'static [(&'static str, &'static str)],
    /// The statuses by which it refuses our account and not the caller. The caller gets 502.
    pub(super) account_statuses: &'static [u16],
    /// Its error document, made anew from these words. `None` where the document is not one of this kind.
    pub(super) error: fn(&Error<'_>) -> Option<Value>,
}

/// The words of a provider's error document, those that name our account taken out.
pub(super) struct Error<'a> {
    /// All of it, as it came.
    pub(super) document: &'a Value,
    pub(super) message: &'a str,
    pub(super) kind: &'a Value,
    pub(super) code: &'a Value,
    pub(super) param: &'a Value,
    /// The request id that the caller knows.
    pub(super) request_id: &'a str,
}

impl Kind {
    /// The kind that speaks a dialect, and serves its endpoints: there is one for each.
    pub(super) const fn of(dialect: Dialect) -> &'static Self {
        match dialect {
            Dialect::OpenAi => &openai::KIND,
            Dialect::Anthropic => &anthropic::KIND,
        }
    }
}
