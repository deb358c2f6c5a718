//! Turns the provider's answer, or its failure to answer, into the caller's answer.

use std::{sync::Arc, time::Duration};

use http::{HeaderValue, Response, StatusCode, header};
use serde_json::Value;

use super::{
    body::UpstreamBody, exchange::Exchange, failure::count_failure, headers::response_headers,
    kind::Kind, plain::Plain,
};
use crate::{
    body,
    call::is_event_stream,
    context::ServedBy,
    refusal::{Reason, Refusal, no_reason},
};

/// How many bytes of an error document are read, and how long that may take.
const ERROR_BYTES_MAX: usize = 64 << 10;
const ERROR_TIMEOUT: Duration = Duration::from_secs(10);

/// What a status of the provider means for the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// An answer.
    Answer,
    /// The caller's fault, or the provider's: the caller gets the status.
    Refused,
    /// A problem of our account: the caller gets 502.
    OurCredential,
    /// A status that no provider should send, such as a redirect.
    Unexpected,
}

pub(super) fn meaning(kind: &Kind, status: StatusCode) -> Meaning {
    match status.as_u16() {
        200..=299 => Meaning::Answer,
        // If these were passed on, callers would renew their token or try to pay a bill that is not theirs.
        status if kind.account_statuses.contains(&status) => Meaning::OurCredential,
        400..=599 => Meaning::Refused,
        _ => Meaning::Unexpected,
    }
}

impl Exchange {
    /// Passes on the provider's answer as it arrives.
    pub(super) async fn pass(&self, upstream: Response<Plain>) -> Response<UpstreamBody> {
        let (mut parts, body) = upstream.into_parts();
        if let Some(encoding) = parts.headers.remove(header::CONTENT_ENCODING) {
            tracing::warn!(
                provider = %self.provider,
                ?encoding,
                "the provider compressed its answer without being asked to, in a way that cannot be read here"
            );
        }
        let mut body = UpstreamBody::stream(body, self.clone());
        // Some servers send a stream under another content type, or without one. The vendors' clients read it all the
        // same, because they have asked for it.
        if self.streams() && !is_event_stream(&parts.headers) && body.begins_with_events().await {
            let events = HeaderValue::from_static("text/event-stream");
            parts.headers.insert(header::CONTENT_TYPE, events);
        }
        let mut answer = Response::new(body);
        *answer.status_mut() = parts.status;
        *answer.headers_mut() = response_headers(&parts.headers);
        self.signed(answer)
    }

    /// The provider's refusal, in the caller's dialect. Its message is the provider's if the body says a reason, else
    /// ours.
    pub(super) async fn refuse(&self, upstream: Response<Plain>) -> Response<UpstreamBody> {
        let (parts, body) = upstream.into_parts();
        let body = body::read(body, ERROR_BYTES_MAX, ERROR_TIMEOUT).await.unwrap_or_default();
        let status = parts.status;
        let id = Some(self.request_id.as_str());
        let document = match Reason::read(&body) {
            Some(reason) if reason.is_of_account() => {
                return self.fail(
                    &Refusal::ProviderFailed,
                    "account",
                    "the account has no credit left",
                );
            }
            Some(reason) => reason.document(self.dialect, status, id),
            None => no_reason(self.dialect, status, id),
        };
        tracing::debug!(provider = %self.provider, request_id = self.request_id, %status, "the provider refused");
        count_failure(
            &self.provider,
            if status.is_server_error() { "server_error" } else { "refused" },
        );
        let mut answer = self.document(status, &document);
        let mut headers = response_headers(&parts.headers);
        headers.remove(header::CONTENT_TYPE);
        answer.headers_mut().extend(headers);
        answer
    }

    /// The answer to a caller if the provider gave none that can be passed on.
    ///
    /// It is not marked as a layer's refusal, because the provider was tried: the call has failed.
    pub(super) fn fail(
        &self,
        refusal: &Refusal,
        reason: &'static str,
        detail: &str,
    ) -> Response<UpstreamBody> {
        tracing::warn!(
            provider = %self.provider,
            request_id = self.request_id,
            reason,
            detail,
            "no answer from the provider"
        );
        count_failure(&self.provider, reason);
        let document = refusal.document(self.dialect, Some(&self.request_id));
        self.document(refusal.status(), &document)
    }

    fn document(&self, status: StatusCode, document: &Value) -> Response<UpstreamBody> {
        self.signed(body::json(status, document.to_string()).map(UpstreamBody::full))
    }

    fn signed(&self, mut answer: Response<UpstreamBody>) -> Response<UpstreamBody> {
        answer.extensions_mut().insert(ServedBy(Arc::clone(&self.provider)));
        answer
    }
}
