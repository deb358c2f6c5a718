//! The stack of the ready server: what stands around its routes, from top to bottom.

#[cfg(test)]
mod tests;

use std::convert::Infallible;

use bytes::Bytes;
use http::{HeaderName, Request, Response, header};
use http_body::Body;
use tower::ServiceBuilder;
use tower_http::{
    request_id::{PropagateRequestIdLayer, SetRequestIdLayer},
    sensitive_headers::SetSensitiveRequestHeadersLayer,
};
use tower_service::Service;

use super::{dialect::SpokenLayer, observe, request_id};

/// Headers whose values are secrets. Marked, they are left out where headers are printed, and no HTTP/2 connection
/// keeps them in the table of headers that it compresses by.
const SECRET: [HeaderName; 4] = [
    header::AUTHORIZATION,
    header::PROXY_AUTHORIZATION,
    header::COOKIE,
    HeaderName::from_static("x-api-key"),
];

/// `routes` behind everything that every request of the server goes through.
pub(super) fn front<S, ReqBody, ResBody>(
    routes: S,
) -> impl Service<
    Request<ReqBody>,
    Response = Response<impl Body<Data = Bytes, Error = ResBody::Error> + Send + 'static>,
    Error = Infallible,
    Future: Send,
> + Clone
+ Send
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>, Error = Infallible>,
    S: Clone + Send,
    S::Future: Send,
    ReqBody: Body,
    ResBody: Body<Data = Bytes, Error: std::fmt::Display> + Send + 'static,
{
    ServiceBuilder::new()
        .layer(SetSensitiveRequestHeadersLayer::new(SECRET))
        // Who names the request: the caller where its id is valid, else the gateway.
        .map_request(request_id::judge)
        .layer(SetRequestIdLayer::new(request_id::HEADER, request_id::Own))
        // The span, the access line and the HTTP metrics.
        .map_request(observe::open_span)
        .layer(observe::trace())
        // The id goes back with every answer, whoever gives it.
        .layer(PropagateRequestIdLayer::new(request_id::HEADER))
        .layer(SpokenLayer)
        .map_response(anonymous)
        .service(routes)
}

/// An id that the service behind has set says nothing to the caller, and would stand in the way of the request's own.
fn anonymous<B>(mut response: Response<B>) -> Response<B> {
    response.headers_mut().remove(request_id::HEADER);
    response
}
