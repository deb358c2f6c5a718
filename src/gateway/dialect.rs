//! What an answer carries because of its caller's dialect.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{HeaderValue, Request, Response};
use pin_project::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::request_id;
use crate::{domain::dialect::Dialect, refusal::dialect_of};

/// Applies [`Spoken`].
#[derive(Clone, Copy, Debug)]
pub(super) struct SpokenLayer;

impl<S> Layer<S> for SpokenLayer {
    type Service = Spoken<S>;

    fn layer(&self, inner: S) -> Spoken<S> {
        Spoken { inner }
    }
}

/// Answers Anthropic's clients with the request's id under the name by which they look for it.
///
/// Needs the request's id in its headers.
#[derive(Clone, Debug)]
pub(super) struct Spoken<S> {
    inner: S,
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for Spoken<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
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

/// Resolves to the inner answer, with what belongs to the dialect.
#[pin_project]
#[derive(Debug)]
pub(super) struct SpokenFuture<F> {
    #[pin]
    inner: F,
    dialect: Dialect,
    id: Option<HeaderValue>,
}

impl<F, B, E> Future for SpokenFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<B>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut response = ready!(this.inner.poll(cx))?;
        if *this.dialect == Dialect::Anthropic
            && let Some(id) = this.id.take()
        {
            response.headers_mut().insert(request_id::ANTHROPIC_HEADER, id);
        }
        Poll::Ready(Ok(response))
    }
}
