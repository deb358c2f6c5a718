//! The bodies that layers pass on: a response body that is the inner one or our own answer.

mod request;
mod response;

pub use request::RequestBody;
pub use response::ResponseBody;
