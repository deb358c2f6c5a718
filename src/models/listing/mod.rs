//! Answers `GET /v1/models` and `GET /v1/models/{id}`: the models that the caller's organization
//! may use. They have a price and are on the organization's list.
//!
//! A leaf service, to mount behind `TenantLayer` under any prefix with the path left intact. It reads
//! [`Tenant`] and answers in the caller's dialect. A request with an `anthropic-version` header gets
//! Anthropic's format with its paging (`limit`, `after_id`, `before_id`), any other gets OpenAI's. Every
//! role may list. A model that is not allowed and a model that does not exist get the same 404. Release
//! dates are unknown, so `created` is the epoch, as Anthropic's reference asks.
//!
//! ```
//! # use http::Request;
//! # use http_body_util::BodyExt;
//! # use tollgate::{Tenant, models::listing::Listing};
//! # use tollgate::domain::{credits::Credits, ids::{OrganizationId, PriceId}, policy::Policy};
//! # use tollgate::domain::price::{ModelPrice, PriceBook, Rates, Tier};
//! # use tollgate::store::{Policies, Prices};
//! # use tower::ServiceExt;
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let small = ModelPrice {
//! #     price_id: PriceId::new(uuid::Uuid::nil()), model: "acme/small".into(), provider: "acme".into(), mode: "chat".into(),
//! #     per_request: Credits::ZERO, tiers: vec![Tier { from_input_tokens: 0, rates: Rates::default() }],
//! #     input_tokens_max: None, output_tokens_max: None,
//! # };
//! let listing = Listing::new(Policies::fixed(Policy::default()), Prices::new(PriceBook::new([small])));
//!
//! let request = Request::get("/v1/models/acme%2Fsmall")
//!     .extension(Tenant::new(OrganizationId::new(uuid::Uuid::now_v7()), "ada"))
//!     .body(())?;
//! let body = listing.oneshot(request).await?.into_body().collect().await?.to_bytes();
//! let model: serde_json::Value = serde_json::from_slice(&body)?;
//! assert_eq!(model["id"], "acme/small");
//! # Ok(())
//! # }
//! ```
//!
//! [`Tenant`]: crate::Tenant

mod answer;
mod service;
mod target;
#[cfg(test)]
mod tests;

pub use service::{Listing, ListingFuture};
