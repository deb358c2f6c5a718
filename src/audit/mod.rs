//! Marks a call for the audit log: asks for a record, and says what it may contain.
//!
//! Reads [`Tenant`] (set by `TenantLayer`) and [`Call`] (set by `CallLayer`); leaves responses alone.
//! It writes nothing itself: `CallLayer`, which sees the end, writes the record in the same
//! transaction as the settlement. If the policy cannot be read, the call is refused with 503, since a
//! call that cannot be recorded properly must not be made.
//!
//! ```
//! # use http::{Request, Response};
//! # use std::convert::Infallible;
//! # use tollgate::{Call, Tenant, audit::AuditLayer};
//! # use tollgate::domain::{ids::OrganizationId, policy::Keep};
//! # use tower::{ServiceBuilder, ServiceExt, service_fn};
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Infallible> {
//! let provider = service_fn(|_: Request<()>| async { Ok::<_, Infallible>(Response::new(())) });
//! let gateway = ServiceBuilder::new().layer(AuditLayer::keeping(Keep::Metadata)).service(provider);
//!
//! let call = Call::for_model("small");
//! let request = Request::builder()
//!     .extension(Tenant::new(OrganizationId::new(uuid::Uuid::now_v7()), "ada"))
//!     .extension(call.clone())
//!     .body(())
//!     .unwrap();
//! gateway.oneshot(request).await?;
//! assert_eq!(call.keeping().unwrap().keep, Keep::Metadata);
//! # Ok(())
//! # }
//! ```
//!
//! [`Tenant`]: crate::Tenant
//! [`Call`]: crate::Call

mod layer;
mod service;
#[cfg(test)]
mod tests;

pub use crate::admission::decide::ResponseFuture;
pub use layer::AuditLayer;
pub use service::Audit;
