//! The steps that an answer is made of.

use std::time::Duration;

use bytes::Bytes;

/// One step of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Wait(Duration),
    Data(Bytes),
    Break,
    Hang,
}
