//! Turns the provider's answer, or its failure to answer, into the caller's answer.

use std::{sync::Arc, time::Duration};

use http::{Response, StatusCode, header};
use hyper::body::Incoming;
use serde_json::Value;

use super::{
    body::UpstreamBody,
    failure::count_failure,
    headers::response_headers,
    kind::{Error, Kind},
};
use crate::{
    body,
    context::ServedBy,
    domain::{dialect::Dialect, endpoint::Endpoint},
    refusal::{Refusal, error_document},
};

/// How many bytes of an error document are read, and how long that may take.
const ERROR_BYTES_MAX: usize = 64 << 10;
const ERROR_TIMEOUT: Duration = Duration::from_secs(10);
/// How many characters of a provider's own message are passed on.
const MESSAGE_CHARS_MAX: usize = 2000;
/// Prefixes of words that name our account at a provider.
const ACCOUNT_WORDS: [&str; 5] = ["org-", "proj_", "sk-", "acct_", "user-"];

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
}

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
    pub(super) fn pass(&self, upstream: Response<Incoming>) -> Response<UpstreamBody> {
        let (parts, body) = upstream.into_parts();
        if parts
            .headers
            .get(header::CONTENT_ENCODING)
            .is_some_and(|encoding| encoding != "identity")
        {
            tracing::warn!(
                provider = %self.provider,
                "the provider compressed its answer without being asked to: usage will be estimated"
            );
        }
        let body = UpstreamBody::stream(body, Arc::clone(&self.provider), self.idle_timeout);
        let mut answer = Response::new(body);
        *answer.status_mut() = parts.status;
        *answer.headers_mut() = response_headers(&parts.headers);
        self.signed(answer)
    }

    /// The provider's refusal, in the caller's dialect. Its message is the provider's if the body is an error document
    /// of that dialect, else ours.
    pub(super) async fn refuse(&self, upstream: Response<Incoming>) -> Response<UpstreamBody> {
        let (parts, body) = upstream.into_parts();
        let body = body::read(body, ERROR_BYTES_MAX, ERROR_TIMEOUT).await.unwrap_or_default();
        let status = parts.status;
        let document = match reworded(Kind::of(self.dialect), &body, &self.request_id) {
            Some(Reworded::Document(document)) => document,
            Some(Reworded::AccountEmpty) => {
                return self.fail(
                    &Refusal::ProviderFailed,
                    "account",
                    "the account has no credit left",
                );
            }
            None => {
                let message = "The provider refused or failed this call and gave no reason that can be passed on.";
                error_document(
                    self.dialect,
                    status,
                    "provider_error",
                    None,
                    message,
                    Some(&self.request_id),
                )
            }
        };
        tracing::debug!(provider = %self.provider, request_id = self.request_id, %status, "the provider refused");
        count_failure(
            &self.provider,
            if status.is_server_error() { "server_error" } else { "refused" },
        );
        let mut answer = self.document(status, &document);
        let mut headers = response_headers(&parts.headers);
        headers.remove(header::CONTENT_TYPE);
        headers.remove(header::CONTENT_ENCODING);
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

#[derive(Debug, PartialEq)]
enum Reworded {
    Document(Value),
    /// Our account at the provider has run out of money. This is not the caller's `insufficient_quota`.
    AccountEmpty,
}

/// The provider's error document, rebuilt from the fields that callers read, without words that name our account.
/// `None` if the body is not an error document of this kind of provider.
fn reworded(provider: &Kind, body: &[u8], request_id: &str) -> Option<Reworded> {
    let document: Value = serde_json::from_slice(body).ok()?;
    let error = document.get("error")?;
    let message = without_account(error.get("message")?.as_str()?);
    let short = |name: &str| match error.get(name) {
        Some(Value::String(text)) if text.len() <= 128 => text.as_str().into(),
        Some(Value::Number(number)) => Value::Number(number.clone()),
        _ => Value::Null,
    };
    let (kind, code) = (short("type"), short("code"));
    if [&kind, &code].iter().any(|word| {
        matches!(
            word.as_str(),
            Some("insufficient_quota" | "billing_error" | "billing_hard_limit_reached")
        )
    }) {
        return Some(Reworded::AccountEmpty);
    }
    let words = Error {
        document: &document,
        message: &message,
        kind: &kind,
        code: &code,
        param: &short("param"),
        request_id,
    };
    (provider.error)(&words).map(Reworded::Document)
}

fn without_account(message: &str) -> String {
    let mut clean = String::new();
    let message: String = message.chars().take(MESSAGE_CHARS_MAX).collect();
    let ends_word = |c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '*'));
    for piece in message.split_inclusive(ends_word) {
        let word = piece.trim_end_matches(ends_word);
        if names_account(word) {
            clean.push_str("[redacted]");
            clean.push_str(piece.get(word.len()..).unwrap_or_default());
        } else {
            clean.push_str(piece);
        }
    }
    clean
}

/// Whether a word is an identifier of our account. An identifier has digits, capitals or `*` after its prefix; a word
/// like `org-wide` has none.
fn names_account(word: &str) -> bool {
    ACCOUNT_WORDS.iter().filter_map(|start| word.strip_prefix(start)).any(|rest| {
        rest.bytes().any(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase() || byte == b'*')
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn words_that_name_our_account_are_taken_out_of_messages() {
        let cases = [
            (
                "Rate limit reached for gpt-4o in organization org-AbC123 on tokens.",
                "Rate limit reached for gpt-4o in organization [redacted] on tokens.",
            ),
            (
                "Incorrect API key provided: sk-abc***xyz.",
                "Incorrect API key provided: [redacted].",
            ),
            ("project `proj_1`", "project `[redacted]`"),
            ("the sk- prefix, org-wide", "the sk- prefix, org-wide"),
            ("plain ümlaut", "plain ümlaut"),
        ];
        for (message, clean) in cases {
            assert_eq!(without_account(message), clean);
        }
    }

    #[test]
    fn only_an_error_document_of_the_dialect_is_passed_on() {
        let anthropic = br#"{"type":"error","error":{"type":"not_found_error","message":"m"},"request_id":"theirs"}"#;
        let Some(Reworded::Document(document)) =
            reworded(Kind::of(Dialect::Anthropic), anthropic, "ours")
        else {
            panic!()
        };
        assert_eq!(document["request_id"], "ours");
        for other in [
            &b"<html>"[..],
            b"{}",
            b"[]",
            b"",
            b"{\"error\":\"text\"}",
            b"{\"error\":{\"message\":1}}",
            b"\xff",
        ] {
            assert_eq!(reworded(Kind::of(Dialect::OpenAi), other, ""), None);
            assert_eq!(reworded(Kind::of(Dialect::Anthropic), other, ""), None);
        }
        let extra = br#"{"error":{"message":"m","type":"t","code":null,"account":"secret"},"debug":"secret"}"#;
        let Some(Reworded::Document(document)) = reworded(Kind::of(Dialect::OpenAi), extra, "")
        else {
            panic!()
        };
        assert_eq!(
            document,
            json!({"error": {"message": "m", "type": "t", "param": null, "code": null}})
        );
    }
}
