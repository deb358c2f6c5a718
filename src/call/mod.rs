//! Reads the call once, and ends it exactly once.
//!
//! [`CallLayer`] reads the request's body (bounded), puts [`Call`](crate::Call) into the extensions
//! for the layers further in, and owns the answer's body. Whatever happens then (the answer goes
//! through, the provider breaks off, the client leaves at any byte) the call ends once: the usage is
//! read from the answer, what the layers have set aside is settled, and settlement, usage and record
//! are written as **one** [`Finish`](crate::domain::finish::Finish), durably, before the last of the
//! answer is let go. An answer that is not a stream is held whole, so that it can still become a
//! 503; of a stream only the last event is held.
//!
//! Reads: the path (which endpoint), the body, `x-request-id`, [`Tenant`](crate::Tenant) if there.
//! Leaves: the [`Call`](crate::Call). Does not decide anything about models, limits or money.
//!
//! A call that no layer holds credits for and no layer wants recorded costs nothing at its end:
//!
//! ```
//! # use tollgate::{Call, body::RequestBody, call::CallLayer};
//! # use bytes::Bytes;
//! # use http::{Request, Response};
//! # use http_body_util::{BodyExt, Full};
//! # use std::convert::Infallible;
//! # use tower::{ServiceBuilder, ServiceExt, service_fn};
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Infallible> {
//! let provider = service_fn(|request: Request<RequestBody>| async move {
//!     let model = Call::of(&request).unwrap().facts().model.clone();
//!     Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(format!("{{\"model\":{model:?}}}")))))
//! });
//! let gateway = ServiceBuilder::new().layer(CallLayer::metering()).service(provider);
//!
//! let call = |body: &'static str| Request::post("/v1/chat/completions").body(Full::<Bytes>::from(body)).unwrap();
//! let answer = gateway.clone().oneshot(call(r#"{"model":"small","messages":[]}"#)).await?;
//! assert_eq!(answer.into_body().collect().await?.to_bytes(), r#"{"model":"small"}"#);
//!
//! // Two models in one body: which one would be billed?
//! let refused = gateway.oneshot(call(r#"{"model":"small","model":"large","messages":[]}"#)).await?;
//! assert_eq!(refused.status(), 400);
//! # Ok(())
//! # }
//! ```
//!
//! # Why the response future is boxed
//! A client may leave before the head of the answer is there. Where the organization wants the true
//! usage, the work has to go on without the future that was dropped, so it must be movable.

mod body;
mod capture;
mod count;
mod finisher;
mod future;
mod heartbeats;
mod layer;
mod open;
mod service;
mod settle;
#[cfg(test)]
mod settle_tests;
mod stream;
mod switch;
#[cfg(test)]
mod tests;

pub use body::CallBody;
pub use finisher::Finisher;
pub use future::CallFuture;
pub use heartbeats::Heartbeats;
pub use layer::CallLayer;
pub use service::Calls;
#[cfg(feature = "server")]
pub(crate) use service::is_event_stream;
pub use switch::KillSwitch;
