//! The steps that an answer is made of.

use std::time::Duration;

use bytes::Bytes;

/// What happens next in an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Wait(Duration),
    Data(Bytes),
    Break,
    Hang,
}
