//! A provider without a network: deterministic, and as slow, broken or expensive as the request asks.
//!
//! Speaks `/v1/chat/completions`, `/v1/completions`, `/v1/embeddings` (floats and base64), `/v1/messages` and
//! `/v1/models[/{id}]` in shapes that the vendors' own clients accept, streamed or not. Any model name is served. The
//! answer repeats the words of the last user message, or of the prompts; each word is one token. A prompt of `n` bytes
//! counts as `n / 4` tokens, or as the gateway's own count of its tokens if that is lower. The mock obeys an output
//! cap, unless the answer is to be endless.
//!
//! | request header | effect |
//! |---|---|
//! | `x-mock-latency-ms` | wait before the head |
//! | `x-mock-input-tokens`, `x-mock-output-tokens` | figures; output defaults to 16, the output cap wins |
//! | `x-mock-cached-tokens`, `x-mock-cache-write-tokens` | input tokens read from the cache, or written to it |
//! | `x-mock-reasoning-tokens` | the part of the output that is reasoning, and not in the text |
//! | `x-mock-chunks` (4), `x-mock-chunk-delay-ms` | pieces of a stream's content, and the wait before each |
//! | `x-mock-status`, `x-mock-retry-after` | an error document with this status |
//! | `x-mock-break-after` | break off after this many chunks; `nothing`: before the head |
//! | `x-mock-usage` | `none`, `final` or `cumulative` |
//! | `x-mock-garbage` | `true`: bytes that do not match the content type; `html`: a web page |
//! | `x-mock-split` | frames of this many bytes, wherever events begin and end |
//! | `x-mock-hang` | `head`: never answer; `body`: never end |
//! | `x-mock-endless` | `true`: a stream's content goes on for ever in the same steps, whatever the cap |
//!
//! Any other `x-mock-*` header, or an invalid value, is answered with 400, and the message names the header. The mock
//! counts what it serves for each request id: the id of the request's [`Call`](crate::Call), else its `x-request-id`.
//! See [`MockProvider::served`].
//!
//! ```
//! use bytes::Bytes;
//! use http::Request;
//! use http_body_util::{BodyExt, Full};
//! use tollgate::provider::mock::MockProvider;
//! use tower::ServiceExt;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let mock = MockProvider::new();
//! let request = Request::post("/v1/chat/completions")
//!     .header("x-request-id", "1")
//!     .header("x-mock-output-tokens", "3")
//!     .body(Full::<Bytes>::from(r#"{"model":"any","messages":[{"role":"user","content":"knock"}]}"#))
//!     .unwrap();
//! let answer = mock.clone().oneshot(request).await.unwrap();
//! let body = answer.into_body().collect().await.unwrap().to_bytes();
//! assert!(std::str::from_utf8(&body).unwrap().contains("knock knock knock"));
//! assert_eq!(mock.served("1").output_tokens, 3);
//! # }
//! ```

mod answer;
mod anthropic;
mod ask;
mod body;
mod endpoint;
mod openai;
mod options;
mod plan;
mod read;
#[cfg(feature = "server")]
mod serve;
mod served;
mod step;
mod stream;
#[cfg(test)]
mod tests;

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use crate::context::ServedBy;

pub use body::{MockBody, MockBroke};
#[cfg(feature = "server")]
pub use serve::serve;
pub use served::Served;

/// The `created` time in every answer, in seconds since the Unix epoch. It is fixed, because answers are deterministic.
const CREATED: u64 = 1_700_000_000;

/// The models that are listed by default; any other name is served as well.
const MODELS: [&str; 5] =
    ["gpt-4o", "gpt-4o-mini", "text-embedding-3-small", "claude-sonnet-4-5", "claude-haiku-4-5"];

/// The mock provider. Cheap to clone; clones share the count. See the [module docs](self).
#[derive(Clone, Debug)]
pub struct MockProvider {
    count: served::Count,
    models: Arc<[String]>,
    name: Arc<str>,
}

impl MockProvider {
    /// A mock that has served nothing yet.
    pub fn new() -> Self {
        Self {
            count: served::Count::default(),
            models: MODELS.map(str::to_owned).into(),
            name: "mock".into(),
        }
    }

    /// Default: a few well-known names. The models that `GET /v1/models` lists; any other name is served, too.
    #[must_use]
    pub fn with_models(self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { models: names.into_iter().map(Into::into).collect(), ..self }
    }

    /// What was served to requests with this id. All zero if the id never came, or if more than 100,000 other ids came
    /// after it.
    pub fn served(&self, request_id: &str) -> Served {
        self.count.of(request_id)
    }

    /// What was served to all requests.
    pub fn served_total(&self) -> Served {
        self.count.total()
    }
}

impl Default for MockProvider {
    fn default() -> Self {
        Self::new()
    }
}

impl<B> Service<Request<B>> for MockProvider
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Response = Response<MockBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<MockBody>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let mock = self.clone();
        Box::pin(async move {
            let mut answer = mock.answer(request).await;
            answer.extensions_mut().insert(ServedBy(mock.name));
            Ok(answer)
        })
    }
}
