//! Reading foreign JSON: one pass, no tree, and nothing that two parsers could read differently.
//!
//! A [`Reader`] walks the text and hands each field or item to the caller, who reads or skips it.
//! Whatever it passes has been checked: UTF-8, the grammar of RFC 8259, at most [`DEPTH_MAX`] levels
//! deep, and **no key twice** in an object, at any depth. Parsers differ on which of two values
//! wins, so a gateway that reads the one and a provider that reads the other would disagree about
//! model and price. Numbers stay text; nothing passes through a float.
//!
//! ```
//! # use tollgate::domain::json::{JsonError, Reader};
//! let mut reader = Reader::new(br#"{"model":"small","stop":["a","b"]}"#)?;
//! let mut model = None;
//! reader.object(|reader, key| {
//!     match &*key {
//!         "model" => model = Some(reader.string()?.decoded()),
//!         _ => reader.skip()?,
//!     }
//!     Ok::<(), JsonError>(())
//! })?;
//! reader.end()?;
//! assert_eq!(model.as_deref(), Some("small"));
//!
//! // The second key is the first one, written with an escape.
//! let mut reader = Reader::new(br#"{"a":{"n":1,"\u006e":2}}"#)?;
//! assert_eq!(reader.skip(), Err(JsonError::DuplicateKey("n".into())));
//! # Ok::<(), JsonError>(())
//! ```

mod keys;
mod reader;
#[cfg(test)]
mod tests;
mod text;

pub use reader::{DEPTH_MAX, JsonError, Kind, Reader};
pub use text::Text;
