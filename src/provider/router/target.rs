//! The target of a route in the ready-made server.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use pin_project::pin_project;
use tower_service::Service;

use crate::provider::{
    mock::{MockBody, MockBroke, MockProvider},
    upstream::{Upstream, UpstreamBody, UpstreamBroke},
};

/// A provider that ships with the crate. To use a provider of your own, make any service the target of a
/// [`Router`](super::Router).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Target {
    /// A provider over HTTP.
    Upstream(Upstream),
    /// A mock in this process.
    Mock(MockProvider),
}

/// The body of a [`Target`]'s answer.
#[pin_project]
#[derive(Debug)]
pub struct TargetBody {
    #[pin]
    kind: Kind,
}

#[pin_project(project = KindProject)]
#[derive(Debug)]
enum Kind {
    Upstream(#[pin] UpstreamBody),
    Mock(#[pin] MockBody),
}

/// A [`Target`]'s answer broke off.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
#[non_exhaustive]
pub enum TargetBroke {
    /// The answer of an upstream broke off.
    Upstream(UpstreamBroke),
    /// The answer of a mock broke off.
    Mock(MockBroke),
}

impl Body for TargetBody {
    type Data = Bytes;
    type Error = TargetBroke;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, TargetBroke>>> {
        match self.project().kind.project() {
            KindProject::Upstream(body) => body
                .poll_frame(cx)
                .map(|frame| frame.map(|frame| frame.map_err(TargetBroke::Upstream))),
            KindProject::Mock(body) => {
                body.poll_frame(cx).map(|frame| frame.map(|frame| frame.map_err(TargetBroke::Mock)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Upstream(body) => body.is_end_stream(),
            Kind::Mock(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Upstream(body) => body.size_hint(),
            Kind::Mock(body) => body.size_hint(),
        }
    }
}

impl<B> Service<Request<B>> for Target
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Response = Response<TargetBody>;
    type Error = Infallible;
    type Future = TargetFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> TargetFuture {
        TargetFuture(match self {
            Self::Upstream(upstream) => Answering::Upstream(upstream.call(request)),
            Self::Mock(mock) => Answering::Mock(mock.call(request)),
        })
    }
}

/// The future of [`Target`].
pub struct TargetFuture(Answering);

enum Answering {
    Upstream(Boxed<UpstreamBody>),
    Mock(Boxed<MockBody>),
}

type Boxed<B> = Pin<Box<dyn Future<Output = Result<Response<B>, Infallible>> + Send>>;

impl Future for TargetFuture {
    type Output = Result<Response<TargetBody>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        fn target<B>(
            kind: impl FnOnce(B) -> Kind,
        ) -> impl FnOnce(Response<B>) -> Response<TargetBody> {
            |answer| answer.map(|body| TargetBody { kind: kind(body) })
        }
        match &mut self.0 {
            Answering::Upstream(future) => future.as_mut().poll(cx).map_ok(target(Kind::Upstream)),
            Answering::Mock(future) => future.as_mut().poll(cx).map_ok(target(Kind::Mock)),
        }
    }
}

impl std::fmt::Debug for TargetFuture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TargetFuture").finish_non_exhaustive()
    }
}
