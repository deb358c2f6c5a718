//! Lets a request through only with a valid token, and identifies the caller.
//!
//! Needs nothing further out. Reads the `authorization: Bearer` header, or `x-api-key`, which
//! Anthropic's clients send. Puts a [`Tenant`](crate::Tenant) into the extensions. Removes credentials,
//! and headers that claim a caller's identity, from the request. Answers 401 without a valid token, and
//! 503 if it has no keys to verify with. Leaves responses alone, and reads no body.
//!
//! The organization comes from one configured claim of the token. Nothing else that the client sends
//! can change it. The role is the token's, if a claim for it is configured, and never `platform`.
//!
//! # Why these rules
//!
//! The crate `jsonwebtoken` verifies signatures, algorithms, `exp`, `nbf`, `iss` and `aud`. It accepts
//! things that a gateway must not: extensions (`crit`), a list for `iss`, a token of another type. This
//! layer checks the header before that crate, and the claims after it.
//!
//! A bad header is refused before any cryptography. Algorithms come from configuration
//! ([`VerifierConfig::algorithms`]). Extensions (`crit`, `b64`) are refused. Keys that the token names
//! (`jku`, `x5u`, `x5c`, `jwk`) are never used, and a `kid` is only compared. `exp`, `iss`, `aud` and
//! `sub` are required and typed. A token has one spelling: no base64 padding, no duplicate JSON keys,
//! nothing after the end.
//!
//! A verified token is cached until its `exp`, under the SHA-256 of the whole token, but only as long
//! as its key is in the issuer's set. When an issuer withdraws a key, the key's tokens become invalid at
//! the next refresh. There is no other revocation here; a kill switch belongs to the organization's
//! policy.
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
//! `KeySource::published` takes the keys that an issuer publishes (feature `http`).

mod admit;
mod algorithm;
mod claims;
mod clock;
mod config;
mod decoder;
mod denial;
mod future;
mod headers;
#[cfg_attr(
    all(not(feature = "http"), not(test)),
    expect(
        dead_code,
        unreachable_pub,
        reason = "only `KeySource::published` starts fetching, which needs `http`"
    )
)]
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
pub use config::{LEEWAY_MAX, Unfit, VerifierConfig, VerifierError};
pub use denial::Denial;
pub use future::ResponseFuture;
#[cfg(feature = "http")]
pub use jwks::{JwksOptions, JwksOptionsError};
pub use keys::KeySetError;
pub use layer::TenantLayer;
pub use service::Tenants;
pub use shape::TOKEN_BYTES_MAX;
pub use verifier::{KeySource, Rejection, Verifier};
