//! Holds credits and budget tokens before a call, so that no call is sent that could not be paid for.
//!
//! Reads [`Tenant`] (set by `TenantLayer`) and [`Call`] (set by `CallLayer`); leaves responses alone.
//! It puts the hold into the call, and `CallLayer`, which sees the end, settles it.
//!
//! The amount is an upper bound of the call's cost, at the highest rates that could apply. It counts the
//! upper bound of the input, and the output cap times the number of answers. If the caller sets no cap,
//! the policy's, the model's or the configured one is used **and sent upstream**, since the provider
//! would not keep to the bound otherwise. The layer asks a stream to report its usage.
//!
//! If a call costs more than its hold, it is counted and logged, and the organization's next holds are larger
//! ([`overrun`](crate::domain::overrun)).
//!
//! Refuses with 402 if credits do not cover the call, and with 429 if a token budget does not. Refuses
//! with 403 if the organization is suspended, or if the model has no price: an unknown price never means
//! free. Refuses with 503 if the ledger cannot answer: without a verdict no call is made.
//!
//! ```
//! # use http::{Request, Response};
//! # use std::{convert::Infallible, future::ready};
//! # use tollgate::{Call, Tenant, credit::CreditLayer};
//! # use tollgate::domain::{credits::Credits, hold::{HoldRequest, HoldVerdict}, ids::{OrganizationId, PriceId}, policy::Policy};
//! # use tollgate::domain::price::{ModelPrice, PriceBook, Rates, Tier};
//! # use tollgate::store::{Ledger, Policies, Prices, StoreFuture};
//! # use tower::{ServiceBuilder, ServiceExt, service_fn};
//! /// A ledger with a balance of 500,000 nano-dollars.
//! struct Purse;
//! impl Ledger for Purse {
//!     fn hold<'a>(&'a self, _: &'a Tenant, request: HoldRequest) -> StoreFuture<'a, HoldVerdict> {
//!         let available = Credits::from_nanos(500_000);
//!         let covered = request.amount <= available;
//!         Box::pin(ready(Ok(if covered { HoldVerdict::Granted } else { HoldVerdict::Insufficient { available, may_wait: false } })))
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Infallible> {
//! # let small = ModelPrice {
//! #     price_id: PriceId::new(uuid::Uuid::nil()), model: "small".into(), provider: "acme".into(), mode: "chat".into(),
//! #     per_request: Credits::ZERO, input_tokens_max: None, output_tokens_max: Some(1_000),
//! #     tiers: vec![Tier { from_input_tokens: 0, rates: Rates { output: 600_000_000, ..Rates::default() } }],
//! # };
//! let provider = service_fn(|_: Request<()>| async { Ok::<_, Infallible>(Response::new(())) });
//! let (policies, prices) = (Policies::fixed(Policy::default()), Prices::new(PriceBook::new([small])));
//! let gateway = ServiceBuilder::new().layer(CreditLayer::new(Purse, policies, prices)).service(provider);
//!
//! // The model writes up to 1,000 tokens at 600 nano-dollars each.
//! let request = Request::builder()
//!     .extension(Tenant::new(OrganizationId::new(uuid::Uuid::now_v7()), "ada"))
//!     .extension(Call::for_model("small"))
//!     .body(())
//!     .unwrap();
//! assert_eq!(gateway.oneshot(request).await?.status(), 402);
//! # Ok(())
//! # }
//! ```
//!
//! [`Tenant`]: crate::Tenant
//! [`Call`]: crate::Call
//!
#![doc = include_str!("../../docs/credits.md")]

mod estimate;
#[cfg(test)]
mod estimate_tests;
mod layer;
mod overruns;
mod reserve;
mod service;
#[cfg(test)]
mod tests;

pub use crate::admission::decide::ResponseFuture;
pub use layer::CreditLayer;
pub use service::Credit;
