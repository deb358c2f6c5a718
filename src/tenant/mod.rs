//! Lets a request through only with a token that holds, and says who is calling.
//!
//! Needs nothing further out. Reads the `authorization: Bearer` header, or `x-api-key`, which
//! Anthropic's clients send; puts a [`Tenant`](crate::Tenant) into the extensions; takes credentials
//! and headers that pretend to be ours out of the request. Answers 401 without a valid token, and
//! 503 where there are no keys to decide with. Leaves responses alone, and reads no body.
//!
//! The organization comes from one configured claim of the token. Nothing else that the client says
//! can change it. The role is the token's, if a claim for it is configured, and never `platform`.
//!
//! # Why these rules
//!
//! The crate `jsonwebtoken` verifies signatures, algorithms, `exp`, `nbf`, `iss` and `aud`. It leaves
//! things open that a gateway must not: extensions (`crit`), a list for `iss`, a token of another type.
//! Those are checked before it, by the header alone, and behind it, by the claims.
//!
//! A token is refused by its header before any cryptography: algorithms come from configuration
//! ([`VerifierConfig::algorithms`]), extensions (`crit`, `b64`) are refused, keys named by the token
//! (`jku`, `x5u`, `x5c`, `jwk`) are never used, and a `kid` is compared and nothing else.
//! `exp`, `iss`, `aud` and `sub` are required and typed. One byte string has one spelling: no base64
//! padding, no key twice, nothing after the end.
//!
//! A token that held is remembered until its `exp`, under the SHA-256 of all of it, but only as long
//! as its key is in the issuer's set: a key that is taken back takes its tokens with it, at the next
//! refresh. There is no other revocation here; a kill switch belongs to the organization's policy.
//!
//! # Example
//!
//! ```
//! # use tollgate::{Tenant, tenant::{KeySource, TenantLayer, Verifier, VerifierConfig}};
//! # use http::{Request, Response};
//! # use std::convert::Infallible;
//! # use tower::{ServiceBuilder, ServiceExt, service_fn};
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let config = VerifierConfig::new("https://issuer.example", "tollgate");
//! let verifier = Verifier::new(config, KeySource::fixed(r#"{"keys": []}"#))?;
//! let inner = service_fn(|request: Request<()>| async move {
//!     assert!(Tenant::of(&request).is_some());
//!     Ok::<_, Infallible>(Response::new(()))
//! });
//! let gateway = ServiceBuilder::new().layer(TenantLayer::new(verifier)).service(inner);
//!
//! let request = Request::builder().header("authorization", "Bearer made.up.token").body(())?;
//! assert_eq!(gateway.oneshot(request).await?.status(), 401);
//! # Ok(())
//! # }
//! ```
//!
//! With the keys that an issuer publishes, where the organization is an Auth0 or Clerk claim:
//!
//! ```no_run
//! # use tollgate::{client::HttpClient, tenant::{JwksOptions, KeySource, Verifier, VerifierConfig, VerifierError}};
//! # fn verifier() -> Result<Verifier, VerifierError> {
//! let config = VerifierConfig {
//!     organization_claim: "/app_metadata/organization_id".to_owned(),
//!     role_claim: Some("/app_metadata/role".to_owned()),
//!     ..VerifierConfig::new("https://issuer.example", "tollgate")
//! };
//! let keys = JwksOptions::new("https://issuer.example/.well-known/jwks.json");
//! let verifier = Verifier::new(config, KeySource::published(keys, HttpClient::default()))?;
//! # Ok(verifier)
//! # }
//! ```

mod admit;
mod algorithm;
mod claims;
mod clock;
mod config;
mod decoder;
mod denial;
mod future;
mod headers;
mod jwks;
mod keys;
mod layer;
mod service;
mod shape;
mod strict;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod verifier;

pub use algorithm::{Algorithm, UnknownAlgorithm};
pub use config::{LEEWAY_MAX, VerifierConfig, VerifierError};
pub use denial::Denial;
pub use future::ResponseFuture;
pub use jwks::{JwksOptions, JwksOptionsError};
pub use keys::KeySetError;
pub use layer::TenantLayer;
pub use service::TenantService;
pub use shape::TOKEN_BYTES_MAX;
pub use verifier::{KeySource, Rejection, Verifier};
