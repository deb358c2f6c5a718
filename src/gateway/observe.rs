//! What operators see of every request: a span, one log line and the HTTP metrics.
//!
//! tower-http's trace layer keeps the span, and reports the answer's status and end. The line is written when the
//! answer ends: with its last byte, or because the client left. The trace layer's callbacks are not called when a
//! client leaves. So the line belongs to the layer's classifier: one is made for each request, travels with the
//! answer's body, and is dropped with it. The line names the route's template, never the path, and contains nothing of
//! the bodies.

use std::{fmt, time::Instant};

use http::{Method, Request, Response};
use tower_http::{
    classify::{ClassifiedResponse, ClassifyEos, ClassifyResponse, MakeClassifier},
    trace::{MakeSpan, TraceLayer},
};
use tracing::{Span, field};

use super::{request_id, route::Route};
use crate::refusal::Refused;

/// A trace layer with our span and our line. [`open_span`] must run before it, and the request must have its id.
pub(super) fn trace() -> TraceLayer<Watching, Watching, (), (), (), (), ()> {
    TraceLayer::new(Watching)
        .make_span_with(Watching)
        .on_request(())
        .on_response(())
        .on_body_chunk(())
        .on_eos(())
        .on_failure(())
}

/// Opens the span of a request, for the trace layer and for the access line.
pub(super) fn open_span<B>(mut request: Request<B>) -> Request<B> {
    let route = Route::read(&request);
    let id = request.headers().get(request_id::HEADER).map(request_id::text);
    let span = tracing::info_span!(
        "request",
        request_id = id,
        organization_id = field::Empty,
        method = method_name(request.method()),
        route = route.template(),
    );
    request.extensions_mut().insert(Opened { span, route });
    request
}

/// The span of a request and its route, in its extensions.
#[derive(Clone)]
struct Opened {
    span: Span,
    route: Route,
}

/// The route of a request: the one that [`open_span`] has read, else read now.
pub(super) fn route_of<B>(request: &Request<B>) -> Route {
    let opened = request.extensions().get::<Opened>();
    opened.map_or_else(|| Route::read(request), |opened| opened.route)
}

fn span_of<B>(request: &Request<B>) -> Span {
    let opened = request.extensions().get::<Opened>();
    opened.map_or_else(Span::none, |opened| opened.span.clone())
}

/// Makes a [`Watch`] for every request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Watching;

impl<B> MakeSpan<B> for Watching {
    fn make_span(&mut self, request: &Request<B>) -> Span {
        span_of(request)
    }
}

impl MakeClassifier for Watching {
    type Classifier = Watch;
    type FailureClass = ();
    type ClassifyEos = Watch;

    fn make_classifier<B>(&self, request: &Request<B>) -> Watch {
        Watch(Some(Line::begin(route_of(request), span_of(request))))
    }
}

/// The access line of one request, which travels with the answer. It is written on drop.
#[derive(Debug)]
pub(super) struct Watch(Option<Line>);

/// The trace layer requires `Clone` and never clones. A clone would write no second line.
impl Clone for Watch {
    fn clone(&self) -> Self {
        Self(None)
    }
}

impl Watch {
    fn ended(mut self, end: End) {
        if let Some(line) = &mut self.0 {
            line.end = end;
        }
    }
}

impl ClassifyResponse for Watch {
    type FailureClass = ();
    type ClassifyEos = Self;

    fn classify_response<B>(mut self, response: &Response<B>) -> ClassifiedResponse<(), Self> {
        if let Some(line) = &mut self.0 {
            line.status = response.status().as_u16();
            line.refused = response.extensions().get::<Refused>().map(|refused| refused.code);
        }
        ClassifiedResponse::RequiresEos(self)
    }

    fn classify_error<E: fmt::Display>(self, _: &E) {
        self.ended(End::Broken);
    }
}

impl ClassifyEos for Watch {
    type FailureClass = ();

    fn classify_eos(self, _: Option<&http::HeaderMap>) -> Result<(), ()> {
        self.ended(End::Complete);
        Ok(())
    }

    fn classify_error<E: fmt::Display>(self, _: &E) {
        self.ended(End::Broken);
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
struct Line {
    span: Span,
    route: Route,
    started: Instant,
    /// The answer's status; 0 until there is an answer.
    status: u16,
    refused: Option<&'static str>,
    end: End,
}

impl Line {
    fn begin(route: Route, span: Span) -> Self {
        metrics::gauge!("tollgate_http_requests_open").increment(1);
        Self { span, route, started: Instant::now(), status: 0, refused: None, end: End::Abandoned }
    }
}

impl Drop for Line {
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

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Line")
            .field("route", &self.route)
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

/// The method's name from a fixed list, so that callers cannot fill logs and metrics with invented methods.
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
