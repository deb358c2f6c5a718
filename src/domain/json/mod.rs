//! Reads foreign JSON in one pass, without a tree, and refuses text that two parsers could read differently.
//!
//! A [`Reader`] walks the text and hands each field or item to the caller, who reads or skips it. Everything that it
//! passes is checked: UTF-8, the grammar of RFC 8259, at most [`DEPTH_MAX`] levels deep, and **no duplicate key** in an
//! object, at any depth. Parsers differ on which value of a duplicate key wins. A gateway that reads one value and a
//! provider that reads the other would disagree about model and price. Numbers stay text and are never converted to a
//! float.
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

mod fold;
mod keys;
mod reader;
#[cfg(test)]
mod tests;
mod text;

#[cfg(test)]
pub(in crate::domain) use text::counted;

pub use fold::folded;
pub use reader::{DEPTH_MAX, JsonError, Kind, Reader};
pub use text::Text;
