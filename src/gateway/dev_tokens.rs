//! `POST /dev/token`: in `tollgate dev` only.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, Uri, header};
use http_body::Body;
use http_body_util::Full;

use super::local::is_local;
use crate::{
    body::{self, JSON, ResponseBody},
    client::HttpClient,
    domain::dialect::Dialect,
    refusal::{Refusal, error_document},
};

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
        if !is_local(&request) {
            let document = error_document(
                Dialect::OpenAi,
                StatusCode::FORBIDDEN,
                "not_local",
                None,
                "Only this machine gets tokens, by its own name: http://127.0.0.1 or http://localhost.",
                None,
            );
            return body::json(StatusCode::FORBIDDEN, document.to_string()).map(ResponseBody::full);
        }
        let (head, body) = request.into_parts();
        let refuse = |refusal: Refusal| {
            refusal.respond(Dialect::OpenAi, &head.headers).map(ResponseBody::full)
        };
        let asked = match body::read(body, Self::BYTES_MAX, Self::WAIT_MAX).await {
            Ok(asked) => asked,
            Err(unread) => return refuse(unread.into()),
        };
        let mut onward = Request::new(Full::new(asked));
        *onward.method_mut() = Method::POST;
        *onward.uri_mut() = self.url.clone();
        onward.headers_mut().insert(header::CONTENT_TYPE, JSON);
        match self.client.fetch(onward, Self::BYTES_MAX, Self::WAIT_MAX).await {
            Ok(answer) => body::json(answer.status(), answer.into_body()).map(ResponseBody::full),
            Err(error) => {
                tracing::warn!(%error, "the dev issuer does not answer");
                refuse(Refusal::Unavailable)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{StreamExt, stream};
    use http_body::Frame;
    use http_body_util::{Empty, StreamBody};

    use super::*;

    #[tokio::test]
    async fn a_page_of_another_site_gets_no_token() {
        let tokens = DevTokens { client: HttpClient::default(), url: Uri::from_static("/token") };
        let request = Request::post("/dev/token").header("host", "evil.example");
        let request = request.body(Empty::<Bytes>::new()).unwrap();
        let answer: Response<ResponseBody<Empty<Bytes>>> = tokens.answer(request).await;
        assert_eq!(answer.status(), StatusCode::FORBIDDEN);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_is_not_read_whole_is_refused_for_its_own_reason() {
        let tokens = DevTokens { client: HttpClient::default(), url: Uri::from_static("/token") };
        let blank = || Frame::data(Bytes::from(vec![b' '; DevTokens::BYTES_MAX]));
        let long = stream::iter([Ok(blank()), Ok(blank())]);
        let broken = stream::iter([Ok(blank()), Err("the line is cut")]);
        let endless = stream::iter([Ok(blank())]).chain(stream::pending());
        for (frames, expected) in [
            (long.boxed(), StatusCode::PAYLOAD_TOO_LARGE),
            (broken.boxed(), StatusCode::BAD_REQUEST),
            (endless.boxed(), StatusCode::REQUEST_TIMEOUT),
        ] {
            let request = Request::new(StreamBody::new(frames));
            let answer: Response<ResponseBody<Empty<Bytes>>> = tokens.answer(request).await;
            assert_eq!(answer.status(), expected);
        }
    }
}
