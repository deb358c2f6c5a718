//! Makes the mock's answer to a request.

use std::{collections::VecDeque, fmt::Write as _, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header, request::Parts};
use http_body::Body;
use serde_json::Value;

use super::{
    MockProvider, anthropic,
    ask::BadField,
    body::{MockBody, Script},
    endpoint::Answers,
    openai,
    options::{BreakAfter, Garbage, Hang, Malformed, Options},
    plan::Plan,
    read,
    served::Entry,
    step::Step,
    stream::Stream,
};
use crate::{
    body,
    context::{self, Call},
    domain::dialect::Dialect,
    refusal::{REQUEST_ID, error_document},
};

/// The largest request body that is read.
const BODY_BYTES_MAX: usize = 64 << 20;
/// How long a request body may take.
const BODY_WAIT: Duration = Duration::from_mins(1);

const HTML: &str = "<!DOCTYPE html><html><body><h1>Bad gateway</h1><p>nginx</p></body></html>";
/// Neither JSON nor an event nor UTF-8.
const GARBAGE: &[u8] = b"{\"choices\": [\xff\xfe}\r\n\0data\n\n";

/// Marks an answer that stands for a connection reset. Without a socket there is no connection to reset.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reset;

impl MockProvider {
    pub(super) async fn answer<B>(&self, request: Request<B>) -> Response<MockBody>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let call = Call::of(&request).map(|call| call.request_id().to_string());
        let (parts, body) = request.into_parts();
        let endpoint = context::endpoint_of(&parts.extensions, &parts.uri);
        let dialect = context::dialect_of(&parts.extensions, &parts.uri, &parts.headers);
        // In the same process the request has a `Call` with the id; over a socket the gateway sends the id in a header.
        let header = parts.headers.get(REQUEST_ID).and_then(|value| value.to_str().ok());
        let request_id = call.as_deref().or(header);
        let options = match Options::read(&parts.headers) {
            Ok(options) => options,
            Err(malformed) => return malformed.answer(dialect, request_id),
        };
        let Some(endpoint) = endpoint.filter(|_| parts.method == Method::POST) else {
            return self.answer_without_call(&parts, dialect);
        };
        let mut entry = self.count.arrived(request_id);
        let Ok(body) = body::read(body, BODY_BYTES_MAX, BODY_WAIT).await else {
            return BadField("body", "broke off or is too long").answer(dialect, request_id);
        };
        if !options.latency.is_zero() {
            tokio::time::sleep(options.latency).await;
        }
        if options.hang == Some(Hang::Head) {
            std::future::pending::<()>().await;
        }
        if options.break_after == Some(BreakAfter::Nothing) {
            let mut answer =
                error(dialect, StatusCode::BAD_GATEWAY, "reset", "A reset.", request_id);
            answer.extensions_mut().insert(Reset);
            return answer;
        }
        if let Some(status) = options.status {
            return failure(dialect, status, &options, request_id);
        }
        let ask = match read::read(endpoint, &body) {
            Ok(ask) => ask,
            Err(bad) => return bad.answer(dialect, request_id),
        };
        let plan = match Plan::new(ask, options, request_id) {
            Ok(plan) => plan,
            Err(malformed) => return malformed.answer(dialect, request_id),
        };
        entry.produced(&plan.figures_after(0));
        success(plan, entry)
    }

    /// Answers a request that is not a call: the list of models, or 404.
    fn answer_without_call(&self, parts: &Parts, dialect: Dialect) -> Response<MockBody> {
        let path = parts.uri.path();
        let name = path.split_once("/models/").map(|(_, name)| name);
        let list = path.trim_end_matches('/').ends_with("/models");
        let known = name.filter(|name| self.models.iter().any(|model| model == name));
        let document = match (parts.method == Method::GET, list, known, dialect) {
            (true, true, _, Dialect::OpenAi) => openai::models(&self.models),
            (true, true, _, Dialect::Anthropic) => anthropic::models(&self.models),
            (true, false, Some(name), Dialect::OpenAi) => openai::model(name),
            (true, false, Some(name), Dialect::Anthropic) => anthropic::model(name),
            _ => {
                let message = "There is no such thing here.";
                return error(dialect, StatusCode::NOT_FOUND, "not_found", message, None);
            }
        };
        json(StatusCode::OK, &document)
    }
}

impl Malformed {
    fn answer(&self, dialect: Dialect, request_id: Option<&str>) -> Response<MockBody> {
        let mut message = String::new();
        // Writing to a string does not fail.
        let _written =
            write!(message, "The header `{}` is not understood: {}.", self.header, self.expected);
        error(dialect, StatusCode::BAD_REQUEST, "invalid_mock_header", &message, request_id)
    }
}

impl BadField {
    fn answer(self, dialect: Dialect, request_id: Option<&str>) -> Response<MockBody> {
        let Self(field, what) = self;
        let message = format!("`{field}` {what}.");
        let document = error_document(
            dialect,
            StatusCode::BAD_REQUEST,
            "invalid_request",
            Some(field),
            &message,
            request_id,
        );
        json(StatusCode::BAD_REQUEST, &document)
    }
}

fn success(plan: Plan, mut entry: Entry) -> Response<MockBody> {
    let stream = Answers::of(plan.ask.endpoint).stream.filter(|_| plan.ask.stream);
    let split = plan.options.split;
    let content_type = match (plan.options.garbage, stream) {
        (Some(Garbage::Html), _) => "text/html; charset=utf-8",
        (_, Some(_)) => "text/event-stream; charset=utf-8",
        (_, None) => "application/json",
    };
    let script = match (plan.options.garbage, stream) {
        (Some(Garbage::Html), _) => {
            Script::Listed(whole(Bytes::from_static(HTML.as_bytes()), &plan.options))
        }
        (Some(Garbage::Bytes), _) => {
            Script::Listed(whole(Bytes::from_static(GARBAGE), &plan.options))
        }
        (None, Some(events)) => Script::Stream(Box::new(Stream::new(events, plan, entry))),
        (None, None) => {
            let document = (Answers::of(plan.ask.endpoint).whole)(&plan);
            let steps = whole(Bytes::from(document.to_string()), &plan.options);
            entry.produced(&plan.figures());
            if steps.iter().all(|step| matches!(step, Step::Data(_))) {
                entry.completed();
            }
            Script::Listed(steps)
        }
    };
    respond(StatusCode::OK, content_type, MockBody::new(script, split))
}

/// The document in one piece, or its first half and then the break or hang that the options ask for.
fn whole(document: Bytes, options: &Options) -> VecDeque<Step> {
    let (half, _) = document.split_at(document.len() / 2);
    let half = || Step::Data(document.slice_ref(half));
    match (options.break_after, options.hang) {
        (Some(BreakAfter::Chunks(_)), _) => VecDeque::from([half(), Step::Break]),
        (_, Some(Hang::Body)) => VecDeque::from([half(), Step::Hang]),
        _ => VecDeque::from([Step::Data(document)]),
    }
}

fn failure(
    dialect: Dialect,
    status: StatusCode,
    options: &Options,
    request_id: Option<&str>,
) -> Response<MockBody> {
    let mut answer = match options.garbage {
        Some(Garbage::Html) => respond(status, "text/html; charset=utf-8", MockBody::full(HTML)),
        Some(Garbage::Bytes) => respond(status, "application/json", MockBody::full(GARBAGE)),
        None => error(dialect, status, "mock_error", "The error that was asked for.", request_id),
    };
    let default = matches!(status.as_u16(), 429 | 503 | 529).then_some(1);
    if let Some(seconds) = options.retry_after_seconds.or(default) {
        answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if status.is_redirection() {
        answer.headers_mut().insert(header::LOCATION, HeaderValue::from_static("/elsewhere"));
    }
    answer
}

fn error(
    dialect: Dialect,
    status: StatusCode,
    code: &str,
    message: &str,
    request_id: Option<&str>,
) -> Response<MockBody> {
    json(status, &error_document(dialect, status, code, None, message, request_id))
}

fn json(status: StatusCode, document: &Value) -> Response<MockBody> {
    body::json(status, document.to_string()).map(MockBody::full)
}

fn respond(status: StatusCode, content_type: &'static str, body: MockBody) -> Response<MockBody> {
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    let headers: &mut HeaderMap = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}
