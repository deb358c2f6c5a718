//! Tollgate: Tower layers that let many organizations share one LLM gateway safely.

pub mod body;
pub mod context;
pub mod domain;
pub mod refusal;
pub mod store;

pub use context::{Call, Tenant};
pub use refusal::Refusal;
