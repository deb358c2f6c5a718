//! Notices whether the client of an HTTP/2 stream takes its answer.
//!
//! hyper asks a body for its next frame once the client's window has room for the last one. So the time between a frame
//! and the next question is the time that the client reads nothing. While the body has nothing to give, no time counts:
//! then the client waits for the gateway.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::Response;
use http_body::{Body, Frame, SizeHint};
use parking_lot::Mutex;
use pin_project::pin_project;
use tokio::time::{Instant, sleep};

/// An answer goes out in pieces of at most this length. Whole, an answer of megabytes would be handed over at once, and
/// nobody could tell whether its client reads.
const PIECE_BYTES_MAX: usize = 16 << 10;

tokio::task_local! {
    static CLOCK: Clock;
}

/// Since when a stream has waited for its client.
#[derive(Clone, Debug, Default)]
pub(super) struct Clock(Arc<Mutex<Option<Instant>>>);

impl Clock {
    /// Runs a stream whose answer is on this clock.
    pub(super) fn governs<F: Future<Output = ()>>(self, stream: F) -> impl Future<Output = ()> {
        CLOCK.scope(self, stream)
    }

    fn start(&self) {
        *self.0.lock() = Some(Instant::now());
    }

    fn stop(&self) {
        *self.0.lock() = None;
    }

    /// Resolves when the client has taken nothing for `wait`. Must be polled by the task of the stream, after it.
    pub(super) async fn stalled(&self, wait: Duration) {
        let mut timer = pin!(sleep(wait));
        poll_fn(|cx| {
            // A time-out beyond the range of the clock never fires.
            let since = *self.0.lock();
            let Some(end) = since.and_then(|since| since.checked_add(wait)) else {
                return Poll::Pending;
            };
            if timer.deadline() != end {
                timer.as_mut().reset(end);
            }
            timer.as_mut().poll(cx)
        })
        .await;
    }
}

/// Resolves to the answer, with its body on the clock of its stream.
#[pin_project]
#[derive(Debug)]
pub(super) struct AnswerFuture<F>(#[pin] F);

impl<F> AnswerFuture<F> {
    pub(super) const fn new(answering: F) -> Self {
        Self(answering)
    }
}

impl<F, B, E> Future for AnswerFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<Taken<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let response = ready!(self.project().0.poll(cx))?;
        // HTTP/1 has no streams: its clock is the socket's.
        let clock = CLOCK.try_with(Clock::clone).ok();
        Poll::Ready(Ok(response.map(|inner| Taken { inner, rest: Bytes::new(), clock })))
    }
}

/// A body that tells its clock when a frame is taken.
#[pin_project]
#[derive(Debug)]
pub(super) struct Taken<B> {
    #[pin]
    inner: B,
    /// What is left of a long frame.
    rest: Bytes,
    clock: Option<Clock>,
}

impl<B: Body<Data = Bytes>> Body for Taken<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.project();
        let Some(clock) = this.clock else { return this.inner.poll_frame(cx) };
        clock.stop();
        if this.rest.is_empty() {
            match ready!(this.inner.poll_frame(cx)?) {
                None => return Poll::Ready(None),
                Some(frame) => match frame.into_data() {
                    Ok(data) => *this.rest = data,
                    Err(other) => return Poll::Ready(Some(Ok(other))),
                },
            }
        }
        clock.start();
        let piece = this.rest.split_to(this.rest.len().min(PIECE_BYTES_MAX));
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (inner, rest) =
            (self.inner.size_hint(), u64::try_from(self.rest.len()).unwrap_or(u64::MAX));
        let mut hint = SizeHint::new();
        hint.set_lower(inner.lower().saturating_add(rest));
        if let Some(upper) = inner.upper() {
            hint.set_upper(upper.saturating_add(rest));
        }
        hint
    }
}
