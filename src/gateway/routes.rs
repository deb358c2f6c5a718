//! Maps paths to services, and gives the few answers that come from the server itself.

#[cfg(test)]
mod tests;

use std::{
    convert::Infallible,
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use http_body::Body;
use http_body_util::Either;
use serde_json::json;
use tower_service::Service;

use super::{
    dev_tokens::DevTokens, observe, ready::Readiness, request_id, route::Route, telemetry::Metrics,
};
use crate::{
    body::{self, ResponseBody},
    refusal::{Refusal, dialect_of, error_document},
};

/// The body of every answer of the server.
pub(super) type RouteBody<C, M> = ResponseBody<Either<C, M>>;

/// Routes requests to the services for calls, for lists of models, and for settings of an organization's people.
#[derive(Clone, Debug)]
pub(super) struct Routes<C, M, A> {
    calls: C,
    models: M,
    admin: A,
    own: Arc<Own>,
    part: Part,
}

/// What the server needs for the answers that it gives itself.
#[derive(Debug)]
pub(super) struct Own {
    pub(super) readiness: Readiness,
    pub(super) metrics: Metrics,
    pub(super) tokens: Option<DevTokens>,
}

/// Which paths are served at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// All paths.
    All,
    /// The paths that callers use.
    Callers,
    /// The paths that operators use.
    Operators,
}

impl Part {
    const fn serves(self, route: Route) -> bool {
        match self {
            Self::All => true,
            Self::Callers => !route.is_probe(),
            Self::Operators => route.is_probe(),
        }
    }
}

impl<C, M, A> Routes<C, M, A> {
    pub(super) const fn new(calls: C, models: M, admin: A, own: Arc<Own>, part: Part) -> Self {
        Self { calls, models, admin, own, part }
    }
}

impl<C, M, A, B, CBody, MBody> Service<Request<B>> for Routes<C, M, A>
where
    C: Service<Request<B>, Response = Response<CBody>> + Clone + Send + 'static,
    C::Future: Send,
    C::Error: std::fmt::Display + Send,
    M: Service<Request<B>, Response = Response<MBody>> + Clone + Send + 'static,
    M::Future: Send,
    M::Error: std::fmt::Display + Send,
    A: Service<Request<B>, Response = Response<MBody>> + Clone + Send + 'static,
    A::Future: Send,
    A::Error: std::fmt::Display + Send,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    CBody: Send + 'static,
    MBody: Send + 'static,
{
    type Response = Response<RouteBody<CBody, MBody>>;
    type Error = Infallible;
    // Boxed, which costs one allocation a request: clarity is worth that in the outermost service.
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // The inner service is chosen, and made ready, only when there is a request.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let route = observe::route_of(&request);
        let route = if self.part.serves(route) { route } else { Route::Unknown };
        if let Some(allowed) = route.refuses(request.method()) {
            let refused = wrong_method(&request, allowed);
            return Box::pin(async { Ok(refused) });
        }
        match route {
            Route::Call(_) => Box::pin(through(self.calls.clone(), request, Either::Left)),
            Route::Models | Route::Model => {
                Box::pin(through(self.models.clone(), request, Either::Right))
            }
            Route::KillSwitches | Route::KillSwitch(_) => {
                Box::pin(through(self.admin.clone(), request, Either::Right))
            }
            own @ (Route::Health
            | Route::Ready
            | Route::Metrics
            | Route::DevToken
            | Route::Unknown) => {
                let parts = Arc::clone(&self.own);
                Box::pin(async move { Ok(parts.answer(own, request).await) })
            }
        }
    }
}

/// The service's answer. If the service fails, the caller gets 502, and the reason is logged.
async fn through<S, B, Inner, Outer>(
    mut service: S,
    request: Request<B>,
    wrap: fn(Inner) -> Outer,
) -> Result<Response<ResponseBody<Outer>>, Infallible>
where
    S: Service<Request<B>, Response = Response<Inner>>,
    S::Error: std::fmt::Display,
{
    let dialect = dialect_of(&request);
    let id = request.headers().get(request_id::HEADER).cloned();
    let answered = match poll_fn(|cx| service.poll_ready(cx)).await {
        Ok(()) => service.call(request).await,
        Err(error) => Err(error),
    };
    Ok(match answered {
        Ok(answer) => answer.map(|body| ResponseBody::inner(wrap(body))),
        Err(error) => {
            tracing::error!(%error, "the service behind the layers gave no answer");
            let headers: HeaderMap = id.into_iter().map(|id| (request_id::HEADER, id)).collect();
            Refusal::ProviderFailed.respond(dialect, &headers).map(ResponseBody::full)
        }
    })
}

impl Own {
    async fn answer<B, R>(&self, route: Route, request: Request<B>) -> Response<ResponseBody<R>>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        match (route, &self.tokens) {
            (Route::Health, _) => fresh(text("text/plain; charset=utf-8", "ok\n".into())),
            (Route::Ready, _) => {
                let report = self.readiness.report().await;
                let status =
                    if report.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
                fresh(body::json(status, json!(report).to_string()))
            }
            (Route::Metrics, _) => {
                fresh(text("text/plain; version=0.0.4; charset=utf-8", self.metrics.render()))
            }
            (Route::DevToken, Some(tokens)) => tokens.answer(request).await,
            _ => Refusal::UnknownEndpoint.answer(&request),
        }
    }
}

fn text(content_type: &'static str, text: String) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(text));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// An answer that no cache may keep.
fn fresh<R>(mut response: Response<Bytes>) -> Response<ResponseBody<R>> {
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response.map(ResponseBody::full)
}

fn wrong_method<B, R>(request: &Request<B>, allowed: &'static str) -> Response<ResponseBody<R>> {
    let status = StatusCode::METHOD_NOT_ALLOWED;
    let id = request.headers().get(request_id::HEADER).map(request_id::text);
    let message = format!("This endpoint takes {allowed} only.");
    let document =
        error_document(dialect_of(request), status, "method_not_allowed", None, &message, id);
    let mut response = fresh(body::json(status, document.to_string()));
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allowed));
    response
}
