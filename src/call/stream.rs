//! A streamed answer: each event forwarded as it comes, metered from a copy, the last one held
//! until the finish is durable.

use std::{
    collections::VecDeque,
    fmt, mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderValue, StatusCode};
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use pin_project::pin_project;

use super::{
    open::{OpenCall, Written},
    switch::Watched,
};
use crate::{
    domain::{dialect::Dialect, finish::Ending, sse::Splitter, usage::Seen},
    refusal::{Refusal, error_event},
};

/// The stream of one call.
///
/// Events go out as soon as they are complete; a part of an event tells a client nothing, and
/// waiting for its end is what lets the usage event be hidden from a client that did not ask.
#[pin_project]
pub(super) struct Metered<B> {
    #[pin]
    inner: B,
    rest: Rest,
    phase: Phase,
}

/// Everything but the inner body.
struct Rest {
    open: OpenCall,
    dialect: Dialect,
    /// The request as the caller named it, for an error event.
    named: Option<HeaderValue>,
    splitter: Splitter,
    /// Events that may go out.
    out: VecDeque<Bytes>,
    /// The provider reported an error inside the stream.
    provider_error: bool,
    watched: Option<Watched>,
}

enum Phase {
    Reading,
    /// The call has ended; its last bytes wait for the finish.
    Finishing {
        written: Written,
        last: Bytes,
    },
    Over,
}

impl<B> Metered<B> {
    pub(super) fn new(
        inner: B,
        open: OpenCall,
        dialect: Dialect,
        named: Option<HeaderValue>,
    ) -> Self {
        let splitter = Splitter::new(open.settings().event_bytes_max);
        let watched = open.watched();
        let rest = Rest {
            open,
            dialect,
            named,
            splitter,
            out: VecDeque::new(),
            provider_error: false,
            watched,
        };
        Self { inner, rest, phase: Phase::Reading }
    }
}

impl<B> Metered<B>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: fmt::Display,
{
    /// The client left. Reads on to the provider's usage where that is wanted; else dropping the
    /// call ends it with what was seen.
    pub(super) fn drain(mut self: Pin<Box<Self>>) {
        let this = self.as_mut().project();
        let finisher = this.rest.open.settings().finisher.clone();
        if !matches!(this.phase, Phase::Reading) || !this.rest.open.drains() {
            return;
        }
        let Some(finisher) = finisher else { return };
        this.rest.open.call().client_leaves();
        let limit = this.rest.open.settings().drain_max;
        finisher.carry_on(limit, async move { while self.frame().await.is_some() {} });
    }
}

impl<B> Body for Metered<B>
where
    B: Body<Data = Bytes>,
    B::Error: fmt::Display,
{
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let mut this = self.project();
        loop {
            if let Some(bytes) = this.rest.out.pop_front() {
                return Poll::Ready(Some(Ok(Frame::data(bytes))));
            }
            match this.phase {
                Phase::Reading => {
                    if let Some((last, ending)) = this.rest.poll_cut(cx) {
                        let written = this.rest.open.settle(ending);
                        *this.phase = Phase::Finishing { written, last };
                        continue;
                    }
                    let polled = ready!(this.inner.as_mut().poll_frame(cx));
                    if let Some((last, ending)) = this.rest.read(polled) {
                        let written = this.rest.open.settle(ending);
                        *this.phase = Phase::Finishing { written, last };
                    }
                }
                Phase::Finishing { written, last } => {
                    let durable = ready!(Pin::new(written).poll(cx));
                    let last = mem::take(last);
                    *this.phase = Phase::Over;
                    let last = if durable { last } else { this.rest.unwritten() };
                    if !last.is_empty() {
                        return Poll::Ready(Some(Ok(Frame::data(last))));
                    }
                }
                Phase::Over => {
                    // A provider that ends in order leaves a connection that can be used again; one
                    // that lingers after its last event is not waited for.
                    drop(this.inner.as_mut().poll_frame(cx));
                    return Poll::Ready(None);
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.phase, Phase::Over) && self.rest.out.is_empty()
    }
}

impl Rest {
    /// Takes in what the provider sent. Returns the last bytes and the ending where that was it.
    fn read<E: fmt::Display>(
        &mut self,
        polled: Option<Result<Frame<Bytes>, E>>,
    ) -> Option<(Bytes, Ending)> {
        match polled {
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => self.read_data(data),
                // Trailers say nothing that a client of these APIs reads.
                Err(_) => None,
            },
            Some(Err(error)) => {
                tracing::warn!(request_id = %self.open.call().request_id(), %error, "the provider's stream broke off");
                Some(self.broken())
            }
            None => Some(self.read_end()),
        }
    }

    fn read_data(&mut self, data: Bytes) -> Option<(Bytes, Ending)> {
        self.splitter.push(data);
        loop {
            let event = match self.splitter.next_event() {
                Ok(Some(event)) => event,
                Ok(None) => {
                    self.open.note_seen();
                    return None;
                }
                Err(overlong) => {
                    tracing::warn!(request_id = %self.open.call().request_id(), error = %overlong, "the provider's stream cannot be read");
                    return Some(self.broken());
                }
            };
            let raw = event.raw.clone();
            match self.open.meter().read_event(&event) {
                Seen::Terminal => {
                    self.open.delivered(&raw);
                    return Some((raw, self.ending()));
                }
                // Asked for by us, not by the client; its own clients index `choices[0]`.
                Seen::Usage if !self.open.call().facts().wants_usage => {}
                Seen::Error => {
                    self.provider_error = true;
                    self.forward(raw);
                }
                Seen::Usage | Seen::Content | Seen::Other => self.forward(raw),
            }
        }
    }

    /// The provider closed its stream without the event that ends one.
    fn read_end(&mut self) -> (Bytes, Ending) {
        let tail = self.splitter.rest();
        if self.provider_error || self.open.meter().finished() {
            self.open.delivered(&tail);
            return (tail, self.ending());
        }
        tracing::warn!(request_id = %self.open.call().request_id(), "the provider's stream ended before its answer did");
        self.broken()
    }

    fn ending(&self) -> Ending {
        if self.provider_error { Ending::Failed } else { Ending::Complete }
    }

    fn forward(&mut self, raw: Bytes) {
        self.open.delivered(&raw);
        self.out.push_back(raw);
    }

    /// The last bytes and the ending, where the kill switch has been thrown.
    fn poll_cut(&mut self, cx: &mut Context<'_>) -> Option<(Bytes, Ending)> {
        if self.watched.as_mut()?.poll_cut(cx).is_pending() {
            return None;
        }
        self.watched = None;
        let suspended = Refusal::Suspended;
        let last = self.error(suspended.status(), suspended.code(), &suspended.message());
        self.open.delivered(&last);
        Some((last, Ending::Cut))
    }

    fn broken(&mut self) -> (Bytes, Ending) {
        let message =
            "The provider broke its answer off. What was delivered before is all there is of it.";
        let last = self.error(StatusCode::BAD_GATEWAY, "provider_failed", message);
        self.open.delivered(&last);
        (last, Ending::Failed)
    }

    fn unwritten(&self) -> Bytes {
        let message = "The end of this call could not be recorded, so its end is withheld. Try again shortly.";
        self.error(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message)
    }

    fn error(&self, status: StatusCode, code: &str, message: &str) -> Bytes {
        let request_id = self.named.as_ref().and_then(|name| name.to_str().ok());
        error_event(self.dialect, status, code, message, request_id)
    }
}
