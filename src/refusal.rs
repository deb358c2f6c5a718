//! Answers that a layer gives instead of the provider, in the caller's dialect.

mod reason;

use std::{borrow::Cow, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use serde_json::{Value, json};

use crate::{
    body::{self, ResponseBody, Unread},
    context,
    domain::{dialect::Dialect, endpoint::Endpoint, hold::Exceeded, scope::Scope},
};

pub(crate) use self::reason::error_in_answer;
#[cfg(feature = "http")]
pub(crate) use self::reason::{Reason, no_reason};

/// Why a layer answers instead of the provider.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// There is no token, or an invalid one. The answer does not say which.
    Unauthenticated,
    /// Two different tokens of the issuer.
    TwoTokens,
    /// The body is longer than the limit, in bytes.
    BodyTooLarge(usize),
    /// The body has an unknown content encoding.
    UnknownEncoding,
    /// The body did not arrive in time.
    BodyTimedOut,
    /// The body cannot be a call: which field, and what to do about it.
    InvalidBody {
        /// The field at fault, if it is one field.
        field: Option<String>,
        /// What is wrong and what to do.
        message: Cow<'static, str>,
    },
    /// The path is not that of a model call.
    UnknownEndpoint,
    /// The model may not be used by the organization, or does not exist. The answer is the same for both.
    ModelNotAllowed(String),
    /// As [`ModelNotAllowed`](Self::ModelNotAllowed), for `GET /v1/models/{id}`.
    ModelNotFound(String),
    /// The caller's role may not do this.
    RoleNotAllowed,
    /// A kill switch is on for this scope of the caller.
    Suspended(Scope),
    /// A rate is used up.
    RateLimited {
        /// What is limited: `requests`, `tokens` or `calls in flight`.
        what: &'static str,
        /// Whose limit it is.
        scope: Scope,
        /// The models that count towards the limit, unless all do.
        models: Option<String>,
        /// When a retry can succeed.
        retry_after: Duration,
    },
    /// A budget does not cover the call.
    BudgetExceeded(Exceeded),
    /// The credits do not cover the call.
    InsufficientCredits {
        /// When to retry, if the credits would cover the call without the holds of other calls.
        retry_after: Option<Duration>,
    },
    /// The gateway cannot decide now: the database does not answer, the pool is exhausted, or too many calls are open.
    Unavailable,
    /// The provider has answered, but the end of the call could not be made durable in time.
    Unwritten,
    /// A layer is missing further out. This is our fault, and the log names the layer.
    Miswired(&'static str),
    /// The gateway has panicked. This is our fault.
    Panicked,
    /// The provider could not be reached, or broke off before the head of its answer.
    ProviderFailed,
    /// The provider did not answer in time.
    ProviderTimedOut,
}

/// The message for an exceeded budget: whose budget it is and in which unit, but never how much is left.
#[cold]
fn over_budget(exceeded: &Exceeded) -> String {
    let Exceeded { scope, window, unit, retry_after, may_wait } = *exceeded;
    let whose = whose(scope);
    let when = seconds(retry_after);
    let then = if may_wait {
        format!("while other calls hold parts of it. Try again in {when} s.")
    } else {
        format!("any more. It resets in {when} s.")
    };
    let (window, unit) = (window.as_str(), unit.as_str());
    format!("{whose} budget of {unit} for this {window} does not cover the call {then}")
}

/// In the extensions of a response: the response is a [`Refusal`] by a layer, not the provider's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The refusal's code: the same word as in the body, in logs and in metrics.
    pub code: &'static str,
}

impl Refusal {
    /// The HTTP status.
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::Unauthenticated | Self::TwoTokens => StatusCode::UNAUTHORIZED,
            Self::BodyTooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnknownEncoding => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::BodyTimedOut => StatusCode::REQUEST_TIMEOUT,
            Self::InvalidBody { .. } => StatusCode::BAD_REQUEST,
            Self::UnknownEndpoint | Self::ModelNotFound(_) => StatusCode::NOT_FOUND,
            Self::ModelNotAllowed(_) | Self::RoleNotAllowed | Self::Suspended(_) => {
                StatusCode::FORBIDDEN
            }
            Self::RateLimited { .. } | Self::BudgetExceeded(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::InsufficientCredits { .. } => StatusCode::PAYMENT_REQUIRED,
            Self::Unavailable | Self::Unwritten => StatusCode::SERVICE_UNAVAILABLE,
            Self::Miswired(_) | Self::Panicked => StatusCode::INTERNAL_SERVER_ERROR,
            Self::ProviderFailed => StatusCode::BAD_GATEWAY,
            Self::ProviderTimedOut => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    /// The word for the refusal in bodies, logs and metrics.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unauthenticated | Self::TwoTokens => "invalid_token",
            Self::BodyTooLarge(_) => "request_too_large",
            Self::UnknownEncoding => "unknown_encoding",
            Self::BodyTimedOut => "request_timeout",
            Self::InvalidBody { .. } => "invalid_request",
            Self::UnknownEndpoint => "unknown_endpoint",
            Self::ModelNotAllowed(_) => "model_not_allowed",
            Self::ModelNotFound(_) => "model_not_found",
            Self::RoleNotAllowed => "role_not_allowed",
            Self::Suspended(Scope::Organization) => "organization_suspended",
            Self::Suspended(Scope::Team) => "team_suspended",
            Self::Suspended(Scope::User) => "user_suspended",
            Self::Suspended(Scope::Key) => "key_suspended",
            Self::RateLimited { .. } => "rate_limit_exceeded",
            Self::BudgetExceeded(_) => "budget_exceeded",
            Self::InsufficientCredits { .. } => "insufficient_credits",
            Self::Unavailable | Self::Unwritten => "unavailable",
            Self::Miswired(_) | Self::Panicked => "internal_error",
            Self::ProviderFailed => "provider_failed",
            Self::ProviderTimedOut => "provider_timed_out",
        }
    }

    /// The message to the caller: what is wrong and what to do, without internals.
    pub fn message(&self) -> Cow<'static, str> {
        match self {
            Self::Unauthenticated => "The bearer token is missing, expired or not valid here. Send `Authorization: Bearer <token>` or `x-api-key: <token>` with a token of this gateway's issuer.".into(),
            Self::TwoTokens => "The headers `Authorization` and `x-api-key` have two different tokens of this gateway's issuer. Send one of them.".into(),
            Self::BodyTooLarge(max) => format!("The request body is longer than {max} bytes. Send less.").into(),
            Self::UnknownEncoding => "The request body has a content-encoding that is not known here. Send it as plain JSON, or as gzip, br or zstd.".into(),
            Self::BodyTimedOut => "The request body did not arrive in time. Send it again.".into(),
            Self::InvalidBody { message, .. } => message.clone(),
            Self::UnknownEndpoint => {
                let paths: Vec<&str> = Endpoint::ALL.iter().map(|endpoint| endpoint.spec().path).collect();
                format!("There is no such endpoint here. Use {} or /v1/models.", paths.join(", ")).into()
            }
            Self::ModelNotAllowed(model) => format!("The model `{model}` may not be used by this organization. GET /v1/models lists those that may.").into(),
            Self::ModelNotFound(model) => format!("The model `{model}` does not exist or you do not have access to it.").into(),
            Self::RoleNotAllowed => "Your role in this organization does not include this. Ask an owner or admin of the organization.".into(),
            Self::Suspended(Scope::Organization) => "The organization is suspended. Ask its owner, or the operator of this gateway.".into(),
            Self::Suspended(Scope::Team) => "Your team is suspended. Ask an owner or admin of the organization.".into(),
            Self::Suspended(Scope::User) => "You are suspended in this organization. Ask an owner or admin of the organization.".into(),
            Self::Suspended(Scope::Key) => "This key is suspended. Ask an owner or admin of the organization, or use another key.".into(),
            Self::RateLimited { what, scope, models, retry_after } => format!(
                "{} is used up. Try again in {} s.",
                limit_of(what, *scope, models.as_deref()),
                seconds(*retry_after)
            )
            .into(),
            Self::BudgetExceeded(exceeded) => over_budget(exceeded).into(),
            Self::InsufficientCredits { retry_after: Some(_) } => "The organization's credits do not cover this call as long as other calls hold them. Try again shortly, or lower the call's output cap.".into(),
            Self::InsufficientCredits { retry_after: None } => "The organization's credits do not cover this call. Add credits, or lower the call's output cap.".into(),
            Self::Unavailable => "The gateway cannot take this call now. Nothing was sent to the provider and nothing was charged; try again shortly.".into(),
            Self::Unwritten => "The provider answered, but the gateway could not record the call, so the answer is withheld. Try again shortly.".into(),
            Self::Miswired(_) => "The gateway is not set up correctly. Its log says what is missing.".into(),
            Self::Panicked => "The gateway has failed at this request. Its log says more; the request may be sent again.".into(),
            Self::ProviderFailed => "The provider could not be reached or broke off before answering. Nothing was charged.".into(),
            Self::ProviderTimedOut => "The provider did not answer in time.".into(),
        }
    }

    /// When to retry; `None` if a retry does not help.
    #[expect(clippy::wildcard_enum_match_arm, reason = "most refusals say nothing here")]
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { retry_after, .. }
            | Self::BudgetExceeded(Exceeded { retry_after, .. })
            | Self::InsufficientCredits { retry_after: Some(retry_after) } => Some(*retry_after),
            Self::Unavailable | Self::Unwritten => Some(Duration::from_secs(1)),
            _ => None,
        }
    }

    /// The error document in a dialect.
    pub fn document(&self, dialect: Dialect, request_id: Option<&str>) -> Value {
        error_document(
            dialect,
            self.status(),
            self.code(),
            self.param(),
            &self.message(),
            request_id,
        )
    }

    /// The answer to `request`, in its dialect.
    ///
    /// Counts the refusal. If the reason is a missing layer, logs its name.
    pub fn answer<B, R>(&self, request: &Request<B>) -> Response<ResponseBody<R>> {
        self.respond(dialect_of(request), request.headers()).map(ResponseBody::full)
    }

    /// The answer in `dialect` to a request with these headers.
    pub fn respond(&self, dialect: Dialect, request_headers: &HeaderMap) -> Response<Bytes> {
        let code = self.code();
        metrics::counter!("tollgate_refusals_total", "code" => code).increment(1);
        if let Self::Miswired(layer) = self {
            tracing::error!(
                missing = layer,
                "a layer is missing further out in the stack: add it before this one"
            );
        }
        let request_id = request_headers.get(REQUEST_ID).and_then(|value| value.to_str().ok());
        let document = self.document(dialect, request_id).to_string();
        let mut response = body::json(self.status(), document);
        response.extensions_mut().insert(Refused { code });
        let headers = response.headers_mut();
        if matches!(self, Self::Unauthenticated | Self::TwoTokens) {
            headers.insert(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static("Bearer error=\"invalid_token\""),
            );
        }
        if let Some(wait) = self.retry_after() {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds(wait)));
        }
        let money = matches!(
            self,
            Self::BudgetExceeded(Exceeded { may_wait: false, .. })
                | Self::InsufficientCredits { retry_after: None }
        );
        if money {
            // The vendors' clients retry a 429 by themselves, which cannot help before there is new money or a new
            // budget.
            headers.insert("x-should-retry", HeaderValue::from_static("false"));
        }
        response
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "most refusals name no field")]
    fn param(&self) -> Option<&str> {
        match self {
            Self::InvalidBody { field, .. } => field.as_deref(),
            Self::ModelNotAllowed(_) | Self::ModelNotFound(_) => Some("model"),
            _ => None,
        }
    }
}

impl From<Unread> for Refusal {
    /// The refusal of a request whose body could not be read.
    fn from(unread: Unread) -> Self {
        match unread {
            Unread::TooLong(bytes_max) => Self::BodyTooLarge(bytes_max),
            Unread::TimedOut(_) => Self::BodyTimedOut,
            Unread::Broken(_) => Self::InvalidBody {
                field: None,
                message: "The request body broke off before its end, or is not what its content-encoding says. Send it again.".into(),
            },
        }
    }
}

/// The beginning of a sentence about a limit: whose limit it is, from the caller's view, and for which models.
pub(crate) fn limit_of(what: &str, scope: Scope, models: Option<&str>) -> String {
    let whose = whose(scope);
    match models {
        Some(models) => format!("{whose} limit of {what} for `{models}`"),
        None => format!("{whose} limit of {what}"),
    }
}

/// The owner of a limit or budget, from the caller's view.
const fn whose(scope: Scope) -> &'static str {
    match scope {
        Scope::Organization => "The organization's",
        Scope::Team => "Your team's",
        Scope::User => "Your",
        Scope::Key => "This key's",
    }
}

/// The header with the request id, in requests and in answers.
pub const REQUEST_ID: &str = "x-request-id";

/// An error document as the vendors' own clients parse it.
pub fn error_document(
    dialect: Dialect,
    status: StatusCode,
    code: &str,
    param: Option<&str>,
    message: &str,
    request_id: Option<&str>,
) -> Value {
    match dialect {
        Dialect::OpenAi => json!({"error": {
            "message": message,
            "type": openai_type(status),
            "param": param,
            "code": code,
        }}),
        Dialect::Anthropic => json!({
            "type": "error",
            "error": {"type": anthropic_type(status), "message": message, "code": code},
            "request_id": request_id,
        }),
    }
}

/// An error as an event in a stream that has begun. The status has already been sent; the vendors' clients turn this
/// event into an exception.
pub fn error_event(
    dialect: Dialect,
    status: StatusCode,
    code: &str,
    message: &str,
    request_id: Option<&str>,
) -> Bytes {
    as_event(dialect, &error_document(dialect, status, code, None, message, request_id))
}

/// An error document as an event.
pub(crate) fn as_event(dialect: Dialect, document: &Value) -> Bytes {
    Bytes::from(match dialect {
        Dialect::OpenAi => format!("data: {document}\n\n"),
        Dialect::Anthropic => format!("event: error\ndata: {document}\n\n"),
    })
}

/// The dialect of a request: that of its call, else what an outer layer has learned
/// ([`Arrival`](crate::context::Arrival)), else that of its path, else by Anthropic's version header.
pub fn dialect_of<B>(request: &Request<B>) -> Dialect {
    context::dialect_of(request.extensions(), request.uri(), request.headers())
}

const fn openai_type(status: StatusCode) -> &'static str {
    match status.as_u16() {
        401 => "authentication_error",
        402 => "insufficient_quota",
        403 => "permission_error",
        429 => "rate_limit_error",
        503 => "service_unavailable_error",
        500..=599 => "server_error",
        _ => "invalid_request_error",
    }
}

const fn anthropic_type(status: StatusCode) -> &'static str {
    match status.as_u16() {
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        503 | 529 => "overloaded_error",
        504 => "timeout_error",
        500..=599 => "api_error",
        _ => "invalid_request_error",
    }
}

/// Whole seconds for `retry-after`: rounded up, at least one.
fn seconds(wait: Duration) -> u64 {
    let whole = wait.as_secs();
    if wait.subsec_nanos() > 0 { whole.saturating_add(1) } else { whole.max(1) }
}
