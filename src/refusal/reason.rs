//! Why a provider refused or failed, in whatever shape it says so, for callers who share its account.
//!
//! Only an error document's own words pass, and without words that name our account: organizations, projects, keys,
//! and the provider's ids of requests. So one function serves refusals, errors inside streams, and errors in a 200.

use bytes::Bytes;
use http::StatusCode;
use serde_json::{Map, Value, json};

use super::{anthropic_type, error_document, openai_type};
use crate::domain::{dialect::Dialect, sse::Splitter};

/// How many characters of a provider's own message are passed on.
const MESSAGE_CHARS_MAX: usize = 2000;
/// A longer type or code is no word.
const WORD_BYTES_MAX: usize = 128;
const DEPTH_MAX: u8 = 6;
const ITEMS_MAX: usize = 8;
/// Where servers put their words, the most telling name first.
const SAID_IN: [&str; 8] =
    ["message", "msg", "error", "errors", "detail", "error_message", "error_msg", "title"];
/// Prefixes of words that name our account at a provider, or a request of it.
const ACCOUNT_WORDS: [&str; 11] =
    ["org-", "proj_", "sk-", "acct_", "user-", "req_", "req-", "wrkspc_", "xai-", "gsk_", "AIza"];
/// From this length on, digits alone are the number of an account.
const NUMBER_BYTES_MIN: usize = 12;
/// From this length on, hexadecimal digits are an id, such as a UUID.
const ID_BYTES_MIN: usize = 24;

/// What a provider says about a call that it refused or failed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Reason {
    message: String,
    kind: Option<String>,
    code: Value,
    param: Option<String>,
    /// Whether the types of this document are Anthropic's.
    of_anthropic: bool,
}

impl Reason {
    /// Reads an error document, or the event that carries one. `None` if it says no reason.
    pub(crate) fn read(body: &[u8]) -> Option<Self> {
        if let Ok(document) = serde_json::from_slice(body) {
            return Self::of(&document);
        }
        let mut events = Splitter::new(body.len().saturating_add(2));
        events.push(Bytes::copy_from_slice(body));
        events.push(Bytes::from_static(b"\n\n"));
        while let Ok(Some(event)) = events.next_event() {
            let document = event.data().and_then(|data| serde_json::from_slice(&data).ok());
            if let Some(reason) = document.as_ref().and_then(Self::of) {
                return Some(reason);
            }
        }
        None
    }

    fn of(document: &Value) -> Option<Self> {
        let message = without_account(&said(document, DEPTH_MAX)?);
        let nothing = Map::new();
        let fields = holder(document, DEPTH_MAX).unwrap_or(&nothing);
        let word = |name: &str| match fields.get(name) {
            Some(Value::String(text)) if text.len() <= WORD_BYTES_MAX => {
                Some(without_account(text))
            }
            _ => None,
        };
        let code = match fields.get("code") {
            Some(Value::Number(number)) if fields.get("status").is_none() => {
                Value::Number(number.clone())
            }
            _ => word("code").or_else(|| word("status")).map_or(Value::Null, Value::String),
        };
        Some(Self {
            message,
            kind: word("type"),
            code,
            param: word("param"),
            of_anthropic: document.get("type").and_then(Value::as_str) == Some("error"),
        })
    }

    /// Whether our account at the provider has run out of money. That is not the caller's `insufficient_quota`.
    pub(crate) fn is_of_account(&self) -> bool {
        let empty = |word: &str| {
            matches!(word, "insufficient_quota" | "billing_error" | "billing_hard_limit_reached")
        };
        self.kind.as_deref().is_some_and(empty) || self.code.as_str().is_some_and(empty)
    }

    /// The error document in the caller's dialect.
    pub(crate) fn document(
        &self,
        dialect: Dialect,
        status: StatusCode,
        request_id: Option<&str>,
    ) -> Value {
        match dialect {
            Dialect::OpenAi => json!({"error": {
                "message": self.message,
                "type": self.kind.as_deref().unwrap_or(openai_type(status)),
                "param": self.param,
                "code": self.code,
            }}),
            Dialect::Anthropic => {
                let kind = self.kind.as_deref().filter(|_| self.of_anthropic);
                json!({
                    "type": "error",
                    "error": {
                        "type": kind.unwrap_or(anthropic_type(status)),
                        "message": self.message,
                    },
                    "request_id": request_id,
                })
            }
        }
    }
}

/// The document for a provider's error under a status of success: in an event of a stream, or as a whole answer.
pub(crate) fn error_in_answer(body: &[u8], dialect: Dialect, request_id: Option<&str>) -> Value {
    let status = StatusCode::BAD_GATEWAY;
    match Reason::read(body).filter(|reason| !reason.is_of_account()) {
        Some(reason) => reason.document(dialect, status, request_id),
        None => no_reason(dialect, status, request_id),
    }
}

/// The document where a provider gives no reason.
pub(crate) fn no_reason(dialect: Dialect, status: StatusCode, request_id: Option<&str>) -> Value {
    let message =
        "The provider refused or failed this call and gave no reason that can be passed on.";
    error_document(dialect, status, "provider_error", None, message, request_id)
}

/// The words of a value: its text, those of its items, or those of the first field that is known to have them.
fn said(value: &Value, depth: u8) -> Option<String> {
    let below = depth.checked_sub(1)?;
    match value {
        Value::String(text) => (!text.trim().is_empty()).then(|| text.clone()),
        Value::Array(items) => {
            let said: Vec<_> =
                items.iter().take(ITEMS_MAX).filter_map(|item| said(item, below)).collect();
            (!said.is_empty()).then(|| said.join("; "))
        }
        Value::Object(fields) => {
            let text = SAID_IN.iter().find_map(|name| said(fields.get(*name)?, below))?;
            Some(match place(fields) {
                Some(place) => format!("{place}: {text}"),
                None => text,
            })
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}

/// Where in the request a fault is, as Python's validators say it: `["body", "messages", 0]`.
fn place(fields: &Map<String, Value>) -> Option<String> {
    let parts = fields.get("loc")?.as_array()?;
    let part = |part: &Value| match part {
        Value::String(name) => Some(name.clone()),
        Value::Number(index) => Some(index.to_string()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    };
    let parts: Vec<_> = parts.iter().take(ITEMS_MAX).filter_map(part).collect();
    Some(parts.join("."))
}

/// The innermost object of an error, which has its type and code.
fn holder(value: &Value, depth: u8) -> Option<&Map<String, Value>> {
    let below = depth.checked_sub(1)?;
    match value {
        Value::Object(fields) => {
            let inner = fields.get("error").and_then(|inner| holder(inner, below));
            inner.or(Some(fields))
        }
        Value::Array(items) => holder(items.first()?, below),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
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

/// Whether a word is an identifier of our account. After a prefix, an identifier has digits, capitals or `*`; a word
/// like `org-wide` has none.
fn names_account(word: &str) -> bool {
    let telling = |byte: u8| byte.is_ascii_digit() || byte.is_ascii_uppercase() || byte == b'*';
    let digits = word.bytes().filter(u8::is_ascii_digit).count();
    let hexadecimal = word.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    (digits == word.len() && digits >= NUMBER_BYTES_MIN)
        || (hexadecimal && digits > 0 && word.len() >= ID_BYTES_MIN)
        || ACCOUNT_WORDS
            .iter()
            .filter_map(|start| word.strip_prefix(start))
            .any(|rest| rest.bytes().any(telling))
}

#[cfg(test)]
mod tests {
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
            ("request ID req_0a1b2c, please", "request ID [redacted], please"),
            (
                "team 0198c1b2-63f5-7c11-8d11-8b0f0a1c2d3e, account 123456789012",
                "team [redacted], account [redacted]",
            ),
            ("the sk- prefix, org-wide", "the sk- prefix, org-wide"),
            (
                "131072 tokens, 2026-11-27, decade-facade",
                "131072 tokens, 2026-11-27, decade-facade",
            ),
            ("plain ümlaut", "plain ümlaut"),
        ];
        for (message, clean) in cases {
            assert_eq!(without_account(message), clean);
        }
    }

    #[test]
    fn a_reason_is_found_in_every_shape_in_which_servers_give_it() {
        let why = "no tools here";
        for body in [
            r#"{"error":{"message":"no tools here","type":"t","param":null,"code":null}}"#,
            r#"{"type":"error","error":{"type":"invalid_request_error","message":"no tools here"}}"#,
            r#"{"object":"error","message":"no tools here","type":"BadRequestError","code":400}"#,
            r#"[{"error":{"code":400,"message":"no tools here","status":"INVALID_ARGUMENT"}}]"#,
            r#"{"detail":"no tools here"}"#,
            r#"{"detail":[{"msg":"no tools here","type":"missing"}]}"#,
            r#"{"object":"error","message":{"detail":[{"msg":"no tools here"}]}}"#,
            r#"{"error":"no tools here"}"#,
            r#"{"code":"Client specified an invalid argument","error":"no tools here"}"#,
            r#"{"message":"no tools here"}"#,
            r#"{"errors":[{"message":"no tools here"}]}"#,
            r#""no tools here""#,
            "event: error\ndata: {\"error\":{\"message\":\"no tools here\"}}\n\n",
            "data: {\"message\":\"no tools here\"}",
        ] {
            let reason = Reason::read(body.as_bytes()).unwrap_or_else(|| panic!("{body}"));
            let openai = reason.document(Dialect::OpenAi, StatusCode::BAD_REQUEST, None);
            assert_eq!(openai["error"]["message"], why, "{body}");
            assert!(openai["error"]["type"].is_string(), "{body}");
            let anthropic = reason.document(Dialect::Anthropic, StatusCode::BAD_REQUEST, Some("r"));
            assert_eq!(anthropic["error"]["message"], why);
            assert_eq!(anthropic["error"]["type"], "invalid_request_error", "{body}");
            assert_eq!(
                (&anthropic["type"], &anthropic["request_id"]),
                (&"error".into(), &"r".into())
            );
        }
        let placed = br#"{"detail":[{"loc":["body","messages",0],"msg":"bad"},{"loc":["body"],"msg":"worse"}]}"#;
        assert_eq!(Reason::read(placed).unwrap().message, "body.messages.0: bad; body: worse");
        let gemini = br#"[{"error":{"code":400,"message":"m","status":"INVALID_ARGUMENT"}}]"#;
        assert_eq!(Reason::read(gemini).unwrap().code, "INVALID_ARGUMENT");
    }

    #[test]
    fn a_body_without_a_reason_has_none() {
        let deep = format!("{}1{}", "[".repeat(100), "]".repeat(100));
        for body in [
            &b"<html>"[..],
            b"{}",
            b"[]",
            b"",
            b"1",
            b"\xff",
            b"data: gone\n\n",
            deep.as_bytes(),
            b"{\"error\":{\"message\":1}}",
            b"{\"error\":{\"message\":\"  \"}}",
        ] {
            assert_eq!(Reason::read(body), None);
        }
    }

    #[test]
    fn nothing_but_the_known_fields_passes() {
        let extra = br#"{"error":{"message":"m","type":"t","code":"org-AbC1","account":"secret"},"debug":"secret"}"#;
        let document =
            Reason::read(extra).unwrap().document(Dialect::OpenAi, StatusCode::BAD_REQUEST, None);
        assert_eq!(
            document,
            json!({"error": {"message": "m", "type": "t", "param": null, "code": "[redacted]"}})
        );
    }

    #[test]
    fn an_error_in_an_answer_that_is_about_our_money_says_no_more_than_that_it_failed() {
        let empty = br#"{"error":{"message":"quota of org-AbC1","type":"insufficient_quota"}}"#;
        let document = error_in_answer(empty, Dialect::OpenAi, None);
        assert_eq!(document["error"]["code"], "provider_error");
        assert!(!document.to_string().contains("quota"));
    }
}
