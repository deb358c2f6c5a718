//! The body of an answer behind `CallLayer`: known bytes, or a metered stream.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::stream::Metered;

/// The body of an answer behind `CallLayer`.
///
/// If a stream is dropped before its end, it is drained or cut, as the organization's policy says. Either way the call
/// ends exactly once.
pub struct CallBody<E>(Kind<E>);

enum Kind<E> {
    Whole(Option<Bytes>),
    Stream(Option<Arc<dyn Draining<Error = E>>>),
}

/// A metered stream, without the type of its inner body.
trait Draining: Send + Sync {
    type Error;

    fn poll_frame(&self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>>;

    fn is_end_stream(&self) -> bool;

    /// Drains the rest in the background if the policy says so, else ends the call.
    fn client_left(self: Arc<Self>);
}

impl<B> Draining for Metered<B>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: fmt::Display,
{
    type Error = B::Error;

    fn poll_frame(&self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        Self::poll_frame(self, cx)
    }

    fn is_end_stream(&self) -> bool {
        Self::is_end_stream(self)
    }

    fn client_left(self: Arc<Self>) {
        self.drain();
    }
}

impl<E> CallBody<E> {
    pub(super) fn whole(bytes: Bytes) -> Self {
        Self(Kind::Whole((!bytes.is_empty()).then_some(bytes)))
    }

    pub(super) fn stream<B>(stream: Arc<Metered<B>>) -> Self
    where
        B: Body<Data = Bytes, Error = E> + Send + 'static,
        E: fmt::Display,
    {
        Self(Kind::Stream(Some(stream)))
    }
}

impl<E> Body for CallBody<E> {
    type Data = Bytes;
    type Error = E;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, E>>> {
        match &mut self.0 {
            Kind::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Kind::Stream(Some(stream)) => stream.poll_frame(cx),
            Kind::Stream(None) => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Whole(bytes) => bytes.is_none(),
            Kind::Stream(stream) => stream.as_ref().is_none_or(|stream| stream.is_end_stream()),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Whole(bytes) => {
                let length = bytes.as_ref().map_or(0, Bytes::len);
                SizeHint::with_exact(u64::try_from(length).unwrap_or(u64::MAX))
            }
            Kind::Stream(_) => SizeHint::default(),
        }
    }
}

impl<E> Drop for CallBody<E> {
    fn drop(&mut self) {
        if let Kind::Stream(stream) = &mut self.0
            && let Some(stream) = stream.take()
            && !stream.is_end_stream()
        {
            stream.client_left();
        }
    }
}

impl<E> fmt::Debug for CallBody<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Kind::Whole(_) => "CallBody::Whole",
            Kind::Stream(_) => "CallBody::Stream",
        })
    }
}
