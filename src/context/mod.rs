//! The typed facts that layers leave in `http::Extensions` for the layers further in.

mod arrival;
mod call;
mod patience;
mod standing;
mod tenant;

pub use arrival::Arrival;
pub(crate) use arrival::{dialect_of, endpoint_of, valid_request_id};
pub use call::{AtEnd, Call, Hold, Keeping, Report, ServedBy};
pub use patience::Overdue;
pub(crate) use patience::Unanswered;
pub use standing::Standing;
pub use tenant::{Identity, Tenant};
