//! Picks the provider for a call.

#[cfg(test)]
mod tests;

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use pin_project::pin_project;
use tower_service::Service;

use crate::{
    body::ResponseBody,
    context::{self, Call},
    domain::{dialect::Dialect, policy::AllowList},
    refusal::{Refusal, dialect_of},
};
#[cfg(feature = "http")]
use crate::{
    client::HttpClient,
    domain::request::AllowedFields,
    provider::upstream::{Upstream, UpstreamConfig, UpstreamError},
};

/// A target, and the calls that go to it.
#[derive(Clone, Debug)]
pub struct Route<T> {
    dialect: Dialect,
    models: AllowList,
    target: T,
}

impl<T> Route<T> {
    /// Calls in `dialect` for `models` go to `target`.
    pub const fn new(dialect: Dialect, models: AllowList, target: T) -> Self {
        Self { dialect, models, target }
    }
}

/// Picks the provider for a call: the first route that speaks the call's dialect and serves its model. Cheap to clone.
///
/// If the path is a model call, needs [`Call`] in the extensions (set by `CallLayer`). Other paths (`/v1/models`) go to
/// the first route of their dialect. A model that no route serves gets the same refusal as a model that is not allowed,
/// so that callers cannot tell the difference.
///
/// ```
/// use bytes::Bytes;
/// use http::{Request, StatusCode};
/// use http_body_util::Full;
/// use tollgate::{
///     Call,
///     domain::{dialect::Dialect, policy::AllowList},
///     provider::{Route, Router, mock::MockProvider},
/// };
/// use tower::ServiceExt;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let small = AllowList::Only(vec!["small-*".into()]);
/// let router = Router::new([Route::new(Dialect::OpenAi, small, MockProvider::new())]);
///
/// let request = Request::post("/v1/chat/completions").extension(Call::for_model("large"));
/// let answer = router.oneshot(request.body(Full::<Bytes>::default()).unwrap()).await.unwrap();
/// assert_eq!(answer.status(), StatusCode::FORBIDDEN);
/// # }
/// ```
#[derive(Debug)]
pub struct Router<T> {
    routes: Arc<[Route<T>]>,
}

impl<T> Clone for Router<T> {
    fn clone(&self) -> Self {
        Self { routes: Arc::clone(&self.routes) }
    }
}

impl<T> Router<T> {
    /// A router that tries these routes in this order.
    pub fn new(routes: impl IntoIterator<Item = Route<T>>) -> Self {
        Self { routes: routes.into_iter().collect() }
    }

    /// The target of a request. Takes the whole request and not only the model, because routes may later depend on the
    /// tenant.
    fn target_of<B>(&self, request: &Request<B>) -> Result<&T, Refusal> {
        let call = Call::of(request);
        let endpoint = context::endpoint_of(request.extensions(), request.uri());
        if call.is_none() && endpoint.is_some() {
            return Err(Refusal::Miswired("CallLayer"));
        }
        let dialect = dialect_of(request);
        let mut routes = self.routes.iter().filter(|route| route.dialect == dialect);
        match call.map(|call| call.facts().model.as_str()) {
            Some(model) => routes
                .find(|route| route.models.allows(model))
                .ok_or_else(|| Refusal::ModelNotAllowed(model.to_owned())),
            None => routes.next().ok_or(Refusal::UnknownEndpoint),
        }
        .map(|route| &route.target)
    }
}

#[cfg(feature = "http")]
impl Router<Upstream> {
    /// One route for each upstream, in this order. All upstreams share the connection pool of `client`.
    pub fn to_upstreams(
        configs: impl IntoIterator<Item = UpstreamConfig>,
        client: &HttpClient,
    ) -> Result<Self, UpstreamError> {
        let mut names = std::collections::HashSet::new();
        let mut routes = Vec::new();
        for config in configs {
            if !names.insert(config.name.clone()) {
                return Err(UpstreamError::SameName(config.name));
            }
            let (dialect, models) = (config.dialect, config.models.clone());
            let upstream = Upstream::new(config, client.clone())?;
            routes.push(Route::new(dialect, models, upstream));
        }
        Ok(Self::new(routes))
    }

    /// The further fields that each route lets through, in the order of the routes.
    pub fn allowed_fields(&self) -> AllowedFields {
        self.routes.iter().fold(AllowedFields::default(), |allowed, route| {
            let fields = route.target.config().allow_fields.clone();
            allowed.route(route.dialect, route.models.clone(), fields)
        })
    }

    /// The upstreams, so that their credentials can be checked at start.
    pub fn upstreams(&self) -> impl Iterator<Item = &Upstream> {
        self.routes.iter().map(|route| &route.target)
    }
}

impl<T, ReqBody, ResBody> Service<Request<ReqBody>> for Router<T>
where
    T: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
    ResBody: Body<Data = Bytes>,
{
    type Response = Response<ResponseBody<ResBody>>;
    type Error = T::Error;
    type Future = RouterFuture<T, ReqBody, ResBody>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        // The target is only known once there is a request. The future then waits until the target is ready.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        RouterFuture {
            state: match self.target_of(&request) {
                Ok(target) => State::Waiting { target: target.clone(), request: Some(request) },
                Err(refusal) => State::Refused { answer: Some(refusal.answer(&request)) },
            },
        }
    }
}

/// The future of [`Router`].
#[pin_project]
pub struct RouterFuture<T, ReqBody, ResBody>
where
    T: Service<Request<ReqBody>>,
{
    #[pin]
    state: State<T, T::Future, ReqBody, ResBody>,
}

#[pin_project(project = StateProject)]
enum State<T, F, ReqBody, ResBody> {
    Waiting {
        target: T,
        request: Option<Request<ReqBody>>,
    },
    Calling {
        #[pin]
        future: F,
    },
    Refused {
        answer: Option<Response<ResponseBody<ResBody>>>,
    },
}

impl<T, ReqBody, ResBody> Future for RouterFuture<T, ReqBody, ResBody>
where
    T: Service<Request<ReqBody>, Response = Response<ResBody>>,
{
    type Output = Result<Response<ResponseBody<ResBody>>, T::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            let future = match state.as_mut().project() {
                StateProject::Waiting { target, request } => {
                    ready!(target.poll_ready(cx))?;
                    // `None` only if the target panicked and the future is polled again.
                    let Some(request) = request.take() else { return Poll::Pending };
                    target.call(request)
                }
                StateProject::Calling { future } => {
                    return future.poll(cx).map_ok(|answer| answer.map(ResponseBody::inner));
                }
                StateProject::Refused { answer } => {
                    return answer.take().map_or(Poll::Pending, |answer| Poll::Ready(Ok(answer)));
                }
            };
            state.set(State::Calling { future });
        }
    }
}

impl<T, ReqBody, ResBody> std::fmt::Debug for RouterFuture<T, ReqBody, ResBody>
where
    T: Service<Request<ReqBody>>,
{
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RouterFuture").finish_non_exhaustive()
    }
}
