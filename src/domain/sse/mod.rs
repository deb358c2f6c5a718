//! Server-sent events: splits a byte stream into events without changing a byte.
//!
//! A [`Splitter`] takes chunks as they arrive and returns [`Event`]s with their exact bytes, so that a gateway can
//! forward, hide or read each event. Lines may end in LF, CR or CRLF, also across chunks. The splitter buffers at most
//! one event, up to a bound.
//!
//! ```
//! # use bytes::Bytes;
//! # use tollgate::domain::sse::{Overlong, Splitter};
//! let mut splitter = Splitter::new(1024);
//! splitter.push(Bytes::from_static(b"event: greeting\ndata: hel"));
//! assert!(splitter.next_event()?.is_none());
//! splitter.push(Bytes::from_static(b"lo\n\ndata: cut off"));
//!
//! let event = splitter.next_event()?.expect("one event is complete");
//! assert_eq!(event.name(), "greeting");
//! assert_eq!(event.data().as_deref(), Some(&b"hello"[..]));
//! assert_eq!(&event.raw[..], b"event: greeting\ndata: hello\n\n");
//!
//! assert!(splitter.next_event()?.is_none());
//! assert_eq!(&splitter.rest()[..], b"data: cut off");
//! # Ok::<(), Overlong>(())
//! ```

mod event;
mod splitter;
#[cfg(test)]
mod tests;

#[cfg(feature = "http")]
use event::BYTE_ORDER_MARK;
pub use event::Event;
pub use splitter::{Overlong, Splitter};

/// The fields of an event, with their colons. A line that is a comment has nothing before its colon.
#[cfg(feature = "http")]
const FIELDS: [&[u8]; 5] = [b"data:", b"event:", b"id:", b"retry:", b":"];

/// Whether an answer that begins with these bytes is a stream of events. `None` if more of it must be seen.
#[cfg(feature = "http")]
pub(crate) fn begins(bytes: &[u8]) -> Option<bool> {
    if BYTE_ORDER_MARK.starts_with(bytes) {
        return None;
    }
    let bytes = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes).trim_ascii_start();
    if FIELDS.iter().any(|field| bytes.starts_with(field)) {
        return Some(true);
    }
    (!FIELDS.iter().any(|field| field.starts_with(bytes))).then_some(false)
}
