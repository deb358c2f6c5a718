//! The mock's response body. Each step of a stream is made when it is polled for.

use std::{
    collections::VecDeque,
    future::Future,
    num::NonZeroUsize,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Sleep, sleep};

use super::{step::Step, stream::Stream};

/// The answer of [`MockProvider`](super::MockProvider).
#[derive(Debug)]
pub struct MockBody {
    script: Script,
    /// The length of a frame in bytes. `None`: one frame for each step of the script.
    split: Option<NonZeroUsize>,
    gathered: BytesMut,
    waiting: Option<Pin<Box<Sleep>>>,
    over: Option<Over>,
}

/// The answer was broken off, because `x-mock-break-after` asked for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the mock provider broke its answer off, as it was asked to")]
pub struct MockBroke;

#[derive(Debug)]
pub(super) enum Script {
    Listed(VecDeque<Step>),
    Stream(Box<Stream>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Over {
    Ended,
    /// Breaks at the next poll, so that a server can first send the bytes before the break.
    Breaking,
    Broken,
    Hung,
}

impl MockBody {
    pub(super) fn new(script: Script, split: Option<NonZeroUsize>) -> Self {
        Self { script, split, gathered: BytesMut::new(), waiting: None, over: None }
    }

    /// These bytes and nothing else.
    pub(super) fn full(bytes: impl Into<Bytes>) -> Self {
        Self::new(Script::Listed(VecDeque::from([Step::Data(bytes.into())])), None)
    }

    fn next_step(&mut self) -> Option<Step> {
        match &mut self.script {
            Script::Listed(steps) => steps.pop_front(),
            Script::Stream(stream) => stream.next(),
        }
    }

    /// A frame of the configured length, or the rest at the end of the script.
    fn frame(&mut self) -> Option<Bytes> {
        let length = match (self.split, self.over) {
            (Some(split), _) if self.gathered.len() >= split.get() => split.get(),
            (None, _) | (_, Some(_)) if !self.gathered.is_empty() => self.gathered.len(),
            _ => return None,
        };
        Some(self.gathered.split_to(length).freeze())
    }
}

impl Body for MockBody {
    type Data = Bytes;
    type Error = MockBroke;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, MockBroke>>> {
        let this = self.get_mut();
        loop {
            if let Some(bytes) = this.frame() {
                return Poll::Ready(Some(Ok(Frame::data(bytes))));
            }
            match this.over {
                None => {}
                Some(Over::Hung) => return Poll::Pending,
                Some(Over::Ended) => return Poll::Ready(None),
                Some(Over::Breaking) => {
                    this.over = Some(Over::Broken);
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Some(Over::Broken) => {
                    this.over = Some(Over::Ended);
                    return Poll::Ready(Some(Err(MockBroke)));
                }
            }
            if let Some(sleep) = &mut this.waiting {
                ready!(sleep.as_mut().poll(cx));
                this.waiting = None;
            }
            match this.next_step() {
                Some(Step::Data(bytes)) => this.gathered.extend_from_slice(&bytes),
                Some(Step::Wait(time)) => this.waiting = Some(Box::pin(sleep(time))),
                Some(Step::Break) => this.over = Some(Over::Breaking),
                Some(Step::Hang) => this.over = Some(Over::Hung),
                None => this.over = Some(Over::Ended),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        let nothing_to_come = match &self.script {
            Script::Listed(steps) => steps.is_empty() && self.over.is_none(),
            Script::Stream(_) => false,
        };
        self.gathered.is_empty() && (nothing_to_come || self.over == Some(Over::Ended))
    }

    fn size_hint(&self) -> SizeHint {
        let Script::Listed(steps) = &self.script else { return SizeHint::default() };
        let mut length = self.gathered.len();
        for step in steps {
            match step {
                Step::Data(bytes) => length = length.saturating_add(bytes.len()),
                Step::Wait(_) => {}
                Step::Break | Step::Hang => return SizeHint::default(),
            }
        }
        match self.over {
            None | Some(Over::Ended) => {
                SizeHint::with_exact(u64::try_from(length).unwrap_or(u64::MAX))
            }
            Some(Over::Breaking | Over::Broken | Over::Hung) => SizeHint::default(),
        }
    }
}
