//! How kinds of providers differ: one file for each kind. A new kind must fill in every part of [`Kind`].
//! `docs/adding.md` has the steps.

mod anthropic;
mod openai;

use http::HeaderName;

use crate::domain::dialect::Dialect;

/// Everything that differs between kinds of providers.
#[derive(Debug)]
pub(super) struct Kind {
    /// Whether the path of a base URL already has a version. If not, `/v1` is added.
    pub(super) has_version: fn(&str) -> bool,
    /// The header that carries the credential, and the prefix of its value.
    pub(super) credential: (HeaderName, &'static str),
    /// Request headers that the provider needs, each with the value that is sent if the caller sends none.
    pub(super) needs: &'static [(&'static str, &'static str)],
    /// The statuses by which the provider refuses our account, not the caller. The caller gets 502.
    pub(super) account_statuses: &'static [u16],
}

impl Kind {
    /// The kind that speaks this dialect and serves its endpoints. Each dialect has exactly one.
    pub(super) const fn of(dialect: Dialect) -> &'static Self {
        match dialect {
            Dialect::OpenAi => &openai::KIND,
            Dialect::Anthropic => &anthropic::KIND,
        }
    }
}
