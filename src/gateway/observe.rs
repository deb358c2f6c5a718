//! What operators see of every request: its id, a span, one log line and the HTTP metrics.
//!
//! The line is written when the answer has ended, whichever way: with its last byte, or because the
//! client left. It names the route's template, never the path, and nothing of what was said.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Instant,
};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response};
use http_body::{Body, Frame, SizeHint};
use pin_project::pin_project;
use tower_service::Service;
use tracing::{Span, field};

use super::{request_id, route::Route};
use crate::{
    domain::dialect::Dialect,
    refusal::{Refused, dialect_of},
};

/// Watches every request that goes through to `inner`.
#[derive(Clone, Debug)]
pub(super) struct Observe<S> {
    inner: S,
}

impl<S> Observe<S> {
    pub(super) const fn new(inner: S) -> Self {
        Self { inner }
    }
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for Observe<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
{
    type Response = Response<ObservedBody<ResBody>>;
    type Error = S::Error;
    type Future = ObserveFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<ReqBody>) -> Self::Future {
        let id = request_id::settle_on(&mut request);
        let watch = Watch::begin(request.method(), request.uri().path(), &id);
        let dialect = dialect_of(&request);
        let inner = watch.span.in_scope(|| self.inner.call(request));
        ObserveFuture { inner, watching: Some((watch, id, dialect)) }
    }
}

/// Resolves to the inner answer, with `x-request-id`, and with `request-id` for Anthropic's clients.
#[pin_project]
#[derive(Debug)]
pub(super) struct ObserveFuture<F> {
    #[pin]
    inner: F,
    watching: Option<(Watch, HeaderValue, Dialect)>,
}

impl<F, B, E> Future for ObserveFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<ObservedBody<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let polled = {
            let _entered = this.watching.as_ref().map(|(watch, ..)| watch.span.enter());
            this.inner.poll(cx)
        };
        let mut response = ready!(polled)?;
        let watch = this.watching.take().map(|(mut watch, id, dialect)| {
            watch.status = response.status().as_u16();
            watch.refused = response.extensions().get::<Refused>().map(|refused| refused.code);
            if dialect == Dialect::Anthropic {
                // Where that vendor's clients look for it.
                response.headers_mut().insert(request_id::ANTHROPIC_HEADER, id.clone());
            }
            response.headers_mut().insert(request_id::HEADER, id);
            watch
        });
        Poll::Ready(Ok(response.map(|inner| ObservedBody { inner, watch })))
    }
}

/// The inner answer's body; tells the log when it is over.
#[pin_project]
#[derive(Debug)]
pub(super) struct ObservedBody<B> {
    #[pin]
    inner: B,
    watch: Option<Watch>,
}

impl<B: Body<Data = Bytes>> Body for ObservedBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let mut this = self.project();
        let polled = {
            let _entered = this.watch.as_ref().map(|watch| watch.span.enter());
            ready!(this.inner.as_mut().poll_frame(cx))
        };
        let over = match &polled {
            None => Some(End::Complete),
            Some(Err(_)) => Some(End::Broken),
            // The server stops asking once it knows that no more is to come.
            Some(Ok(_)) => this.inner.is_end_stream().then_some(End::Complete),
        };
        if let Some(end) = over {
            drop(this.watch.take().map(|watch| watch.ended(end)));
        }
        Poll::Ready(polled)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[derive(Clone, Copy, Debug)]
enum End {
    Complete,
    Broken,
    /// Dropped before its end: the client left, or the connection was cut.
    Abandoned,
}

/// One request under observation. Writes its line and its metrics when it is dropped.
struct Watch {
    span: Span,
    route: Route,
    started: Instant,
    /// 0 until there is an answer.
    status: u16,
    refused: Option<&'static str>,
    end: End,
}

impl Watch {
    fn begin(method: &Method, path: &str, id: &HeaderValue) -> Self {
        let route = Route::of(path);
        let span = tracing::info_span!(
            "request",
            request_id = request_id::text(id),
            organization_id = field::Empty,
            method = method_name(method),
            route = route.template(),
        );
        metrics::gauge!("tollgate_http_requests_open").increment(1);
        Self { span, route, started: Instant::now(), status: 0, refused: None, end: End::Abandoned }
    }

    fn ended(mut self, end: End) -> Self {
        self.end = end;
        self
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let elapsed = self.started.elapsed();
        let (status, route) = (self.status, self.route.template());
        metrics::gauge!("tollgate_http_requests_open").decrement(1);
        metrics::counter!("tollgate_http_requests_total", "route" => route, "status" => status_class(status)).increment(1);
        metrics::histogram!("tollgate_http_request_seconds", "route" => route).record(elapsed);
        let _entered = self.span.enter();
        let latency_us = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
        let refused = self.refused;
        let end = match self.end {
            End::Complete => "complete",
            End::Broken => "broken",
            End::Abandoned => "abandoned",
        };
        if self.route.is_probe() {
            tracing::debug!(target: "tollgate::access", status, latency_us, end, "answered");
        } else if status >= 500 {
            tracing::warn!(target: "tollgate::access", status, latency_us, end, refused, "answered");
        } else {
            tracing::info!(target: "tollgate::access", status, latency_us, end, refused, "answered");
        }
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch")
            .field("route", &self.route)
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

/// A method from a fixed list: callers may invent others, and would fill the log with them.
fn method_name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::PATCH => "PATCH",
        _ => "other",
    }
}

const fn status_class(status: u16) -> &'static str {
    match status {
        0 => "none",
        100..=199 => "1xx",
        200..=299 => "2xx",
        300..=399 => "3xx",
        400..=499 => "4xx",
        _ => "5xx",
    }
}
