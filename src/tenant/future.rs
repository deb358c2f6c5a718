use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{Request, Response};
use pin_project::pin_project;
use tower_service::Service;

use super::{
    admit::{Outcome, admit},
    verifier::{Verifier, Waiting},
};
use crate::{body::ResponseBody, refusal::Refusal};

type Wait = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The future of [`Tenants`](super::Tenants).
#[pin_project]
pub struct ResponseFuture<S, ReqBody, ResBody>
where
    S: Service<Request<ReqBody>>,
{
    #[pin]
    state: State<S, ReqBody, ResBody>,
}

#[pin_project(project = StateProject)]
enum State<S, ReqBody, ResBody>
where
    S: Service<Request<ReqBody>>,
{
    Inner(#[pin] S::Future),
    Refused(Option<Response<ResponseBody<ResBody>>>),
    Waiting(Wait, Option<Box<Held<S, ReqBody>>>),
}

/// What a request that waits for a key needs to continue. Boxed, so that requests with a known key
/// have a small future.
struct Held<S, ReqBody> {
    verifier: Verifier,
    waits: u8,
    inner: S,
    request: Request<ReqBody>,
}

impl<S, ReqBody, ResBody> ResponseFuture<S, ReqBody, ResBody>
where
    S: Service<Request<ReqBody>>,
{
    pub(super) const fn forward(inner: S::Future) -> Self {
        Self { state: State::Inner(inner) }
    }

    pub(super) fn refuse(refusal: &Refusal, request: &Request<ReqBody>) -> Self {
        Self { state: State::Refused(Some(refusal.answer(request))) }
    }

    pub(super) fn wait(
        waiting: Waiting,
        verifier: Verifier,
        inner: S,
        request: Request<ReqBody>,
    ) -> Self {
        let held = Box::new(Held { verifier, waits: 1, inner, request });
        Self { state: State::Waiting(Box::pin(waiting.ended()), Some(held)) }
    }
}

impl<S, ReqBody, ResBody> Future for ResponseFuture<S, ReqBody, ResBody>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
{
    type Output = Result<Response<ResponseBody<ResBody>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            let next = match state.as_mut().project() {
                StateProject::Inner(inner) => {
                    return inner.poll(cx).map_ok(|response| response.map(ResponseBody::inner));
                }
                StateProject::Refused(response) => match response.take() {
                    Some(response) => return Poll::Ready(Ok(response)),
                    None => return Poll::Pending, // polled after completion
                },
                StateProject::Waiting(wait, held) => {
                    ready!(wait.as_mut().poll(cx));
                    let Some(held) = held.take() else { return Poll::Pending };
                    held.resume()
                }
            };
            state.set(next);
        }
    }
}

impl<S, ReqBody> Held<S, ReqBody>
where
    S: Service<Request<ReqBody>>,
{
    fn resume<ResBody>(mut self: Box<Self>) -> State<S, ReqBody, ResBody> {
        match admit(&self.verifier, &mut self.request, self.waits) {
            Outcome::Admitted => State::Inner(self.inner.call(self.request)),
            Outcome::Refused(refusal) => State::Refused(Some(refusal.answer(&self.request))),
            Outcome::Wait(waiting) => {
                self.waits = self.waits.saturating_add(1);
                State::Waiting(Box::pin(waiting.ended()), Some(self))
            }
        }
    }
}

impl<S, ReqBody, ResBody> fmt::Debug for ResponseFuture<S, ReqBody, ResBody>
where
    S: Service<Request<ReqBody>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
