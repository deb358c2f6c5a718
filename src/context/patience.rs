//! How a provider's service says that it would give up waiting, and goes on all the same.

use std::task::{Context, Poll, Waker};

/// What the provider did not send in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Overdue {
    /// The head of its answer.
    Head,
    /// The next piece of its answer.
    Piece,
}

/// In the extensions of an answer that stands for none: the request had left for the provider, and no head came back.
/// The provider may bill what it was sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unanswered;

/// What `CallLayer` and the provider's service tell each other.
#[derive(Debug, Default)]
pub(super) struct Patience {
    /// `CallLayer` ends the call for its client, and waits for the provider's answer without it.
    listened_to: bool,
    overdue: Option<Overdue>,
    waker: Option<Waker>,
}

impl Patience {
    pub(super) fn listen(&mut self) {
        self.listened_to = true;
    }

    pub(super) const fn is_listened_to(&self) -> bool {
        self.listened_to
    }

    /// The waker to wake once the lock is free.
    pub(super) fn tell(&mut self, overdue: Overdue) -> Option<Waker> {
        self.overdue.get_or_insert(overdue);
        self.waker.take()
    }

    pub(super) fn poll(&mut self, cx: &Context<'_>) -> Poll<Overdue> {
        if let Some(overdue) = self.overdue {
            return Poll::Ready(overdue);
        }
        match &mut self.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        Poll::Pending
    }
}
