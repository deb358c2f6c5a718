//! The pure part: types such as ids, prices, usage and endings, and every decision that is made from them.
//!
//! Nothing in here awaits, uses HTTP or SQL, or reads a clock: a function gets facts and returns a decision.

pub mod credits;
mod decimal;
pub mod dialect;
pub mod endpoint;
pub mod finish;
pub mod hold;
pub mod ids;
pub mod instant;
pub mod json;
pub mod output;
pub mod overrun;
pub(crate) mod percent;
pub mod place;
pub mod policy;
pub mod price;
pub mod price_bounds;
pub mod price_file;
pub mod price_review;
pub mod rate;
pub mod request;
pub mod role;
pub mod scope;
pub mod sse;
pub mod statement;
pub mod switch;
pub mod tokens;
pub mod usage;
