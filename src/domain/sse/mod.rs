//! Server-sent events: cutting a byte stream into events without changing a byte of it.
//!
//! A [`Splitter`] takes chunks as they arrive and gives back [`Event`]s with their exact bytes, so
//! that a gateway can forward, hide or read each one. Lines may end in LF, CR or CRLF, also across
//! chunks. It keeps at most one event, within a bound.
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

pub use event::Event;
pub use splitter::{Overlong, Splitter};
