//! [`Tenant`] and [`Call`] as axum extractors, for handlers behind the layers.
//!
//! ```
//! use axum::{Router, body::Body, routing::get};
//! use http::Request;
//! use tollgate::{Tenant, domain::ids::OrganizationId};
//! use tower::ServiceExt;
//!
//! async fn hello(tenant: Tenant) -> String {
//!     format!("hello {}", tenant.user_id())
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let app: Router = Router::new().route("/hello", get(hello));
//!
//! let organization_id: OrganizationId = "0192f0c0-0000-7000-8000-000000000001".parse()?;
//! let known = Request::get("/hello").extension(Tenant::new(organization_id, "ada")).body(Body::empty())?;
//! assert_eq!(app.clone().oneshot(known).await?.status(), 200);
//!
//! // 500: a layer is missing that sets the tenant, which is not the caller's fault.
//! let miswired = Request::get("/hello").body(Body::empty())?;
//! assert_eq!(app.oneshot(miswired).await?.status(), 500);
//! # Ok(())
//! # }
//! ```

use axum_core::{body::Body, extract::FromRequestParts, response::Response};
use http::request::Parts;

use crate::{
    context::{self, Call, Tenant},
    refusal::Refusal,
};

/// Extracts the tenant that `TenantLayer` has set. Without it, answers 500 and logs the layer to add.
impl<S: Sync> FromRequestParts<S> for Tenant {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Response> {
        parts.extensions.get().cloned().ok_or_else(|| miswired(parts, "TenantLayer"))
    }
}

/// Extracts the call that `CallLayer` has set. Without it, answers 500 and logs the layer to add.
impl<S: Sync> FromRequestParts<S> for Call {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Response> {
        parts.extensions.get().cloned().ok_or_else(|| miswired(parts, "CallLayer"))
    }
}

fn miswired(parts: &Parts, layer: &'static str) -> Response {
    let dialect = context::dialect_of(&parts.extensions, &parts.uri, &parts.headers);
    Refusal::Miswired(layer).respond(dialect, &parts.headers).map(Body::from)
}
