//! Tollgate: Tower layers that let many organizations share one LLM gateway safely.
//!
//! Each layer wraps any inner service and works alone. It answers refusals as responses and passes
//! the inner service's errors through unchanged. A layer that needs a fact from a layer further out
//! reads it, typed, from the request's extensions. Without that fact, the answer is 500 and the log
//! names the layer to add.
//!
//! The whole stack, outermost first ([`stack()`] builds it):
//!
//! | layer | needs | gives | refuses with |
//! |---|---|---|---|
//! | [`TenantLayer`](tenant::TenantLayer) | nothing | [`Tenant`] | 401, 503 |
//! | [`CallLayer`](call::CallLayer) | `Tenant` if there | [`Call`] | 400, 404, 408, 413, 503 |
//! | [`ModelsLayer`](models::ModelsLayer) | `Tenant`, `Call` | – | 403, 503 |
//! | [`LimitsLayer`](limits::LimitsLayer) | `Tenant`; `Call` if there | – | 400, 403, 429, 503 |
//! | [`CreditLayer`](credit::CreditLayer) | `Tenant`, `Call` | a hold in the `Call` | 400, 402, 403, 429, 503 |
//! | [`AuditLayer`](audit::AuditLayer) | `Tenant`, `Call` | what to keep, in the `Call` | 403, 503 |
//!
//! # Features
//! Without any feature, the crate is the layers, the in-memory store and a mock provider: no HTTP client and no TLS.
//!
//! | feature | adds |
//! |---|---|
//! | `http` | [`client`], [`provider::upstream`], and key sets that an issuer publishes ([`tenant::JwksOptions`]) |
//! | `postgres` | the store on Postgres ([`postgres`]) |
//! | `axum` | extractors for axum ([`extract`]) |
//! | `server` (default) | the ready-made [`gateway`] and the `tollgate` command, on `http` and `postgres` |

#[cfg(feature = "server")]
pub mod admin;
mod admission;
pub mod audit;
pub mod body;
pub mod call;
#[cfg(any(feature = "http", feature = "postgres"))]
mod causes;
#[cfg(feature = "http")]
pub mod client;
mod clock;
#[cfg(feature = "server")]
pub mod command;
pub mod context;
pub mod credit;
pub mod domain;
#[cfg(feature = "axum")]
pub mod extract;
#[cfg(feature = "server")]
pub mod gateway;
pub mod limits;
pub mod models;
#[cfg(feature = "postgres")]
pub mod postgres;
pub mod provider;
pub mod refusal;
mod sharded;
mod stack;
pub mod store;
pub mod tenant;
#[cfg(test)]
mod testing;
#[cfg(any(feature = "http", feature = "postgres"))]
mod tls;

pub use context::{Call, Tenant};
pub use refusal::Refusal;
pub use stack::{Stack, Stacked, stack};
