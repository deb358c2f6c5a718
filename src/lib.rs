//! Tollgate: Tower layers that let many organizations share one LLM gateway safely.

mod admission;
pub mod audit;
pub mod body;
pub mod call;
pub mod client;
pub mod context;
pub mod credit;
pub mod domain;
#[cfg(feature = "server")]
pub mod gateway;
pub mod limits;
pub mod models;
#[cfg(feature = "postgres")]
pub mod postgres;
pub mod provider;
pub mod refusal;
pub mod store;
pub mod tenant;

pub use context::{Call, Tenant};
pub use refusal::Refusal;
