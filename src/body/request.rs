//! The request body that goes to the inner service: the caller's bytes, with the layers' edits.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::{context::Call, domain::request::apply_edits};

/// The caller's body as it goes upstream.
///
/// Layers between `CallLayer` and the inner service may still add edits to the [`Call`], such as the
/// output cap on which a hold relies. So the bytes are made when the inner service first asks for them.
#[derive(Debug)]
pub struct RequestBody {
    state: State,
}

#[derive(Debug)]
enum State {
    Unread { original: Bytes, call: Call },
    Read,
}

impl RequestBody {
    /// The body of `call`, as the caller sent it.
    pub const fn new(original: Bytes, call: Call) -> Self {
        Self { state: State::Unread { original, call } }
    }

    /// The whole body at once, with the edits applied.
    pub fn into_bytes(mut self) -> Bytes {
        self.take()
    }

    fn take(&mut self) -> Bytes {
        match std::mem::replace(&mut self.state, State::Read) {
            State::Unread { original, call } => {
                call.sends();
                apply_edits(&original, call.facts().endpoint, call.edits())
            }
            State::Read => Bytes::new(),
        }
    }
}

/// Nobody knows what a service does that drops the body unread.
impl Drop for RequestBody {
    fn drop(&mut self) {
        if let State::Unread { call, .. } = &self.state {
            call.sends();
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let bytes = self.take();
        Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        match &self.state {
            State::Unread { original, .. } => original.is_empty(),
            State::Read => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        let length = match &self.state {
            // Before the first poll, this makes the bytes a second time: `&self` cannot keep them, and the
            // edited copy is only a few kilobytes.
            State::Unread { original, call } => {
                apply_edits(original, call.facts().endpoint, call.edits()).len()
            }
            State::Read => 0,
        };
        SizeHint::with_exact(u64::try_from(length).unwrap_or(u64::MAX))
    }
}
