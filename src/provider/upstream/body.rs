//! The body of the provider's answer, passed on as it arrives.

use std::{
    mem,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use tokio::time::{Instant, Sleep, sleep};
use tower_http::BoxError;

use super::{exchange::Exchange, failure::count_failure, plain::Plain};
use crate::{causes::causes, context::Overdue, domain::sse};

/// How many blank bytes may come before an answer shows what it is.
const BLANKS_MAX: usize = 64 << 10;

/// The provider's bytes, unchanged and without delay, or an error document.
///
/// Dropping the body before its end closes the connection to the provider.
#[derive(Debug)]
pub struct UpstreamBody {
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Stream {
        /// What has been read to see what the answer is, and how that ended if it broke off.
        read: Bytes,
        broke: Option<UpstreamBroke>,
        inner: Plain,
        exchange: Box<Exchange>,
        silence: Silence,
    },
    Full(Option<Bytes>),
}

/// The idle timer. It runs only while there is nothing to read, so that a slow reader does not count as a silent
/// provider.
#[derive(Debug)]
struct Silence {
    timeout: Duration,
    timer: Option<Pin<Box<Sleep>>>,
    counting: bool,
    /// It was too long once. The layer in front has answered the client, and bounds the time.
    over: bool,
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
    /// The answer is not what its content encoding says.
    #[error("the provider's answer cannot be decompressed")]
    Encoding(#[source] BoxError),
    /// Nothing arrived for longer than the idle time-out.
    #[error("the provider sent nothing for {0:?}")]
    Silent(Duration),
}

impl UpstreamBody {
    pub(super) fn stream(inner: Plain, exchange: Exchange) -> Self {
        let timeout = exchange.idle_timeout;
        let silence = Silence { timeout, timer: None, counting: false, over: false };
        let exchange = Box::new(exchange);
        Self { kind: Kind::Stream { read: Bytes::new(), broke: None, inner, exchange, silence } }
    }

    /// Whether the answer begins as a stream of events. Reads as much of it as that takes; it still comes whole.
    pub(super) async fn begins_with_events(&mut self) -> bool {
        let (mut begun, mut ended) = (BytesMut::new(), None);
        let found = loop {
            if let Some(found) = sse::begins(&begun) {
                break found;
            }
            // Blanks without end are no stream.
            if begun.len() > BLANKS_MAX {
                break false;
            }
            match self.frame().await {
                Some(Ok(frame)) => begun.extend_from_slice(&frame.into_data().unwrap_or_default()),
                Some(Err(error)) => {
                    ended = Some(error);
                    break false;
                }
                None => break false,
            }
        };
        if let Kind::Stream { read, broke, .. } = &mut self.kind {
            (*read, *broke) = (begun.freeze(), ended);
        }
        found
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
        let (inner, exchange, silence) = match &mut self.get_mut().kind {
            Kind::Full(bytes) => {
                return Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes))));
            }
            Kind::Stream { read, broke, inner, exchange, silence } => {
                if !read.is_empty() {
                    return Poll::Ready(Some(Ok(Frame::data(mem::take(read)))));
                }
                if let Some(broke) = broke.take() {
                    return Poll::Ready(Some(Err(broke)));
                }
                (inner, exchange, silence)
            }
        };
        let provider = &exchange.provider;
        if let Poll::Ready(polled) = Pin::new(inner).poll_frame(cx) {
            silence.counting = false;
            return Poll::Ready(polled.map(|frame| {
                frame.map_err(|error| {
                    let broke = match error.downcast::<hyper::Error>() {
                        Ok(error) => UpstreamBroke::Connection(*error),
                        Err(other) => UpstreamBroke::Encoding(other),
                    };
                    tracing::warn!(%provider, error = causes(&broke), "the provider broke off its answer");
                    count_failure(provider, "broke");
                    broke
                })
            }));
        }
        if silence.over {
            return Poll::Pending;
        }
        ready!(silence.poll_too_long(cx));
        let detail = format!("nothing within {:?}", silence.timeout);
        if exchange.gives_up(Overdue::Piece, "silent", &detail) {
            silence.over = true;
            return Poll::Pending;
        }
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
            Kind::Stream { read, broke, inner, .. } => {
                read.is_empty() && broke.is_none() && inner.is_end_stream()
            }
            Kind::Full(bytes) => bytes.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            // What has been read of it counts again.
            Kind::Stream { read, .. } if !read.is_empty() => SizeHint::default(),
            Kind::Stream { inner, .. } => inner.size_hint(),
            Kind::Full(bytes) => {
                let length = bytes.as_ref().map_or(0, Bytes::len);
                SizeHint::with_exact(u64::try_from(length).unwrap_or(u64::MAX))
            }
        }
    }
}
