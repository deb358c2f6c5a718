//! Gives every answer in the caller's dialect, including the answers of tower-http's layers.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use pin_project::pin_project;
use tower_http::{BoxError, body::UnsyncBoxBody};
use tower_layer::Layer;
use tower_service::Service;

use super::request_id;
use crate::{
    domain::dialect::Dialect,
    refusal::{Refusal, dialect_of},
};

/// The status of an answer, in its extensions.
#[derive(Clone, Copy, Debug)]
struct Answered(StatusCode);

/// Restores the status of an answer that the compression layer has changed to 406.
///
/// The layer does so if the caller accepts no encoding, not even `identity`. But the body is an answer that was made
/// and charged.
pub(super) fn as_answered<B>(mut response: Response<B>) -> Response<B> {
    if response.status() == StatusCode::NOT_ACCEPTABLE
        && let Some(&Answered(status)) = response.extensions().get()
    {
        *response.status_mut() = status;
    }
    response
}

/// The body of an answer on the way through tower-http's layers.
pub(super) type BoxBody = UnsyncBoxBody<Bytes, BoxError>;

/// Marks an answer of the routes, in its extensions. An answer without the mark is from a tower-http layer, which knows
/// no dialect.
#[derive(Clone, Copy, Debug)]
struct OfRoutes;

/// Marks an answer of the routes, and removes a request id that an inner service has set. That id means nothing to the
/// caller and would keep the request's own id from being set.
pub(super) fn of_routes<B>(mut response: Response<B>) -> Response<B> {
    response.extensions_mut().insert(OfRoutes);
    response.headers_mut().remove(request_id::HEADER);
    response
}

/// The refusal that an answer of a tower-http layer stands for.
fn refusal(response: &Response<BoxBody>) -> Option<Refusal> {
    if response.extensions().get::<OfRoutes>().is_some() {
        return None;
    }
    match response.status() {
        StatusCode::INTERNAL_SERVER_ERROR => Some(Refusal::Panicked),
        StatusCode::UNSUPPORTED_MEDIA_TYPE => Some(Refusal::UnknownEncoding),
        _ => None,
    }
}

/// Applies [`Spoken`].
#[derive(Clone, Copy, Debug)]
pub(super) struct SpokenLayer;

impl<S> Layer<S> for SpokenLayer {
    type Service = Spoken<S>;

    fn layer(&self, inner: S) -> Spoken<S> {
        Spoken { inner }
    }
}

/// Translates the answers of tower-http's layers into the caller's dialect. Anthropic's clients also get the request id
/// in the header that they read, `request-id`.
///
/// Needs the request's id in its headers, and [`of_routes`] behind those layers.
#[derive(Clone, Debug)]
pub(super) struct Spoken<S> {
    inner: S,
}

impl<S, ReqBody> Service<Request<ReqBody>> for Spoken<S>
where
    S: Service<Request<ReqBody>, Response = Response<BoxBody>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = SpokenFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        let dialect = dialect_of(&request);
        let id = request.headers().get(request_id::HEADER).cloned();
        SpokenFuture { inner: self.inner.call(request), dialect, id }
    }
}

/// Resolves to the inner answer in the caller's dialect.
#[pin_project]
#[derive(Debug)]
pub(super) struct SpokenFuture<F> {
    #[pin]
    inner: F,
    dialect: Dialect,
    id: Option<HeaderValue>,
}

impl<F, E> Future for SpokenFuture<F>
where
    F: Future<Output = Result<Response<BoxBody>, E>>,
{
    type Output = Result<Response<BoxBody>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut response = ready!(this.inner.poll(cx))?;
        if let Some(refusal) = refusal(&response) {
            let meant = response;
            response = said(&refusal, *this.dialect, this.id.as_ref());
            // Tells the caller which encodings are supported.
            if let Some(known) = meant.headers().get(header::ACCEPT_ENCODING) {
                response.headers_mut().insert(header::ACCEPT_ENCODING, known.clone());
            }
        }
        let answered = Answered(response.status());
        response.extensions_mut().insert(answered);
        if *this.dialect == Dialect::Anthropic
            && let Some(id) = this.id.take()
        {
            response.headers_mut().insert(request_id::ANTHROPIC_HEADER, id);
        }
        Poll::Ready(Ok(response))
    }
}

/// The refusal as an answer to the request with this id.
#[cold]
fn said(refusal: &Refusal, dialect: Dialect, id: Option<&HeaderValue>) -> Response<BoxBody> {
    let headers: HeaderMap = id.into_iter().map(|id| (request_id::HEADER, id.clone())).collect();
    refusal
        .respond(dialect, &headers)
        .map(|bytes| BoxBody::new(Full::from(bytes).map_err(|never| match never {})))
}
