//! Holds every organization to its rates: requests a minute, tokens a minute, calls in flight; and its
//! teams, people, keys and models to theirs.
//!
//! Reads [`Tenant`] (set by `TenantLayer`). Where there is a [`Call`] (set by `CallLayer`) it also
//! counts tokens, and a call is in flight until its answer's body has ended; without one it counts
//! requests only, by the limits of all models, and a call is in flight until the answer's head is there.
//!
//! A call meets the policy's own rates and every [`RateLimit`] of its caller's that its model falls
//! under. It is counted by all of them or by none. Tokens are taken *before* the call, as many as it could
//! use at the most, and corrected to what it used at its end, in every limit: calls that start together
//! cannot all pass on what only one of them may use. A call that could use more than a whole minute's
//! tokens can never pass, so it gets a 400 that says so, not a 429 that would be retried. Of several
//! limits that refuse, the one that lasts longest is told.
//!
//! Answers carry the rate-limit headers of the caller's dialect: of each kind of rate, the limit that
//! leaves the least. They are the caller's: those of the provider describe an account that it shares with
//! others, and are removed.
//!
//! The crate `governor` decides whether a rate has room for a call ([`rate`](crate::domain::rate)). What is kept
//! between calls is ours: one moment for each rate of each limit, in shards with a lock each.
//!
//! The policy's kill switch is obeyed too (403). Budgets and credits are not looked at: the hold
//! statement of `CreditLayer` enforces them on live rows. Counts live in this process: of several, tell each
//! how many there are and which one it is ([`LimitsLayer::replica`]).
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
