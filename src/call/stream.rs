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

use bytes::Bytes;
use http::{HeaderValue, StatusCode};
use http_body::{Body, Frame};
use tokio::time::{Sleep, sleep};

use super::{
    open::{OpenCall, Written},
    switch::{Cut, Watched},
};
use crate::{
    domain::{dialect::Dialect, finish::Ending, scope::Scope, sse::Splitter, usage::Seen},
    refusal::{Refusal, as_event, error_event, error_in_answer},
};

/// The stream of one call.
///
/// Events go out as soon as they are complete. A part of an event is useless to a client, and only a complete usage
/// event can be recognized and hidden from a client that did not ask for it.
///
/// The stream is behind a lock because two parties may end it: the task that sends it to the client, and the kill
/// switch, which cannot wait for a client that does not read.
pub(super) struct Metered<B>(Mutex<Stream<B>>);

struct Stream<B> {
    /// `None` once nothing more is read from the provider.
    inner: Option<Pin<Box<B>>>,
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
    /// The provider reported an error inside the stream.
    provider_error: bool,
    watched: Option<Watched>,
    /// Resolves when the answer has taken too long.
    overdue: Pin<Box<Sleep>>,
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
        watched: Option<Watched>,
    ) -> Arc<Self> {
        let splitter = Splitter::new(open.settings().event_bytes_max);
        let overdue = Box::pin(sleep(open.time_left()));
        let rest = Rest {
            open,
            dialect,
            named,
            splitter,
            out: VecDeque::new(),
            provider_error: false,
            watched,
            overdue,
        };
        let inner = Some(Box::pin(inner));
        let stream = Arc::new(Self(Mutex::new(Stream { inner, rest, phase: Phase::Reading })));
        // The concrete `Weak` must be named: only then does it coerce to `Weak<dyn Cut>`.
        let weak: Weak<Self> = Arc::downgrade(&stream);
        let mut locked = stream.lock();
        let stopped = locked.rest.watched.as_ref().and_then(|watched| watched.goes_on_as(weak));
        if let Some(scope) = stopped {
            locked.cut(scope);
        }
        drop(locked);
        stream
    }

    /// The client has left. Drains the answer for its usage if the policy says so; else dropping the call ends it with
    /// what was seen.
    pub(super) fn drain(self: Arc<Self>) {
        let mut stream = self.lock();
        if self.0.is_poisoned() {
            // The inner body has panicked: it must not be polled again.
            drop(stream.rest.open.end_panicked());
            return;
        }
        let finisher = stream.rest.open.settings().finisher.clone();
        if !matches!(stream.phase, Phase::Reading) || !stream.rest.open.drains() {
            return;
        }
        let Some(finisher) = finisher else { return };
        stream.rest.open.call().client_leaves();
        let limit = stream.rest.open.settings().drain_max;
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
        matches!(stream.phase, Phase::Over) && stream.rest.out.is_empty()
    }
}

impl<B> Metered<B> {
    // This lock remembers a panic in the inner body. The task that polled then drops the body, and `drain` ends the
    // call.
    fn lock(&self) -> MutexGuard<'_, Stream<B>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<B: Send> Cut for Metered<B> {
    fn cut(&self, scope: Scope) {
        self.lock().cut(scope);
    }
}

impl<B> Stream<B> {
    /// The kill switch is on: nothing more is read from the provider, and what was delivered is charged.
    fn cut(&mut self, scope: Scope) {
        if !matches!(self.phase, Phase::Reading) {
            return;
        }
        self.inner = None;
        let suspended = Refusal::Suspended(scope);
        let last = self.rest.error(suspended.status(), suspended.code(), &suspended.message());
        self.rest.open.delivered(&last);
        self.end(last, Ending::Cut);
    }

    fn end(&mut self, last: Bytes, ending: Ending) {
        self.rest.watched = None;
        let written = self.rest.open.settle(ending);
        self.phase = Phase::Finishing { written, last };
    }
}

impl<B> Stream<B>
where
    B: Body<Data = Bytes>,
    B::Error: fmt::Display,
{
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        loop {
            if let Some(bytes) = self.rest.out.pop_front() {
                return Poll::Ready(Some(Ok(Frame::data(bytes))));
            }
            match &mut self.phase {
                Phase::Reading => {
                    if let Some(Poll::Ready(scope)) =
                        self.rest.watched.as_ref().map(|watched| watched.poll_cut(cx))
                    {
                        self.cut(scope);
                        continue;
                    }
                    if let Some((last, ending)) = self.rest.poll_overdue(cx) {
                        self.end(last, ending);
                        continue;
                    }
                    let polled = match &mut self.inner {
                        Some(inner) => ready!(inner.as_mut().poll_frame(cx)),
                        None => None,
                    };
                    if let Some((last, ending)) = self.rest.read(polled) {
                        self.end(last, ending);
                    }
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

impl Rest {
    /// Reads what the provider sent. If that ends the stream, returns the last bytes and the ending.
    fn read<E: fmt::Display>(
        &mut self,
        polled: Option<Result<Frame<Bytes>, E>>,
    ) -> Option<(Bytes, Ending)> {
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

    fn read_data(&mut self, data: Bytes) -> Option<(Bytes, Ending)> {
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
                    tracing::warn!(
                        request_id = %self.open.call().request_id(),
                        error = %overlong,
                        "the provider's stream cannot be read"
                    );
                    return Some(self.broken());
                }
            };
            let raw = event.raw.clone();
            match self.open.meter().read_event(&event) {
                Seen::Terminal => {
                    self.open.delivered(&raw);
                    return Some((raw, self.ending()));
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

    /// The provider closed its stream without the event that ends one.
    fn read_end(&mut self) -> (Bytes, Ending) {
        let tail = self.splitter.rest();
        if self.provider_error || self.open.meter().finished() {
            self.open.delivered(&tail);
            return (tail, self.ending());
        }
        tracing::warn!(
            request_id = %self.open.call().request_id(),
            "the provider's stream ended before its answer did"
        );
        self.broken()
    }

    fn ending(&self) -> Ending {
        if self.provider_error { Ending::Failed } else { Ending::Complete }
    }

    fn forward(&mut self, raw: Bytes) {
        self.open.delivered(&raw);
        self.out.push_back(raw);
    }

    /// The last bytes and the ending, if the answer has taken too long.
    fn poll_overdue(&mut self, cx: &mut Context<'_>) -> Option<(Bytes, Ending)> {
        if self.overdue.as_mut().poll(cx).is_pending() {
            return None;
        }
        tracing::warn!(request_id = %self.open.call().request_id(), "the provider's stream takes too long: it is cut");
        Some(self.broken())
    }

    fn broken(&mut self) -> (Bytes, Ending) {
        let message = "The provider broke off its answer. No more of it will follow.";
        let last = self.error(StatusCode::BAD_GATEWAY, "provider_failed", message);
        self.open.delivered(&last);
        (last, Ending::Failed)
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
