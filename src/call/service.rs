//! [`Calls`]: reads a call, passes it on, and holds its answer to the end.

use std::{
    mem,
    pin::pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header, response::Parts};
use http_body::Body;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tokio::time::{Instant, timeout};
use tower_service::Service;
use uuid::Uuid;

use super::{
    body::CallBody,
    future::CallFuture,
    layer::Settings,
    open::{OpenCall, Reached},
    stream::Metered,
    switch::Watched,
};
use crate::{
    body::RequestBody,
    context::{Call, Tenant},
    domain::{
        dialect::Dialect,
        endpoint::Endpoint,
        finish::Ending,
        ids::RequestId,
        request::{self, CallFacts, InvalidBody},
        scope::Scope,
        usage::Seen,
    },
    refusal::{REQUEST_ID, Refusal, Refused, dialect_of},
};

/// A body up to this long is read where it arrived: it takes less than moving it to another thread is
/// worth.
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
        // `poll_ready` readied this very instance; the clone left behind starts over.
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
        let endpoint = settings.endpoint.or_else(|| Endpoint::of_path(parts.uri.path()));
        let endpoint = endpoint.ok_or(Refusal::UnknownEndpoint)?;
        read_call(endpoint, &parts.headers, body, &settings).await
    };
    let (facts, original) = match read.await {
        Ok(read) => read,
        Err(refusal) => {
            return Ok(refused(&refusal, dialect, parts.headers.get(REQUEST_ID)));
        }
    };
    let place = match settings
        .finisher
        .as_ref()
        .map(|finisher| finisher.place().ok_or(Refusal::Unavailable))
    {
        None => None,
        Some(Ok(place)) => Some(place),
        Some(Err(refusal)) => {
            tracing::warn!(
                "as many calls are open as there are places for their ends; refusing one"
            );
            return Ok(refused(&refusal, dialect, parts.headers.get(REQUEST_ID)));
        }
    };

    let request_id =
        parts.extensions.get::<RequestId>().copied().unwrap_or_else(RequestId::generate);
    let call = Call::since(started, request_id, facts);
    let tenant = parts.extensions.get::<Tenant>().cloned();
    let named = parts.headers.get(REQUEST_ID).cloned();
    // The header may be the outermost layer's own copy of the id, which says nothing new.
    let client_request_id = named
        .as_ref()
        .and_then(valid_request_id)
        .filter(|id| Uuid::try_parse(id).ok() != Some(request_id.as_uuid()))
        .map(str::to_owned);
    let mut open =
        OpenCall::new(call.clone(), tenant, place, settings, original.clone(), client_request_id);
    drop(reached.set(call.clone()));

    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.remove(header::TRANSFER_ENCODING);
    parts.extensions.insert(call.clone());
    // From before the hold on, so that no call is overlooked: one whose hold the switch came too late for
    // is seen by whoever hears of the switch.
    let watched = open.watched();
    let answering = ready.call(Request::from_parts(parts, RequestBody::new(original, call)));
    let response = match unless_cut(watched.as_ref(), answering).await {
        Ok(Ok(response)) => response,
        Ok(Err(error)) => {
            // What the client gets is made further out.
            open.answered_instead(StatusCode::BAD_GATEWAY, &Bytes::new());
            drop(open.release(Ending::Failed));
            return Err(error);
        }
        Err(scope) => return Ok(cut(scope, open, dialect, named.as_ref()).await),
    };

    let (parts, body) = response.into_parts();
    let stream = parts.status.is_success() && is_event_stream(&parts.headers);
    open.head(parts.status, &parts.extensions, stream);
    if stream {
        let body = CallBody::stream(Metered::new(body, open, dialect, named, watched));
        return Ok(streamed(parts, body));
    }
    Ok(whole(parts, body, open, dialect, named.as_ref(), watched).await)
}

/// What `work` comes to, unless the kill switch is on before; then it is dropped.
async fn unless_cut<F: Future>(watched: Option<&Watched>, work: F) -> Result<F::Output, Scope> {
    match watched {
        Some(watched) => watched.unless_cut(work).await,
        None => Ok(work.await),
    }
}

/// The answer to a call that the kill switch has ended before its answer went out. What was set aside
/// before the provider was reached is given back; after that at least the input is charged.
#[cold]
async fn cut<E>(
    scope: Scope,
    mut open: OpenCall,
    dialect: Dialect,
    named: Option<&HeaderValue>,
) -> Response<CallBody<E>> {
    let suspended = instead(&mut open, &Refusal::Suspended(scope), dialect, named);
    if open.end_early(Ending::Cut).await {
        suspended
    } else {
        refused(&Refusal::Unwritten, dialect, named)
    }
}

/// The body of a call and what it asks for, or why it is none.
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
    let too_large = Refusal::BodyTooLarge(body_bytes_max);
    if headers.get(header::CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity") {
        let message =
            "The request body is compressed. Send it as plain JSON, without content-encoding."
                .into();
        return Err(Refusal::InvalidBody { field: None, message });
    }
    // Refused before a byte is read, where the length is declared.
    if body.size_hint().lower() > u64::try_from(body_bytes_max).unwrap_or(u64::MAX) {
        return Err(too_large);
    }
    let bytes = match timeout(body_wait, Limited::new(body, body_bytes_max).collect()).await {
        Err(_) => return Err(Refusal::BodyTimedOut),
        Ok(Ok(collected)) => collected.to_bytes(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => return Err(too_large),
        Ok(Err(_)) => {
            let message = "The request body broke off before its end, or is not what its content-encoding says. Send it again.".into();
            return Err(Refusal::InvalidBody { field: None, message });
        }
    };
    let read = if bytes.len() <= READ_AT_ONCE_BYTES_MAX && !request::waits(endpoint, &bytes) {
        request::read(endpoint, &bytes)
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

/// Reads a body on a thread for work that takes its time: counting the tokens of megabytes takes tens
/// of milliseconds, in which a thread that drives connections would keep all of them waiting.
async fn read_apart(
    endpoint: Endpoint,
    bytes: Bytes,
    settings: &Settings,
) -> Result<Result<CallFacts, InvalidBody>, Refusal> {
    let Ok(place) = Arc::clone(&settings.readers).acquire_owned().await else {
        return Err(Refusal::Unavailable);
    };
    let read = tokio::task::spawn_blocking(move || {
        let facts = request::read(endpoint, &bytes);
        drop(place);
        facts
    });
    // Only a runtime that is shutting down takes no more work.
    read.await.map_err(|_| Refusal::Unavailable)
}

/// An answer that is not a stream: read whole, ended, and only then let go.
async fn whole<B>(
    mut parts: Parts,
    body: B,
    mut open: OpenCall,
    dialect: Dialect,
    named: Option<&HeaderValue>,
    watched: Option<Watched>,
) -> Response<CallBody<B::Error>>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: std::fmt::Display + Send + 'static,
{
    let limit = open.settings().answer_bytes_max;
    let left = open.time_left();
    let read = unless_cut(watched.as_ref(), timeout(left, read_whole(body, limit)));
    let collected = match read.await {
        Ok(collected) => collected.unwrap_or_else(|_| Err("it takes too long".to_owned())),
        Err(scope) => return cut(scope, open, dialect, named).await,
    };
    drop(watched);
    let refused_by_layer = parts.extensions.get::<Refused>().is_some();
    let (written, answer) = match collected {
        Ok(bytes) if parts.status.is_success() => {
            if open.meter().read_document(&bytes) == Seen::Other && !is_json(&bytes) {
                tracing::warn!(request_id = %open.call().request_id(), "the provider's answer is no JSON: withheld, and not paid for");
                let answer = instead(&mut open, &Refusal::ProviderFailed, dialect, named);
                (open.release(Ending::Failed), Err(answer))
            } else {
                open.delivered(&bytes);
                (open.settle(Ending::Complete), Ok(bytes))
            }
        }
        Ok(bytes) => {
            open.delivered(&bytes);
            let refused = refused_by_layer && open.call().hold().is_none();
            let ending = if refused { Ending::Refused } else { Ending::Failed };
            (open.release(ending), Ok(bytes))
        }
        Err(error) => {
            tracing::warn!(request_id = %open.call().request_id(), %error, "the provider's answer broke off, or is too long");
            let answer = instead(&mut open, &Refusal::ProviderFailed, dialect, named);
            (open.release(Ending::Failed), Err(answer))
        }
    };
    if !written.await {
        return refused(&Refusal::Unwritten, dialect, named);
    }
    let bytes = match answer {
        Ok(bytes) => bytes,
        Err(instead) => return instead,
    };
    parts.headers.remove(header::TRANSFER_ENCODING);
    parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(bytes.len()));
    Response::from_parts(parts, CallBody::whole(bytes))
}

/// All bytes of a body of at most `bytes_max`, without a copy where they come in one frame.
async fn read_whole<B>(body: B, bytes_max: usize) -> Result<Bytes, String>
where
    B: Body<Data = Bytes>,
    B::Error: std::fmt::Display,
{
    let mut body = pin!(body);
    let (mut first, mut joined) = (Bytes::new(), BytesMut::new());
    while let Some(frame) = body.as_mut().frame().await {
        let Ok(data) = frame.map_err(|error| error.to_string())?.into_data() else { continue };
        let length = first.len().saturating_add(joined.len()).saturating_add(data.len());
        if length > bytes_max {
            return Err(format!("the answer is longer than {bytes_max} bytes"));
        }
        if first.is_empty() && joined.is_empty() {
            first = data;
        } else {
            joined.extend_from_slice(&mem::take(&mut first));
            joined.extend_from_slice(&data);
        }
    }
    Ok(if joined.is_empty() { first } else { joined.freeze() })
}

fn streamed<E>(mut parts: Parts, body: CallBody<E>) -> Response<CallBody<E>> {
    // The length may change by a hidden usage event or an error event; streams have none anyway.
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    parts.headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    Response::from_parts(parts, body)
}

/// The refusal that the client of an open call gets instead of an answer. The record of the call keeps it.
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

/// The answer of a refusal, which names the request as the caller did.
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

/// Whether a document is JSON at all; asked only where the meter could make nothing of it.
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

/// The caller's own request id, where it is one that can go into a log and a header.
fn valid_request_id(named: &HeaderValue) -> Option<&str> {
    let id = named.to_str().ok()?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    (!id.is_empty() && id.len() <= 128 && id.bytes().all(plain)).then_some(id)
}
