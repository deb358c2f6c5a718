//! [`Calls`]: reads a call, passes it on, and holds its answer back until the call has ended.

use std::{
    mem,
    sync::Arc,
    task::{Context, Poll},
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
    open::{OpenCall, Reached},
    stream::Metered,
    switch::Watched,
};
use crate::{
    body::{self, RequestBody},
    context::{self, Arrival, Call, Tenant},
    domain::{
        dialect::Dialect,
        endpoint::Endpoint,
        finish::Ending,
        ids::RequestId,
        request::{self, CallFacts, InvalidBody},
        scope::Scope,
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
    let watched = open.watched();
    let answering = ready.call(Request::from_parts(parts, RequestBody::new(original, call)));
    let response = match unless_cut(watched.as_ref(), answering).await {
        Ok(Ok(response)) => response,
        Ok(Err(error)) => {
            // A layer further out makes the client's answer.
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

/// Runs `work`. If the kill switch cuts the call first, drops `work` and returns the stopped scope.
async fn unless_cut<F: Future>(watched: Option<&Watched>, work: F) -> Result<F::Output, Scope> {
    match watched {
        Some(watched) => watched.unless_cut(work).await,
        None => Ok(work.await),
    }
}

/// Ends a call that the kill switch cut before any of its answer was sent. If the provider was not reached yet, the
/// hold is released. Otherwise at least the input is charged.
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
    watched: Option<Watched>,
) -> Response<CallBody<B::Error>>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: std::fmt::Display + Send + 'static,
{
    // The error is only logged, so any error that can be displayed will do.
    let body = body.map_err(|error| error.to_string());
    let read = body::read(body, open.settings().answer_bytes_max, open.time_left());
    let collected = match unless_cut(watched.as_ref(), read).await {
        Ok(collected) => collected,
        Err(scope) => return cut(scope, open, dialect, named).await,
    };
    drop(watched);
    let refused_by_layer = parts.extensions.get::<Refused>().is_some();
    let (written, answer) = match collected {
        Ok(bytes) if parts.status.is_success() => {
            let seen = open.meter().read_document(&bytes);
            if seen == Seen::Other && !is_json(&bytes) {
                tracing::warn!(
                    request_id = %open.call().request_id(),
                    "the provider's answer is not JSON: it is withheld and not charged"
                );
                let answer = instead(&mut open, &Refusal::ProviderFailed, dialect, named);
                (open.release(Ending::Failed), Err(answer))
            } else {
                let bytes = if seen == Seen::Error {
                    // The provider's own document may name our account.
                    let named = named.and_then(|name| name.to_str().ok());
                    error_in_answer(&bytes, dialect, named).to_string().into()
                } else {
                    bytes
                };
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
            tracing::warn!(
                request_id = %open.call().request_id(),
                %error,
                "the provider's answer could not be read whole: it is withheld and not charged"
            );
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
