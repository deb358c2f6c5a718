//! Bodies: the edited request body that layers pass on, a response body that is the inner service's or
//! ours, one reader of whole bodies, and one writer of JSON answers.

mod json;
mod request;
mod response;
mod whole;

#[cfg(feature = "server")]
pub(crate) use json::JSON;
pub(crate) use json::json;
pub use request::RequestBody;
pub use response::ResponseBody;
pub(crate) use whole::{Unread, read};
