//! The control plane: what can be set and seen of organizations, for the command and for HTTP alike.
//!
//! One file for each resource. A function there checks what is asked, has a store do it
//! ([`store::admin`](crate::store::admin), or a trait for an organization's own people), and returns an answer with the
//! JSON document that machines get. A front reads requests, calls such a function, and renders: the command prints, and
//! [`Admin`] answers over HTTP. So an input that one front refuses is refused by the other, too.
//!
//! Each front says in its own words what was refused (a `Problem`): the command names its options.

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
