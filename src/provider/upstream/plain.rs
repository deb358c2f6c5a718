//! The provider's bytes, decompressed where it has compressed them although it was asked not to.
//!
//! Whoever reads the answer bounds it: what is read is what it decompresses to.

use std::{
    fmt,
    future::{Ready, ready},
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, header};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tower_http::{
    BoxError,
    decompression::{Decompression, DecompressionBody},
};
use tower_service::Service;

/// A body without its content encoding.
pub(super) enum Plain {
    AsSent(Incoming),
    /// Boxed: the state of a codec takes kilobytes.
    Decompressed(Pin<Box<DecompressionBody<Incoming>>>),
}

impl Plain {
    /// Removes the content encoding of an answer, if there is one and it is known here.
    pub(super) async fn of(mut answer: Response<Incoming>) -> Result<Response<Self>, BoxError> {
        let Some(encoding) = answer.headers_mut().get_mut(header::CONTENT_ENCODING) else {
            return Ok(answer.map(Self::AsSent));
        };
        let name = encoding.as_bytes().trim_ascii().to_ascii_lowercase();
        *encoding = match name.as_slice() {
            // Its old name.
            b"x-gzip" => HeaderValue::from_static("gzip"),
            other => HeaderValue::from_bytes(other)?,
        };
        let answer = Decompression::new(Given(Some(answer))).call(Request::new(())).await?;
        Ok(answer.map(|body| Self::Decompressed(Box::pin(body))))
    }
}

/// Gives one answer, for the layer that decompresses answers.
struct Given(Option<Response<Incoming>>);

impl Service<Request<()>> for Given {
    type Response = Response<Incoming>;
    type Error = BoxError;
    type Future = Ready<Result<Response<Incoming>, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        ready(self.0.take().ok_or_else(|| "asked twice".into()))
    }
}

impl Body for Plain {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.get_mut() {
            Self::AsSent(body) => {
                Pin::new(body).poll_frame(cx).map(|polled| polled.map(|frame| Ok(frame?)))
            }
            Self::Decompressed(body) => body.as_mut().poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::AsSent(body) => body.is_end_stream(),
            Self::Decompressed(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::AsSent(body) => body.size_hint(),
            // What it decompresses to is not known.
            Self::Decompressed(_) => SizeHint::default(),
        }
    }
}

impl fmt::Debug for Plain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Plain")
    }
}
