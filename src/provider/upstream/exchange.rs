//! One request and its answer: what both need to know.

use std::{sync::Arc, time::Duration};

use super::failure::count_failure;
use crate::{
    context::{Call, Overdue},
    domain::{dialect::Dialect, endpoint::Endpoint},
};

/// Who answers a request, and how the caller expects the answer.
#[derive(Clone, Debug)]
pub(super) struct Exchange {
    pub(super) provider: Arc<str>,
    /// What the caller asks for; `None` for the list of models.
    pub(super) endpoint: Option<Endpoint>,
    /// The caller's dialect.
    pub(super) dialect: Dialect,
    pub(super) request_id: String,
    pub(super) idle_timeout: Duration,
    pub(super) call: Option<Call>,
}

impl Exchange {
    /// Whether the caller has asked for a stream.
    pub(super) fn streams(&self) -> bool {
        self.call.as_ref().is_some_and(|call| call.facts().stream)
    }

    /// The provider has taken too long. Returns whether its answer is waited for all the same, because the layer in front
    /// answers the client and wants the usage.
    pub(super) fn gives_up(&self, what: Overdue, reason: &'static str, detail: &str) -> bool {
        if !self.call.as_ref().is_some_and(|call| call.give_up(what)) {
            return false;
        }
        tracing::warn!(
            provider = %self.provider,
            request_id = self.request_id,
            reason,
            detail,
            "the provider takes too long: its answer is read on for its usage only"
        );
        count_failure(&self.provider, reason);
        true
    }
}
