//! A streamed answer: each event is metered and forwarded as it arrives; the last event is held back until the finish
//! is durable.

use std::{
    collections::VecDeque,
    fmt,
    future::poll_fn,
    mem,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    task::{Context, Poll, ready},
};

use super::{
    open::{OpenCall, Written},
    settle::End,
    stops::{Stop, Stops},
    switch::Cut,
};
use crate::{
    domain::{dialect::Dialect, finish::Ending, scope::Scope, sse::Splitter, usage::Seen},
    refusal::{Refusal, as_event, error_event, error_in_answer},
};
use bytes::Bytes;
use http::{HeaderValue, StatusCode};
use http_body::{Body, Frame};

/// The stream of one call.
///
/// Events go out as soon as they are complete. A part of an event is useless to a client, and only a complete usage
/// event can be recognized and hidden from a client that did not ask for it.
///
/// The stream is behind a lock because two parties may end it: the task that sends it to the client, and the kill
/// switch, which cannot wait for a client that does not read. A stream that is ended for its client is read on in the
/// background to its usage.
pub(super) struct Metered<B>(Mutex<Stream<B>>);

struct Stream<B> {
    /// `None` once nothing more is read from the provider.
    inner: Option<Pin<Box<B>>>,
    /// For the task that reads on.
    me: Weak<Metered<B>>,
    rest: Rest,
    phase: Phase,
}

/// Everything but the inner body.
struct Rest {
    open: OpenCall,
    dialect: Dialect,
    /// The request id that the caller gave, for an error event.
    named: Option<HeaderValue>,
    splitter: Splitter,
    /// Events that may go out.
    out: VecDeque<Bytes>,
    /// The client gets nothing more than what is in `out`.
    closed: bool,
    /// The provider reported an error inside the stream.
    provider_error: bool,
    /// `None` once the call has ended for its client.
    stops: Option<Stops>,
}

enum Phase {
    Reading,
    /// The call has ended; its last bytes are held back until the finish is durable.
    Finishing {
        written: Written,
        last: Bytes,
    },
    Over,
}

impl<B> Metered<B>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: fmt::Display,
{
    pub(super) fn new(
        inner: B,
        open: OpenCall,
        dialect: Dialect,
        named: Option<HeaderValue>,
        stops: Stops,
    ) -> Arc<Self> {
        let splitter = Splitter::new(open.settings().event_bytes_max);
        let rest = Rest {
            open,
            dialect,
            named,
            splitter,
            out: VecDeque::new(),
            closed: false,
            provider_error: false,
            stops: Some(stops),
        };
        let stream = Arc::new_cyclic(|me| {
            let inner = Some(Box::pin(inner));
            Self(Mutex::new(Stream { inner, me: Weak::clone(me), rest, phase: Phase::Reading }))
        });
        // The concrete `Weak` must be named: only then does it coerce to `Weak<dyn Cut>`.
        let weak: Weak<Self> = Arc::downgrade(&stream);
        let mut locked = stream.lock();
        let stopped = locked.rest.stops.as_ref().and_then(|stops| stops.goes_on_as(weak));
        if let Some(scope) = stopped {
            locked.stop(Stop::Suspended(scope));
        }
        drop(locked);
        stream
    }

    /// The client has left. Drains the answer for its usage; if nothing is held, dropping the call ends it with what was
    /// seen.
    pub(super) fn drain(self: Arc<Self>) {
        let mut stream = self.lock();
        if self.0.is_poisoned() {
            // The inner body has panicked: it must not be polled again.
            drop(stream.rest.open.end_panicked());
            return;
        }
        if stream.rest.closed || !matches!(stream.phase, Phase::Reading) {
            return;
        }
        let Some((finisher, limit)) = stream.rest.open.drains() else { return };
        stream.rest.open.call().client_leaves();
        drop(stream);
        finisher.carry_on(limit, async move {
            while poll_fn(|cx| self.poll_frame(cx)).await.is_some() {}
        });
    }

    pub(super) fn poll_frame(
        &self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        self.lock().poll_frame(cx)
    }

    pub(super) fn is_end_stream(&self) -> bool {
        let stream = self.lock();
        (stream.rest.closed || matches!(stream.phase, Phase::Over)) && stream.rest.out.is_empty()
    }
}

impl<B> Metered<B> {
    // This lock remembers a panic in the inner body. The task that polled then drops the body, and `drain` ends the
    // call.
    fn lock(&self) -> MutexGuard<'_, Stream<B>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<B> Cut for Metered<B>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: fmt::Display,
{
    fn cut(self: Arc<Self>, scope: Scope) {
        self.lock().stop(Stop::Suspended(scope));
    }
}

/// Reads a stream on whose client has got its last bytes. Whatever ends that, the call ends with it, even if the client
/// has not read these bytes yet.
struct ReadOn<B> {
    stream: Arc<Metered<B>>,
    /// A task that a runtime refuses is dropped at once, while the stream is locked.
    begun: bool,
}

impl<B> Drop for ReadOn<B> {
    fn drop(&mut self) {
        if !self.begun {
            return;
        }
        let mut stream = self.stream.lock();
        stream.inner = None;
        if self.stream.0.is_poisoned() {
            drop(stream.rest.open.end_panicked());
        } else {
            drop(stream.rest.open.stop(Ending::Abandoned));
        }
    }
}

impl<B> Stream<B>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: fmt::Display,
{
    /// Ends the stream for its client. If something is held, the answer is read on to its usage.
    fn stop(&mut self, stop: Stop) {
        if self.rest.closed || !matches!(self.phase, Phase::Reading) {
            return;
        }
        let last = match stop {
            Stop::Suspended(scope) => {
                let suspended = Refusal::Suspended(scope);
                self.rest.error(suspended.status(), suspended.code(), &suspended.message())
            }
            Stop::GivenUp(_) | Stop::TimeIsOver => {
                tracing::warn!(
                    request_id = %self.rest.open.call().request_id(),
                    "the provider's stream takes too long: it is cut"
                );
                self.rest.broken_off()
            }
        };
        self.close(last, stop.ending());
    }

    /// These are the last bytes for the client.
    fn close(&mut self, last: Bytes, ending: Ending) {
        self.rest.open.delivered(&last);
        self.rest.stops = None;
        let drains = self.rest.open.drains().zip(self.me.upgrade());
        let Some(((finisher, limit), me)) = drains else {
            self.inner = None;
            let written = self.rest.open.stop(ending);
            self.phase = Phase::Finishing { written, last };
            return;
        };
        self.rest.open.close(ending);
        self.rest.closed = true;
        self.rest.out.push_back(last);
        let mut reading = ReadOn { stream: me, begun: false };
        finisher.carry_on(limit, async move {
            reading.begun = true;
            // Events may have come behind the one that was too long.
            reading.stream.lock().read(Some(Ok(Frame::data(Bytes::new()))));
            poll_fn(|cx| reading.stream.lock().poll_read_on(cx)).await;
        });
    }

    /// Reads until the call has ended.
    fn poll_read_on(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while matches!(self.phase, Phase::Reading) {
            let polled = match &mut self.inner {
                Some(inner) => ready!(inner.as_mut().poll_frame(cx)),
                None => None,
            };
            self.read(polled);
        }
        Poll::Ready(())
    }

    /// Reads what the provider sent, and ends the call if that was its end.
    fn read(&mut self, polled: Option<Result<Frame<Bytes>, B::Error>>) {
        match self.rest.read(polled) {
            None => {}
            Some(Last::Settled(last, written)) => {
                self.rest.stops = None;
                self.phase = Phase::Finishing { written, last };
            }
            Some(Last::TooLong) => {
                let last = self.rest.broken_off();
                self.close(last, Ending::Failed);
            }
        }
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        loop {
            if let Some(bytes) = self.rest.out.pop_front() {
                return Poll::Ready(Some(Ok(Frame::data(bytes))));
            }
            if self.rest.closed {
                return Poll::Ready(None);
            }
            match &mut self.phase {
                Phase::Reading => {
                    if let Some(Poll::Ready(stop)) =
                        self.rest.stops.as_mut().map(|stops| stops.poll(cx))
                    {
                        self.stop(stop);
                        continue;
                    }
                    let polled = match &mut self.inner {
                        Some(inner) => ready!(inner.as_mut().poll_frame(cx)),
                        None => None,
                    };
                    self.read(polled);
                }
                Phase::Finishing { written, last } => {
                    let durable = ready!(Pin::new(written).poll(cx));
                    let last = mem::take(last);
                    self.phase = Phase::Over;
                    let last = if durable { last } else { self.rest.unwritten() };
                    if !last.is_empty() {
                        return Poll::Ready(Some(Ok(Frame::data(last))));
                    }
                }
                Phase::Over => {
                    // If the provider has ended its answer, this poll reads that end and the connection can be reused.
                    // A provider that lingers after its last event is not waited for.
                    if let Some(inner) = &mut self.inner {
                        drop(inner.as_mut().poll_frame(cx));
                    }
                    return Poll::Ready(None);
                }
            }
        }
    }
}

/// Reads a stream for its usage whose client never got its head.
pub(super) async fn read_on<B>(inner: B, open: OpenCall)
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: fmt::Display,
{
    let mut inner = Box::pin(inner);
    let mut rest = Rest::closed(open);
    while rest.read(poll_fn(|cx| inner.as_mut().poll_frame(cx)).await).is_none() {}
}

/// How a stream ends.
enum Last {
    /// The call has ended; these are its last bytes.
    Settled(Bytes, Written),
    /// An event is longer than may be. The events after it are read on.
    TooLong,
}

impl Rest {
    /// Of a stream whose client gets nothing.
    fn closed(open: OpenCall) -> Self {
        let splitter = Splitter::new(open.settings().event_bytes_max);
        Self {
            dialect: open.call().facts().endpoint.dialect(),
            open,
            named: None,
            splitter,
            out: VecDeque::new(),
            closed: true,
            provider_error: false,
            stops: None,
        }
    }

    /// Reads what the provider sent. If that ends the stream, returns how.
    fn read<E: fmt::Display>(&mut self, polled: Option<Result<Frame<Bytes>, E>>) -> Option<Last> {
        match polled {
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => self.read_data(data),
                // Clients of these APIs do not read trailers.
                Err(_) => None,
            },
            Some(Err(error)) => {
                tracing::warn!(request_id = %self.open.call().request_id(), %error, "the provider's stream broke off");
                Some(self.broken())
            }
            None => Some(self.read_end()),
        }
    }

    fn read_data(&mut self, data: Bytes) -> Option<Last> {
        self.splitter.push(data);
        loop {
            let event = match self.splitter.next_event() {
                Ok(Some(event)) => event,
                Ok(None) if self.open.has_no_end() => {
                    tracing::warn!(
                        request_id = %self.open.call().request_id(),
                        "the provider ignores the output cap: the stream is cut"
                    );
                    return Some(self.broken());
                }
                Ok(None) => {
                    self.open.note_seen();
                    return None;
                }
                Err(overlong) => {
                    self.skip_overlong();
                    if self.closed {
                        continue;
                    }
                    tracing::warn!(
                        request_id = %self.open.call().request_id(),
                        error = %overlong,
                        "the provider's stream cannot be passed on: it is cut"
                    );
                    return Some(Last::TooLong);
                }
            };
            let raw = event.raw.clone();
            match self.open.meter().read_event(&event) {
                Seen::Terminal => {
                    self.open.delivered(&raw);
                    return Some(self.settled(raw));
                }
                // We asked for the usage event, the client did not. It is hidden: it has no choices, and clients read
                // `choices[0]`.
                Seen::Usage if !self.open.call().facts().wants_usage => {}
                Seen::Error => {
                    self.provider_error = true;
                    // The provider's own event may name our account.
                    let named = self.named.as_ref().and_then(|name| name.to_str().ok());
                    let data = event.data().unwrap_or_default();
                    let clean = error_in_answer(&data, self.dialect, named);
                    self.forward(as_event(self.dialect, &clean));
                }
                Seen::Usage | Seen::Content | Seen::Other => self.forward(raw),
            }
        }
    }

    /// Goes on after the blank line that ends an event that is too long; or with the next chunk, which may still be a
    /// part of it.
    fn skip_overlong(&mut self) {
        self.open.skipped();
        let unread = self.splitter.rest();
        self.splitter = Splitter::new(self.open.settings().event_bytes_max);
        let ends = [&b"\n\n"[..], b"\n\r\n"].into_iter().filter_map(|end| {
            let begins = unread.windows(end.len()).position(|window| window == end)?;
            begins.checked_add(end.len())
        });
        if let Some(end) = ends.min() {
            self.splitter.push(unread.slice(end..));
        }
    }

    /// The provider closed its stream without the event that ends one.
    fn read_end(&mut self) -> Last {
        let tail = self.splitter.rest();
        if self.provider_error || self.open.meter().finished() {
            self.open.delivered(&tail);
            return self.settled(tail);
        }
        tracing::warn!(
            request_id = %self.open.call().request_id(),
            "the provider's stream ended before its answer did"
        );
        self.broken()
    }

    /// The provider has ended its answer.
    fn settled(&mut self, last: Bytes) -> Last {
        let written = if self.provider_error {
            self.open.settle_error()
        } else {
            self.open.settle(Ending::Complete, End::Whole)
        };
        Last::Settled(last, written)
    }

    fn forward(&mut self, raw: Bytes) {
        if self.closed {
            return;
        }
        self.open.delivered(&raw);
        self.out.push_back(raw);
    }

    /// The provider has broken off its answer, or does not end it.
    fn broken(&mut self) -> Last {
        let last = self.broken_off();
        if !self.open.call().client_left() {
            self.open.delivered(&last);
        }
        let written = if self.provider_error {
            self.open.settle_error()
        } else {
            self.open.settle(Ending::Failed, End::Broken)
        };
        Last::Settled(last, written)
    }

    fn broken_off(&self) -> Bytes {
        let message = "The provider broke off its answer. No more of it will follow.";
        self.error(StatusCode::BAD_GATEWAY, "provider_failed", message)
    }

    fn unwritten(&self) -> Bytes {
        let message = "This call could not be recorded, so the end of its answer is withheld. Try again shortly.";
        self.error(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message)
    }

    fn error(&self, status: StatusCode, code: &str, message: &str) -> Bytes {
        let request_id = self.named.as_ref().and_then(|name| name.to_str().ok());
        error_event(self.dialect, status, code, message, request_id)
    }
}
