//! Refuses a call for a model that the organization may not use.
//!
//! Reads [`Tenant`] (set by `TenantLayer`) and [`Call`] (set by `CallLayer`); leaves responses alone.
//! Refuses with 403 if the organization is suspended, if the caller's role may not call models, or if
//! the model is not on the organization's list. It does not check whether a model *exists*: `CreditLayer`
//! refuses a model without a price, with the same words.
//!
//! ```
//! # use http::{Request, Response};
//! # use std::convert::Infallible;
//! # use tollgate::{Call, models::ModelsLayer};
//! # use tower::{ServiceBuilder, ServiceExt, service_fn};
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Infallible> {
//! let provider = service_fn(|_: Request<()>| async { Ok::<_, Infallible>(Response::new(())) });
//! let gateway = ServiceBuilder::new().layer(ModelsLayer::allowing(["small", "medium-*"])).service(provider);
//!
//! let call = |model| Request::builder().extension(Call::for_model(model)).body(()).unwrap();
//! assert_eq!(gateway.clone().oneshot(call("medium-2")).await?.status(), 200);
//! assert_eq!(gateway.oneshot(call("large")).await?.status(), 403);
//! # Ok(())
//! # }
//! ```
//!
//! With a list for each organization:
//!
//! ```
//! # use http::{Request, Response};
//! # use std::{convert::Infallible, sync::Arc};
//! # use tollgate::{Call, Tenant, models::ModelsLayer};
//! # use tollgate::domain::{ids::OrganizationId, policy::{AllowList, Policy}};
//! # use tollgate::store::Policies;
//! # use tower::{ServiceBuilder, ServiceExt, service_fn};
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Infallible> {
//! # let provider = service_fn(|_: Request<()>| async { Ok::<_, Infallible>(Response::new(())) });
//! // A gateway would use `Policies::cached(store, ttl)`.
//! let policies = Policies::fixed(Policy { models: AllowList::Only(vec!["small".into()]), ..Policy::default() });
//! let gateway = ServiceBuilder::new().layer(ModelsLayer::new(policies)).service(provider);
//!
//! let request = Request::builder()
//!     .extension(Tenant::new(OrganizationId::new(uuid::Uuid::now_v7()), "ada"))
//!     .extension(Call::for_model("large"))
//!     .body(())
//!     .unwrap();
//! assert_eq!(gateway.oneshot(request).await?.status(), 403);
//! # Ok(())
//! # }
//! ```
//!
//! [`Tenant`]: crate::Tenant
//! [`Call`]: crate::Call

mod decision;
mod layer;
pub mod listing;
mod service;
#[cfg(test)]
mod tests;

pub use crate::admission::decide::ResponseFuture;
pub use layer::ModelsLayer;
pub use service::Models;
