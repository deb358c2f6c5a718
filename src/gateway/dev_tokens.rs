//! `POST /dev/token`: in `tollgate dev` only.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, Uri, header};
use http_body::Body;
use http_body_util::{BodyExt, Full, Limited};

use crate::{body::ResponseBody, client::HttpClient, domain::dialect::Dialect, refusal::Refusal};

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// The dev issuer's token endpoint. With it, anyone who knows the gateway's address can get a token.
#[derive(Clone, Debug)]
pub(super) struct DevTokens {
    /// Sends the requests.
    pub(super) client: HttpClient,
    /// The URL of the endpoint.
    pub(super) url: Uri,
}

impl DevTokens {
    const BYTES_MAX: usize = 64 * 1024;
    const WAIT_MAX: Duration = Duration::from_secs(5);

    pub(super) async fn answer<B, R>(&self, request: Request<B>) -> Response<ResponseBody<R>>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (head, body) = request.into_parts();
        let asked = match Limited::new(body, Self::BYTES_MAX).collect().await {
            Ok(body) => body.to_bytes(),
            Err(_) => {
                return Refusal::BodyTooLarge(Self::BYTES_MAX)
                    .respond(Dialect::OpenAi, &head.headers)
                    .map(ResponseBody::full);
            }
        };
        let mut onward = Request::new(Full::new(asked));
        *onward.method_mut() = Method::POST;
        *onward.uri_mut() = self.url.clone();
        onward.headers_mut().insert(header::CONTENT_TYPE, JSON);
        match self.client.fetch(onward, Self::BYTES_MAX, Self::WAIT_MAX).await {
            Ok(answer) => {
                let mut passed = Response::new(ResponseBody::full(answer.body().clone()));
                *passed.status_mut() = answer.status();
                passed.headers_mut().insert(header::CONTENT_TYPE, JSON);
                passed
            }
            Err(error) => {
                tracing::warn!(%error, "the dev issuer does not answer");
                Refusal::Unavailable.respond(Dialect::OpenAi, &head.headers).map(ResponseBody::full)
            }
        }
    }
}
