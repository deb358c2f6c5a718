//! Finds the ends of events in a stream of chunks.

use bytes::{Bytes, BytesMut};
use memchr::memchr2;

use super::Event;

/// An event is longer than the bound. Its bytes so far are not lost: [`Splitter::rest`] has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an event is longer than {bytes_max} bytes")]
pub struct Overlong {
    /// The bound.
    pub bytes_max: usize,
}

/// Splits a stream into events: [`push`](Self::push) a chunk, then take events until there is none. When the stream has
/// ended, take the [`rest`](Self::rest). All output together is exactly the input.
#[derive(Debug)]
pub struct Splitter {
    event_bytes_max: usize,
    /// The unfinished event's bytes from earlier chunks.
    begun: BytesMut,
    /// The unread rest of the latest chunk.
    chunk: Bytes,
    line: Line,
    first: bool,
    overlong: bool,
}

/// How far the scan has come within a line.
#[derive(Debug, Default)]
struct Line {
    /// The line has at least one byte.
    begun: bool,
    /// The last byte was a CR that ended a line. If an LF follows, it belongs to the same line ending.
    after_cr: bool,
}

impl Splitter {
    /// A splitter for events of at most `event_bytes_max` bytes, including the blank line.
    pub fn new(event_bytes_max: usize) -> Self {
        Self {
            event_bytes_max,
            begun: BytesMut::new(),
            chunk: Bytes::new(),
            line: Line::default(),
            first: true,
            overlong: false,
        }
    }

    /// Adds the next chunk. Take all events before you push another chunk, or the waiting chunks are copied.
    pub fn push(&mut self, chunk: Bytes) {
        if self.chunk.is_empty() {
            self.chunk = chunk;
        } else {
            let mut waiting = BytesMut::from(std::mem::take(&mut self.chunk));
            waiting.extend_from_slice(&chunk);
            self.chunk = waiting.freeze();
        }
    }

    /// The next complete event; `None` until more is pushed. An event within one chunk shares the chunk's memory.
    ///
    /// An event that ends in a CR at the end of a chunk is returned at once. If the next chunk begins with its LF, the
    /// LF becomes the first byte of the next event (or of the [`rest`](Self::rest)), where it has no meaning.
    ///
    /// After [`Overlong`], every further call returns `Overlong`. The stream can still be forwarded, but no longer be
    /// read.
    pub fn next_event(&mut self) -> Result<Option<Event>, Overlong> {
        if self.overlong {
            return Err(self.too_long());
        }
        let end = self.line.find_end(&self.chunk);
        let length = self.begun.len().saturating_add(end.unwrap_or(self.chunk.len()));
        if length > self.event_bytes_max {
            self.overlong = true;
            return Err(self.too_long());
        }
        let Some(end) = end else {
            self.begun.extend_from_slice(&self.chunk);
            self.chunk.clear();
            return Ok(None);
        };
        let tail = self.chunk.split_to(end);
        let raw = if self.begun.is_empty() {
            tail
        } else {
            self.begun.extend_from_slice(&tail);
            self.begun.split().freeze()
        };
        Ok(Some(Event::new(raw, std::mem::take(&mut self.first))))
    }

    /// Takes the bytes that belong to no event yet. At the stream's end, they are its unterminated tail.
    pub fn rest(&mut self) -> Bytes {
        let chunk = std::mem::take(&mut self.chunk);
        if self.begun.is_empty() {
            return chunk;
        }
        self.begun.extend_from_slice(&chunk);
        self.begun.split().freeze()
    }

    const fn too_long(&self) -> Overlong {
        Overlong { bytes_max: self.event_bytes_max }
    }
}

impl Line {
    /// Where the event ends within `bytes`: after its blank line.
    fn find_end(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut line = bytes;
        if let Some((&first, rest)) = bytes.split_first() {
            if self.after_cr && first == b'\n' {
                line = rest;
            }
            self.after_cr = false;
        }
        loop {
            let Some(length) = memchr2(b'\n', b'\r', line) else {
                self.begun |= !line.is_empty();
                return None;
            };
            let blank = !self.begun && length == 0;
            self.begun = false;
            line = match line.get(length..) {
                Some([b'\r']) => {
                    self.after_cr = true;
                    &[]
                }
                Some([b'\r', b'\n', rest @ ..] | [_, rest @ ..]) => rest,
                Some([]) | None => return None,
            };
            if blank {
                return Some(bytes.len().saturating_sub(line.len()));
            }
        }
    }
}
