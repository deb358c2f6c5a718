use std::{
    convert::Infallible,
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::Full;
use serde_json::Value;
use tower_service::Service;

use super::{answer, target::Target};
use crate::{
    admission::{self, TENANT_LAYER},
    body,
    context::Tenant,
    domain::dialect::Dialect,
    refusal::{self, Refusal},
    store::{Policies, Prices},
};

/// Lists the models that the caller's organization may use. See the [module docs](super).
#[derive(Clone, Debug)]
pub struct Listing {
    policies: Policies,
    prices: Prices,
}

impl Listing {
    /// Lists the models that have one of these prices and that these policies allow.
    pub const fn new(policies: Policies, prices: Prices) -> Self {
        Self { policies, prices }
    }

    fn answer<B>(&self, request: &Request<B>, dialect: Dialect) -> State {
        let Some(tenant) = Tenant::of(request) else {
            return State::Known(Err(Refusal::Miswired(TENANT_LAYER)));
        };
        let uri = request.uri();
        let reads = matches!(*request.method(), Method::GET | Method::HEAD);
        let target = if reads { Target::read(uri.path(), uri.query(), dialect) } else { None };
        let Some(target) = target else {
            return State::Known(Err(Refusal::UnknownEndpoint));
        };
        if let Some(standing) = self.policies.peek(tenant) {
            return State::Known(answer::to(target, &standing, &self.prices, dialect));
        }
        let (listing, tenant) = (self.clone(), tenant.clone());
        State::Asking(Box::pin(async move {
            let standing = admission::standing(&listing.policies, &tenant, None).await?;
            answer::to(target, &standing, &listing.prices, dialect)
        }))
    }
}

impl<B> Service<Request<B>> for Listing {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = ListingFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> ListingFuture {
        let dialect = refusal::dialect_of(&request);
        let state = self.answer(&request, dialect);
        let (parts, _) = request.into_parts();
        ListingFuture { dialect, request_headers: parts.headers, state }
    }
}

/// The response future of [`Listing`].
pub struct ListingFuture {
    dialect: Dialect,
    request_headers: HeaderMap,
    state: State,
}

enum State {
    Known(Result<Value, Refusal>),
    Asking(Pin<Box<dyn Future<Output = Result<Value, Refusal>> + Send>>),
}

impl Future for ListingFuture {
    type Output = Result<Response<Full<Bytes>>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let State::Asking(asking) = &mut self.state {
            self.state = State::Known(ready!(asking.as_mut().poll(cx)));
        }
        Poll::Ready(Ok(match &self.state {
            State::Known(Ok(document)) => {
                body::json(StatusCode::OK, document.to_string()).map(Full::new)
            }
            State::Known(Err(refusal)) => {
                refusal.respond(self.dialect, &self.request_headers).map(Full::new)
            }
            State::Asking(_) => return Poll::Pending,
        }))
    }
}

impl fmt::Debug for ListingFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ListingFuture").field("dialect", &self.dialect).finish_non_exhaustive()
    }
}
