//! What ends a call for its client before its answer has ended: a kill switch, a provider that takes too long, or the
//! time of the answer. The provider goes on, so the answer is read to its usage.

use std::{
    future::poll_fn,
    pin::Pin,
    sync::Weak,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Sleep, sleep};

use super::switch::{Cut, Watched};
use crate::{
    context::{Call, Overdue},
    domain::{finish::Ending, scope::Scope},
    refusal::Refusal,
};

/// Why the client gets no more of the answer.
#[derive(Clone, Copy, Debug)]
pub(super) enum Stop {
    /// A kill switch is on.
    Suspended(Scope),
    /// The provider did not send the next part in time.
    GivenUp(Overdue),
    /// The answer has taken all of its time.
    TimeIsOver,
}

impl Stop {
    pub(super) const fn ending(self) -> Ending {
        match self {
            Self::Suspended(_) => Ending::Cut,
            Self::GivenUp(_) | Self::TimeIsOver => Ending::Failed,
        }
    }

    /// What the client gets instead of an answer of which nothing was sent yet.
    pub(super) const fn refusal(self, begun: bool) -> Refusal {
        match self {
            Self::Suspended(scope) => Refusal::Suspended(scope),
            Self::GivenUp(Overdue::Head) => Refusal::ProviderTimedOut,
            Self::TimeIsOver if !begun => Refusal::ProviderTimedOut,
            Self::GivenUp(Overdue::Piece) | Self::TimeIsOver => Refusal::ProviderFailed,
        }
    }
}

/// Watches for everything that may end a call for its client, until this is dropped.
pub(super) struct Stops {
    call: Call,
    watched: Option<Watched>,
    time: Pin<Box<Sleep>>,
}

impl Stops {
    pub(super) fn new(call: Call, watched: Option<Watched>, time: Duration) -> Self {
        Self { call, watched, time: Box::pin(sleep(time)) }
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Stop> {
        if let Some(Poll::Ready(scope)) = self.watched.as_ref().map(|watched| watched.poll_cut(cx))
        {
            return Poll::Ready(Stop::Suspended(scope));
        }
        // What is waited for without a client has a bound of its own.
        if self.call.client_left() {
            return Poll::Pending;
        }
        if let Poll::Ready(overdue) = self.call.poll_given_up(cx) {
            return Poll::Ready(Stop::GivenUp(overdue));
        }
        self.time.as_mut().poll(cx).map(|()| Stop::TimeIsOver)
    }

    /// Polls `work` until it is done. If the call is stopped first, `work` can be polled on.
    pub(super) async fn unless_stopped<F: Future + Unpin>(
        &mut self,
        work: &mut F,
    ) -> Result<F::Output, Stop> {
        tokio::select! {
            biased;
            stop = poll_fn(|cx| self.poll(cx)) => Err(stop),
            done = work => Ok(done),
        }
    }

    /// Registers the stream to end when the call is cut. Returns the scope if the call has already been cut.
    pub(super) fn goes_on_as(&self, stream: Weak<dyn Cut>) -> Option<Scope> {
        self.watched.as_ref()?.goes_on_as(stream)
    }
}
