//! Every request has an id of the gateway's own, and also keeps the caller's id if that one is valid.
//!
//! tower-http's layers set the id and send it back. This module decides which id that is. [`arrive`] runs before those
//! layers and keeps or removes the caller's id. [`Own`] gives an id to a request without one.

use http::{HeaderName, HeaderValue, Request};
use tower_http::request_id::MakeRequestId;

use crate::{
    context::{Arrival, valid_request_id},
    domain::ids::RequestId,
    refusal,
};

/// `x-request-id`.
pub(super) const HEADER: HeaderName = HeaderName::from_static(refusal::REQUEST_ID);

/// `request-id`: the same, as Anthropic spells it.
pub(super) const ANTHROPIC_HEADER: HeaderName = HeaderName::from_static("request-id");

/// Reads the path and the headers of a request once, for everything behind this: see [`Arrival`]. Removes a caller's id
/// that is not valid.
///
/// The gateway's own id is fresh. It is the key of every row about a call, so no caller may choose it. A caller's id ends up in logs, records and headers. So it is valid only if it consists of at most 128
/// letters, digits, `.`, `_` and `-`, and is sent once.
pub(super) fn arrive<B>(mut request: Request<B>) -> Request<B> {
    let mut sent = request.headers().get_all(HEADER).iter();
    let named = matches!(
        (sent.next(), sent.next()),
        (Some(only), None) if valid_request_id(only).is_some()
    );
    if !named {
        request.headers_mut().remove(HEADER);
    }
    let arrival = Arrival::read(request.uri(), request.headers(), named);
    request.extensions_mut().insert(arrival);
    request
}

/// Gives a request without a caller's id the gateway's own id.
#[derive(Clone, Copy, Debug)]
pub(super) struct Own;

impl MakeRequestId for Own {
    fn make_request_id<B>(
        &mut self,
        request: &Request<B>,
    ) -> Option<tower_http::request_id::RequestId> {
        Arrival::of(request).map(|arrival| header(arrival.request_id).into())
    }
}

/// The id as text. It is ASCII: the caller's was checked, and the gateway's own is a UUID.
pub(super) fn text(id: &HeaderValue) -> &str {
    id.to_str().unwrap_or_default()
}

fn header(id: RequestId) -> HeaderValue {
    let mut buffer = uuid::Uuid::encode_buffer();
    let text = id.as_uuid().hyphenated().encode_lower(&mut buffer);
    // A UUID is 36 bytes of visible ASCII: the other arm is never taken.
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static("unknown"))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use http::Response;
    use tower::{ServiceBuilder, ServiceExt};
    use tower_http::request_id::SetRequestIdLayer;

    use super::*;

    /// The id that the service sees in the header, and the gateway's own id.
    async fn settled(sent: &[&[u8]]) -> (String, RequestId) {
        let mut request = Request::new(());
        for id in sent {
            request.headers_mut().append(HEADER, HeaderValue::from_bytes(id).unwrap());
        }
        let naming = ServiceBuilder::new()
            .map_request(arrive)
            .layer(SetRequestIdLayer::new(HEADER, Own))
            .service_fn(|request: Request<()>| async {
                Ok::<_, Infallible>(Response::new(request))
            });
        let seen = naming.oneshot(request).await.unwrap().into_body();
        let ids: Vec<_> = seen.headers().get_all(HEADER).iter().collect();
        assert_eq!(ids.len(), 1, "{sent:?}");
        (text(ids[0]).to_owned(), Arrival::of(&seen).unwrap().request_id)
    }

    #[tokio::test]
    async fn a_valid_id_of_the_caller_is_kept() {
        for id in ["a", "Req_1.2-3", &"x".repeat(128)] {
            let (sent_back, own) = settled(&[id.as_bytes()]).await;
            assert_eq!(sent_back, id);
            assert_ne!(own.to_string(), id);
        }
    }

    #[tokio::test]
    async fn whatever_else_a_caller_sends_is_replaced_by_the_calls_own_id() {
        let long = "x".repeat(129);
        let bad: [&[&[u8]]; 7] = [
            &[],
            &[b""],
            &[b"a b"],
            &[b"a\tb"],
            &["\u{e9}".as_bytes()],
            &[long.as_bytes()],
            &[b"a", b"b"],
        ];
        for sent in bad {
            let (sent_back, own) = settled(sent).await;
            assert_eq!(sent_back, own.to_string(), "{sent:?}");
        }
    }
}
