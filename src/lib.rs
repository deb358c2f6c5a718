//! Tollgate: Tower layers that let many organizations share one LLM gateway safely.

pub mod body;
pub mod client;
pub mod call;
pub mod context;
pub mod domain;
#[cfg(feature = "postgres")]
pub mod postgres;
pub mod provider;
pub mod refusal;
pub mod store;

pub use context::{Call, Tenant};
pub use refusal::Refusal;
