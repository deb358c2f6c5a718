use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{Request, Response};
use pin_project::pin_project;
use tower_service::Service;

use crate::{admission::Admission, body::ResponseBody};

/// The response future of [`Models`](super::Models).
#[pin_project]
#[derive(Debug)]
pub struct ResponseFuture<S, F, B> {
    #[pin]
    admission: Admission<S, F, B, ()>,
}

impl<S, F, B> From<Admission<S, F, B, ()>> for ResponseFuture<S, F, B> {
    fn from(admission: Admission<S, F, B, ()>) -> Self {
        Self { admission }
    }
}

impl<S, F, B, R> Future for ResponseFuture<S, F, B>
where
    S: Service<Request<B>, Response = Response<R>, Future = F>,
    F: Future<Output = Result<Response<R>, S::Error>>,
{
    type Output = Result<Response<ResponseBody<R>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let (response, _) = ready!(self.project().admission.poll(cx))?;
        Poll::Ready(Ok(response))
    }
}
