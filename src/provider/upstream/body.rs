//! The body of the provider's answer, passed on as it arrives.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep, sleep};

use super::failure::count_failure;
use crate::causes::causes;

/// The provider's bytes, unchanged and without delay, or an error document.
///
/// Dropping the body before its end closes the connection to the provider.
#[derive(Debug)]
pub struct UpstreamBody {
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Stream { inner: Incoming, provider: Arc<str>, silence: Silence },
    Full(Option<Bytes>),
}

/// The idle timer. It runs only while there is nothing to read, so that a slow reader does not count as a silent
/// provider.
#[derive(Debug)]
struct Silence {
    timeout: Duration,
    timer: Option<Pin<Box<Sleep>>>,
    counting: bool,
}

impl Silence {
    fn poll_too_long(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let timeout = self.timeout;
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(timeout)));
        if !self.counting {
            self.counting = true;
            // A time-out beyond the range of the clock never fires.
            if let Some(end) = Instant::now().checked_add(timeout) {
                timer.as_mut().reset(end);
            }
        }
        timer.as_mut().poll(cx)
    }
}

/// The provider's answer broke off after its head.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UpstreamBroke {
    /// The connection ended before the body did.
    #[error("the provider broke off its answer")]
    Connection(#[source] hyper::Error),
    /// Nothing arrived for longer than the idle time-out.
    #[error("the provider sent nothing for {0:?}")]
    Silent(Duration),
}

impl UpstreamBody {
    pub(super) const fn stream(inner: Incoming, provider: Arc<str>, timeout: Duration) -> Self {
        let silence = Silence { timeout, timer: None, counting: false };
        Self { kind: Kind::Stream { inner, provider, silence } }
    }

    pub(super) const fn full(bytes: Bytes) -> Self {
        Self { kind: Kind::Full(Some(bytes)) }
    }
}

impl Body for UpstreamBody {
    type Data = Bytes;
    type Error = UpstreamBroke;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UpstreamBroke>>> {
        let (inner, provider, silence) = match &mut self.get_mut().kind {
            Kind::Full(bytes) => {
                return Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes))));
            }
            Kind::Stream { inner, provider, silence } => (inner, provider, silence),
        };
        if let Poll::Ready(polled) = Pin::new(inner).poll_frame(cx) {
            silence.counting = false;
            return Poll::Ready(polled.map(|frame| {
                frame.map_err(|error| {
                    tracing::warn!(%provider, error = causes(&error), "the provider broke off its answer");
                    count_failure(provider, "broke");
                    UpstreamBroke::Connection(error)
                })
            }));
        }
        ready!(silence.poll_too_long(cx));
        tracing::warn!(
            %provider,
            timeout = ?silence.timeout,
            "the provider sent nothing within the idle time-out: its answer is given up"
        );
        count_failure(provider, "silent");
        Poll::Ready(Some(Err(UpstreamBroke::Silent(silence.timeout))))
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Stream { inner, .. } => inner.is_end_stream(),
            Kind::Full(bytes) => bytes.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Stream { inner, .. } => inner.size_hint(),
            Kind::Full(bytes) => {
                let length = bytes.as_ref().map_or(0, Bytes::len);
                SizeHint::with_exact(u64::try_from(length).unwrap_or(u64::MAX))
            }
        }
    }
}
