//! The provider's body, as it comes.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use pin_project::pin_project;
use tokio::time::{Sleep, sleep};

use super::answer::chain;

/// The provider's bytes, untouched and without delay, or an error document.
///
/// Dropping it before its end gives the answer up: the connection to the provider is closed.
#[pin_project]
#[derive(Debug)]
pub struct UpstreamBody {
    #[pin]
    kind: Kind,
}

#[pin_project(project = KindProject)]
#[derive(Debug)]
enum Kind {
    Stream {
        #[pin]
        inner: Incoming,
        provider: Arc<str>,
        idle_timeout: Duration,
        /// Runs only while there is nothing to read: a slow reader is not a silent provider.
        #[pin]
        silence: Option<Sleep>,
    },
    Full(Option<Bytes>),
}

/// The provider's answer broke off after its head.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UpstreamBroke {
    /// The connection ended before the body did.
    #[error("the provider broke its answer off")]
    Connection(#[source] hyper::Error),
    /// Nothing came for longer than the idle time-out.
    #[error("the provider sent nothing for {0:?}")]
    Silent(Duration),
}

impl UpstreamBody {
    pub(super) const fn stream(
        inner: Incoming,
        provider: Arc<str>,
        idle_timeout: Duration,
    ) -> Self {
        Self { kind: Kind::Stream { inner, provider, idle_timeout, silence: None } }
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
        let (inner, provider, idle_timeout, mut silence) = match self.project().kind.project() {
            KindProject::Full(bytes) => {
                return Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes))));
            }
            KindProject::Stream { inner, provider, idle_timeout, silence } => {
                (inner, provider, *idle_timeout, silence)
            }
        };
        if let Poll::Ready(polled) = inner.poll_frame(cx) {
            silence.set(None);
            return Poll::Ready(polled.map(|frame| {
                frame.map_err(|error| {
                    tracing::warn!(%provider, error = chain(&error), "the provider broke its answer off");
                    count_broken(provider, "broke");
                    UpstreamBroke::Connection(error)
                })
            }));
        }
        if silence.is_none() {
            silence.set(Some(sleep(idle_timeout)));
        }
        match silence.as_pin_mut().map(|silence| silence.poll(cx)) {
            Some(Poll::Ready(())) => {
                tracing::warn!(%provider, ?idle_timeout, "the provider fell silent within its answer");
                count_broken(provider, "silent");
                Poll::Ready(Some(Err(UpstreamBroke::Silent(idle_timeout))))
            }
            _ => Poll::Pending,
        }
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

#[cold]
fn count_broken(provider: &Arc<str>, reason: &'static str) {
    super::answer::count_failure(provider, reason);
}
