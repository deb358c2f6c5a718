//! The control plane: reads and changes the settings of organizations, for the command and for HTTP.
//!
//! Each resource has a file. A function there checks its input and calls a store: a trait of
//! [`store::admin`](crate::store::admin), or one for an organization's own people. It returns an answer with the JSON
//! document for machines. A front reads requests, calls such a function, and renders the answer: the command prints,
//! and [`Admin`] answers over HTTP. So an input that one front refuses is refused by the other, too.
//!
//! Each front has its own error texts for a `Problem`: the command's texts name its options.

pub(crate) mod agreements;
pub(crate) mod bills;
pub(crate) mod books;
pub(crate) mod budgets;
pub(crate) mod credits;
pub mod http;
pub(crate) mod kill_switches;
pub(crate) mod limits;
pub(crate) mod organizations;
pub(crate) mod places;
pub(crate) mod policies;
pub(crate) mod prices;
pub(crate) mod problem;
pub(crate) mod scoped;
pub(crate) mod statements;
#[cfg(test)]
mod tests;

pub use self::http::Admin;
