use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{Request, Response};
use pin_project::pin_project;
use tower_service::Service;

use super::{headers::Readings, limiter::Permit};
use crate::{
    admission::Admission,
    body::ResponseBody,
    domain::{dialect::Dialect, ids::RequestId},
};

/// What the layer keeps until the response's head arrives.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// Present only if there is no [`Call`](crate::Call) to hand the permit to.
    pub(super) permit: Option<Permit>,
    pub(super) readings: Readings,
}

/// The response future of [`Limits`](super::Limits).
#[pin_project]
#[derive(Debug)]
pub struct ResponseFuture<S, F, B> {
    #[pin]
    admission: Admission<S, F, B, Kept>,
    dialect: Dialect,
}

impl<S, F, B> ResponseFuture<S, F, B> {
    pub(super) const fn new(admission: Admission<S, F, B, Kept>, dialect: Dialect) -> Self {
        Self { admission, dialect }
    }
}

impl<S, F, B, R> Future for ResponseFuture<S, F, B>
where
    S: Service<Request<B>, Response = Response<R>, Future = F>,
    F: Future<Output = Result<Response<R>, S::Error>>,
{
    type Output = Result<Response<ResponseBody<R>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let (mut response, kept) = ready!(this.admission.poll(cx))?;
        let Kept { permit, readings } = kept.unwrap_or_default();
        drop(permit);
        readings.replace_in(response.headers_mut(), *this.dialect, time_of_day_ms);
        Poll::Ready(Ok(response))
    }
}

/// The time of day, taken from a new request id, which begins with it.
fn time_of_day_ms() -> i64 {
    RequestId::generate().arrived_ms()
}
