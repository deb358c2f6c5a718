//! The typed facts that layers leave in `http::Extensions` for the layers further in.

mod call;
mod standing;
mod tenant;

pub use call::{AtEnd, Call, Hold, Keeping, Report, ServedBy};
pub use standing::Standing;
pub use tenant::{Identity, Tenant};
