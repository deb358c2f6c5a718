//! Reads the call once, and ends it exactly once.
//!
//! [`CallLayer`] reads the request's body (bounded), puts [`Call`](crate::Call) into the extensions
//! for the layers further in, and owns the answer's body. The call ends exactly once, whether the answer is complete,
//! the provider breaks off, or the client leaves at any byte. At the end, the usage is read from the answer and the
//! hold is settled. Settlement, usage and record are written durably as **one**
//! [`Finish`](crate::domain::finish::Finish), before the last bytes of the answer are sent. An answer that is not a
//! stream is held back whole, so that it can still become a 503. Of a stream, only the last event is held back.
//!
//! Reads: the body, [`Tenant`](crate::Tenant) and [`Arrival`](crate::context::Arrival) if present; without `Arrival`, also
//! the path (which endpoint) and `x-request-id`.
//! Adds: the [`Call`](crate::Call). Does not decide anything about models, limits or money.
//!
//! If no layer holds credits for a call and no layer records it, nothing is written at its end:
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
//! A client may leave before the head of the answer arrives, which drops the response future. The provider goes on and
//! bills, so the work must go on without that future. The work is boxed so that it can be moved to another task.
//!
//! # Who pays for an answer that nobody gets
//! A hold is given back only if the provider refused before any answer, or was not reached. Whatever else ends a call for
//! its client, a kill switch, a time-out or the client itself, the answer is read on in the background to its usage.
//! So no tenant can make a call cheaper by ending it. Where no usage comes, the input and what was seen are charged; and
//! the hold, if more may have been done: the model reasons, the answer is not a stream, or nothing was seen of it.

mod body;
mod capture;
mod count;
mod finisher;
mod future;
mod heartbeats;
mod layer;
mod open;
mod registry;
mod service;
mod settle;
#[cfg(test)]
mod settle_tests;
mod slots;
mod stops;
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
#[cfg(feature = "http")]
pub(crate) use service::is_event_stream;
pub use switch::KillSwitch;
