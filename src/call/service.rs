//! [`Calls`]: reads a call, passes it on, and holds its answer back until the call has ended.

use std::{
    mem,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header, response::Parts};
use http_body::Body;
use http_body_util::BodyExt;
use tokio::time::Instant;
use tower_service::Service;

use super::{
    body::CallBody,
    future::CallFuture,
    layer::Settings,
    open::{OpenCall, Reached, Written},
    settle::End,
    stops::{Stop, Stops},
    stream::{self, Metered},
};
use crate::{
    body::{self, RequestBody, Unread},
    context::{self, Arrival, Call, Tenant, Unanswered},
    domain::{
        dialect::Dialect,
        endpoint::Endpoint,
        finish::Ending,
        ids::RequestId,
        request::{self, CallFacts, InvalidBody},
        usage::Seen,
    },
    refusal::{REQUEST_ID, Refusal, Refused, dialect_of, error_in_answer},
};

/// A body up to this length is read on the current thread: moving it to another thread would cost more than reading it.
const READ_AT_ONCE_BYTES_MAX: usize = 32 << 10;

/// Reads the call once and ends it exactly once. See the [module docs](super).
#[derive(Clone, Debug)]
pub struct Calls<S> {
    inner: S,
    settings: Arc<Settings>,
}

impl<S> Calls<S> {
    pub(super) const fn new(inner: S, settings: Arc<Settings>) -> Self {
        Self { inner, settings }
    }
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for Calls<S>
where
    S: Service<Request<RequestBody>, Response = Response<ResBody>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    ReqBody: Body + Send + 'static,
    ReqBody::Data: Send,
    ReqBody::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    ResBody: Body<Data = Bytes> + Send + 'static,
    ResBody::Error: std::fmt::Display + Send + 'static,
{
    type Response = Response<CallBody<ResBody::Error>>;
    type Error = S::Error;
    type Future = CallFuture<ResBody::Error, S::Error>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        // `poll_ready` made this instance ready; the clone that is left behind must be made ready again.
        let clone = self.inner.clone();
        let ready = mem::replace(&mut self.inner, clone);
        let settings = Arc::clone(&self.settings);
        let reached = Reached::default();
        let work = Box::pin(run(settings, ready, request, Arc::clone(&reached)));
        CallFuture::new(work, reached, Arc::clone(&self.settings))
    }
}

async fn run<S, ReqBody, ResBody>(
    settings: Arc<Settings>,
    mut ready: S,
    request: Request<ReqBody>,
    reached: Reached,
) -> Result<Response<CallBody<ResBody::Error>>, S::Error>
where
    S: Service<Request<RequestBody>, Response = Response<ResBody>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    ReqBody: Body,
    ReqBody::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    ResBody: Body<Data = Bytes> + Send + 'static,
    ResBody::Error: std::fmt::Display + Send + 'static,
{
    // Reading the body is a part of the call.
    let started = Instant::now();
    let dialect = settings.endpoint.map_or_else(|| dialect_of(&request), Endpoint::dialect);
    let (mut parts, body) = request.into_parts();
    let read = async {
        let endpoint =
            settings.endpoint.or_else(|| context::endpoint_of(&parts.extensions, &parts.uri));
        let endpoint = endpoint.ok_or(Refusal::UnknownEndpoint)?;
        read_call(endpoint, &parts.headers, body, &settings).await
    };
    let (facts, original) = match read.await {
        Ok(read) => read,
        Err(refusal) => {
            return Ok(refused(&refusal, dialect, parts.headers.get(REQUEST_ID)));
        }
    };
    let tenant = parts.extensions.get::<Tenant>().cloned();
    let organization = tenant.as_ref().map(Tenant::organization_id);
    let slot = match settings.finisher.as_ref().map(|finisher| finisher.slot(organization)) {
        None => None,
        Some(Some(slot)) => Some(slot),
        Some(None) => {
            let named = parts.headers.get(REQUEST_ID);
            return Ok(refused(&Refusal::Unavailable, dialect, named));
        }
    };

    let arrival = parts.extensions.get::<Arrival>();
    let request_id = arrival.map_or_else(RequestId::generate, |arrival| arrival.request_id);
    let call = Call::since(started, request_id, facts);
    let named = parts.headers.get(REQUEST_ID).cloned();
    let client_request_id = match arrival {
        // The header may be a copy of the server's own id. Else the id was found valid on arrival.
        Some(arrival) => {
            named.as_ref().filter(|_| arrival.named_by_caller).and_then(|id| id.to_str().ok())
        }
        None => named.as_ref().and_then(context::valid_request_id),
    }
    .map(str::to_owned);
    let mut open =
        OpenCall::new(call.clone(), tenant, slot, settings, original.clone(), client_request_id);
    drop(reached.set(call.clone()));

    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.remove(header::TRANSFER_ENCODING);
    parts.extensions.insert(call.clone());
    // Watch before the hold is taken. A switch that is turned on just after the hold was granted must still find this
    // call.
    let mut stops = open.stops();
    let mut answering =
        Box::pin(ready.call(Request::from_parts(parts, RequestBody::new(original, call))));
    let response = match stops.unless_stopped(&mut answering).await {
        Ok(Ok(response)) => response,
        Ok(Err(error)) => {
            // A layer further out makes the client's answer.
            open.answered_instead(StatusCode::BAD_GATEWAY, &Bytes::new());
            drop(open.release(Ending::Failed));
            return Err(error);
        }
        Err(stop) => {
            let read_on = |open| read_on(answering, open, dialect);
            return Ok(stopped(stop, false, open, dialect, named.as_ref(), read_on).await);
        }
    };

    let (parts, body) = response.into_parts();
    let stream = parts.status.is_success() && is_event_stream(&parts.headers);
    open.head(parts.status, &parts.extensions, stream);
    if stream {
        let body = CallBody::stream(Metered::new(body, open, dialect, named, stops));
        return Ok(streamed(parts, body));
    }
    Ok(whole(parts, body, open, dialect, named.as_ref(), stops).await)
}

/// Answers a client whose call is stopped before any of its answer was sent. The answer is read on in the background. A
/// call that was not sent yet is given up, and its hold is released.
#[cold]
async fn stopped<E, F>(
    stop: Stop,
    begun: bool,
    mut open: OpenCall,
    dialect: Dialect,
    named: Option<&HeaderValue>,
    read_on: impl FnOnce(OpenCall) -> F,
) -> Response<CallBody<E>>
where
    F: Future<Output = ()> + Send + 'static,
{
    let answer = instead(&mut open, &stop.refusal(begun), dialect, named);
    let written = if !open.call().may_be_sent() {
        drop(read_on);
        open.release(stop.ending())
    } else if let Some((finisher, limit)) = open.drains() {
        open.close(stop.ending());
        finisher.carry_on(limit, read_on(open));
        return answer;
    } else {
        open.stop(stop.ending())
    };
    if written.await { answer } else { refused(&Refusal::Unwritten, dialect, named) }
}

/// Waits for an answer that nobody gets, and reads it for its usage.
async fn read_on<F, B, E>(answering: F, mut open: OpenCall, dialect: Dialect)
where
    F: Future<Output = Result<Response<B>, E>>,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: std::fmt::Display + Send + 'static,
{
    let Ok(response) = answering.await else {
        drop(open.release(Ending::Failed));
        return;
    };
    let (parts, body) = response.into_parts();
    let stream = parts.status.is_success() && is_event_stream(&parts.headers);
    open.head(parts.status, &parts.extensions, stream);
    if stream {
        stream::read_on(body, open).await;
    } else {
        let collected = collect(body, &open).await;
        drop(conclude(&parts, collected, &mut open, dialect, None));
    }
}

/// Reads the body of a call and what it asks for, or says why the body is not a call.
async fn read_call<B>(
    endpoint: Endpoint,
    headers: &HeaderMap,
    body: B,
    settings: &Settings,
) -> Result<(CallFacts, Bytes), Refusal>
where
    B: Body,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let Settings { body_bytes_max, body_wait, .. } = *settings;
    if headers.get(header::CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity") {
        let message =
            "The request body is compressed. Send it as plain JSON, without content-encoding."
                .into();
        return Err(Refusal::InvalidBody { field: None, message });
    }
    // If the length is declared, a body that is too long is refused before a byte is read.
    if body.size_hint().lower() > u64::try_from(body_bytes_max).unwrap_or(u64::MAX) {
        return Err(Refusal::BodyTooLarge(body_bytes_max));
    }
    let bytes = body::read(body, body_bytes_max, body_wait).await?;
    let read = if bytes.len() <= READ_AT_ONCE_BYTES_MAX && !request::waits(endpoint, &bytes) {
        request::read_with(endpoint, &bytes, &settings.allowed_fields)
    } else {
        read_apart(endpoint, bytes.clone(), settings).await?
    };
    match read {
        Ok(facts) => Ok((facts, bytes)),
        Err(invalid) => {
            Err(Refusal::InvalidBody { field: invalid.field, message: invalid.message.into() })
        }
    }
}

/// Reads a body on a blocking thread. Counting the tokens of megabytes takes tens of milliseconds, and would block
/// every other connection of a worker thread.
async fn read_apart(
    endpoint: Endpoint,
    bytes: Bytes,
    settings: &Settings,
) -> Result<Result<CallFacts, InvalidBody>, Refusal> {
    let Ok(place) = Arc::clone(&settings.readers).acquire_owned().await else {
        return Err(Refusal::Unavailable);
    };
    let allowed = Arc::clone(&settings.allowed_fields);
    let read = tokio::task::spawn_blocking(move || {
        let facts = request::read_with(endpoint, &bytes, &allowed);
        drop(place);
        facts
    });
    // Only a runtime that is shutting down refuses work.
    read.await.map_err(|_| Refusal::Unavailable)
}

/// An answer that is not a stream: it is read whole, the call ends, and only then is the answer sent.
async fn whole<B>(
    mut parts: Parts,
    body: B,
    mut open: OpenCall,
    dialect: Dialect,
    named: Option<&HeaderValue>,
    mut stops: Stops,
) -> Response<CallBody<B::Error>>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: std::fmt::Display + Send + 'static,
{
    let mut reading = Box::pin(collect(body, &open));
    let collected = match stops.unless_stopped(&mut reading).await {
        Ok(collected) => collected,
        Err(stop) => {
            let read_on = |mut open: OpenCall| async move {
                let collected = reading.await;
                drop(conclude(&parts, collected, &mut open, dialect, None));
            };
            return stopped(stop, true, open, dialect, named, read_on).await;
        }
    };
    drop(stops);
    let (written, answer) = conclude(&parts, collected, &mut open, dialect, named);
    if !written.await {
        return refused(&Refusal::Unwritten, dialect, named);
    }
    let bytes = match answer {
        Ok(bytes) => bytes,
        Err(instead) => return instead.map(CallBody::whole),
    };
    parts.headers.remove(header::TRANSFER_ENCODING);
    parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(bytes.len()));
    Response::from_parts(parts, CallBody::whole(bytes))
}

/// All bytes of an answer. Its time is bounded by [`Stops`].
fn collect<B>(
    body: B,
    open: &OpenCall,
) -> impl Future<Output = Result<Bytes, Unread>> + Send + 'static + use<B>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: std::fmt::Display + Send + 'static,
{
    // The error is only logged, so any error that can be displayed will do.
    let body = body.map_err(|error| error.to_string());
    body::read(body, open.settings().answer_bytes_max, Duration::MAX)
}

/// Ends a call whose answer is not a stream. Returns what the client gets once the end is written.
fn conclude(
    parts: &Parts,
    collected: Result<Bytes, Unread>,
    open: &mut OpenCall,
    dialect: Dialect,
    named: Option<&HeaderValue>,
) -> (Written, Result<Bytes, Response<Bytes>>) {
    /// An answer in one piece is sent when all of it is done.
    const ALL_WAS_DONE: End = End::Stopped { unseen: true };
    let request_id = open.call().request_id();
    let problem = match collected {
        Ok(bytes) if !parts.status.is_success() => {
            open.delivered(&bytes);
            let held = open.call().hold().is_some();
            if held && parts.extensions.get::<Unanswered>().is_some() {
                return (open.settle(Ending::Failed, End::Broken), Ok(bytes));
            }
            let refused = parts.extensions.get::<Refused>().is_some() && !held;
            let ending = if refused { Ending::Refused } else { Ending::Failed };
            return (open.release(ending), Ok(bytes));
        }
        Ok(bytes) => match open.meter().read_document(&bytes) {
            Seen::Other if !is_json(&bytes) => {
                open.forget_answer();
                "it is not JSON".to_owned()
            }
            Seen::Error => {
                // The provider's own document may name our account.
                let named = named.and_then(|name| name.to_str().ok());
                let bytes = Bytes::from(error_in_answer(&bytes, dialect, named).to_string());
                open.delivered(&bytes);
                return (open.settle_error(), Ok(bytes));
            }
            Seen::Content | Seen::Usage | Seen::Terminal | Seen::Other => {
                open.delivered(&bytes);
                return (open.settle(Ending::Complete, End::Whole), Ok(bytes));
            }
        },
        Err(unread) if parts.status.is_success() => unread.to_string(),
        Err(unread) => {
            tracing::warn!(%request_id, error = %unread, "the provider's refusal could not be read whole");
            let answer = document(&Refusal::ProviderFailed, dialect, named);
            open.answered_instead(answer.status(), answer.body());
            return (open.release(Ending::Failed), Err(answer));
        }
    };
    tracing::warn!(
        %request_id,
        problem,
        "the provider's answer cannot be read: it is withheld, and its hold is charged"
    );
    let answer = document(&Refusal::ProviderFailed, dialect, named);
    open.answered_instead(answer.status(), answer.body());
    (open.settle(Ending::Failed, ALL_WAS_DONE), Err(answer))
}

fn streamed<E>(mut parts: Parts, body: CallBody<E>) -> Response<CallBody<E>> {
    // A hidden usage event or an error event changes the length.
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    parts.headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    Response::from_parts(parts, body)
}

/// The refusal that the client of an open call gets instead of the provider's answer. The call's record keeps it.
#[cold]
fn instead<E>(
    open: &mut OpenCall,
    refusal: &Refusal,
    dialect: Dialect,
    named: Option<&HeaderValue>,
) -> Response<CallBody<E>> {
    let answer = document(refusal, dialect, named);
    open.answered_instead(answer.status(), answer.body());
    answer.map(CallBody::whole)
}

/// The answer to a refused request, with the request id that the caller gave.
#[cold]
fn refused<E>(
    refusal: &Refusal,
    dialect: Dialect,
    named: Option<&HeaderValue>,
) -> Response<CallBody<E>> {
    document(refusal, dialect, named).map(CallBody::whole)
}

fn document(refusal: &Refusal, dialect: Dialect, named: Option<&HeaderValue>) -> Response<Bytes> {
    let mut headers = HeaderMap::new();
    if let Some(name) = named {
        headers.insert(REQUEST_ID, name.clone());
    }
    refusal.respond(dialect, &headers)
}

/// Whether a document is JSON at all. Only checked if the meter found nothing that it knows.
fn is_json(document: &[u8]) -> bool {
    serde_json::from_slice::<serde::de::IgnoredAny>(document).is_ok()
}

/// Whether an answer with these headers is a stream of events.
pub(crate) fn is_event_stream(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    content_type.is_some_and(|value| {
        value.get(..17).is_some_and(|start| start.eq_ignore_ascii_case("text/event-stream"))
    })
}
