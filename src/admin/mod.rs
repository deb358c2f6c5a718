//! The control plane: what can be set and seen of organizations.

pub mod http;

pub use self::http::Admin;
