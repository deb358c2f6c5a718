//! Enforces the rates of every organization (requests per minute, tokens per minute, calls in flight),
//! and those of its teams, people, keys and models.
//!
//! Reads [`Tenant`] (set by `TenantLayer`). If there is a [`Call`] (set by `CallLayer`), the layer also
//! counts tokens, and the call is in flight until its answer's body has ended. Without a `Call` it counts
//! only requests, by the limits for all models, and a request is in flight until the answer's head.
//!
//! The policy's own rates apply to a call, and so does every [`RateLimit`] of its caller that matches its
//! model. All of them count the call, or none does. The layer takes tokens *before* the call, by an upper
//! bound of its usage, and corrects them at its end. So calls that start together cannot all pass on tokens
//! that suffice for one. A call whose upper bound exceeds a whole minute's tokens can never pass. It gets a
//! 400 that says so, since clients would retry a 429. If several limits refuse, the answer names the one
//! that lasts longest.
//!
//! Answers carry the rate-limit headers of the caller's dialect: for each kind of rate, the limit with the
//! smallest remainder. The provider's own rate-limit headers are removed, because they describe an account
//! that the caller shares with others.
//!
//! The crate `governor` decides whether a rate has room for a call ([`rate`](crate::domain::rate)). We keep
//! the state between calls: one moment for each rate of each limit, in shards with a lock each.
//!
//! The layer obeys the policy's kill switch too (403). It does not look at budgets and credits: the hold
//! statement of `CreditLayer` enforces them on live rows. Counts live in this process. If several processes
//! share the load, tell each how many there are and which one it is ([`LimitsLayer::replica`]).
//!
//! ```
//! # use http::{Request, Response};
//! # use std::{convert::Infallible, num::NonZeroU32};
//! # use tollgate::{Tenant, limits::LimitsLayer};
//! # use tollgate::domain::{ids::OrganizationId, policy::{Policy, Rates}};
//! # use tollgate::store::Policies;
//! # use tower::{ServiceBuilder, ServiceExt, service_fn};
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Infallible> {
//! let provider = service_fn(|_: Request<()>| async { Ok::<_, Infallible>(Response::new(())) });
//! let rates = Rates { requests_per_minute: NonZeroU32::new(1), ..Rates::default() };
//! let policies = Policies::fixed(Policy { rates, ..Policy::default() });
//! let gateway = ServiceBuilder::new().layer(LimitsLayer::new(policies)).service(provider);
//!
//! let tenant = Tenant::new(OrganizationId::new(uuid::Uuid::now_v7()), "ada");
//! let request = || Request::builder().extension(tenant.clone()).body(()).unwrap();
//! let first = gateway.clone().oneshot(request()).await?;
//! assert_eq!((first.status().as_u16(), &first.headers()["x-ratelimit-remaining-requests"]), (200, &"0".parse().unwrap()));
//! let second = gateway.oneshot(request()).await?;
//! assert_eq!((second.status().as_u16(), &second.headers()["retry-after"]), (429, &"60".parse().unwrap()));
//! # Ok(())
//! # }
//! ```
//!
//! [`Tenant`]: crate::Tenant
//! [`Call`]: crate::Call
//! [`RateLimit`]: crate::domain::policy::RateLimit
//!
#![doc = include_str!("../../docs/limits.md")]

mod counts;
mod future;
mod headers;
mod key;
mod layer;
mod limiter;
mod service;
mod shard;
#[cfg(test)]
mod tests;

pub use future::ResponseFuture;
pub use layer::LimitsLayer;
pub use service::Limits;
