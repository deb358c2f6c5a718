//! The bodies that layers pass on: the edited request body, and a response body that is the inner
//! service's or ours.

mod request;
mod response;

pub use request::RequestBody;
pub use response::ResponseBody;
