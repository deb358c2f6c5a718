//! The stack of the ready server: what stands around its routes, from top to bottom.

#[cfg(test)]
mod tests;

use std::{any::Any, convert::Infallible, pin::Pin};

use bytes::Bytes;
use http::{Extensions, HeaderMap, HeaderName, Request, Response, StatusCode, Version, header};
use http_body::Body;
use http_body_util::{Full, Limited};
use tower::ServiceBuilder;
use tower_http::{
    BoxError, CompressionLevel,
    catch_panic::CatchPanicLayer,
    compression::{CompressionLayer, Predicate, predicate::SizeAbove},
    cors::CorsLayer,
    decompression::{DecompressionBody, RequestDecompressionLayer},
    request_id::{PropagateRequestIdLayer, SetRequestIdLayer},
    sensitive_headers::SetSensitiveRequestHeadersLayer,
};
use tower_service::Service;

use super::{
    dialect::{self, SpokenLayer},
    observe, request_id,
};
use crate::call::is_event_stream;

/// Headers whose values are secrets. Marked, they are left out where headers are printed, and no HTTP/2 connection
/// keeps them in the table of headers that it compresses by.
const SECRET: [HeaderName; 4] = [
    header::AUTHORIZATION,
    header::PROXY_AUTHORIZATION,
    header::COOKIE,
    HeaderName::from_static("x-api-key"),
];

/// How long an answer is that is worth compressing, in bytes. A shorter one fits into a packet.
const COMPRESSED_FROM: u64 = 1024;

/// `routes` behind everything that every request of the server goes through.
///
/// `cors` is for the routes of callers; probes and metrics are not for browsers. `body_bytes_max` bounds what is read of
/// a body before it is decompressed; who reads the decompressed body bounds it again.
pub(super) fn front<S, ReqBody, ResBody>(
    routes: S,
    cors: Option<CorsLayer>,
    body_bytes_max: usize,
) -> impl Service<
    Request<ReqBody>,
    Response = Response<impl Body<Data = Bytes, Error = BoxError> + Send + 'static>,
    Error = Infallible,
    Future: Send,
> + Clone
+ Send
where
    S: Service<Request<Plain<ReqBody>>, Response = Response<ResBody>, Error = Infallible>,
    S: Clone + Send,
    S::Future: Send,
    ReqBody: Body<Error: Into<BoxError>>,
    ResBody: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    let compression = CompressionLayer::new()
        .quality(CompressionLevel::Fastest)
        .compress_when(SizeAbove::new(COMPRESSED_FROM).and(is_no_stream));
    ServiceBuilder::new()
        .layer(SetSensitiveRequestHeadersLayer::new(SECRET))
        // Who names the request: the caller where its id is valid, else the gateway.
        .map_request(request_id::judge)
        .layer(SetRequestIdLayer::new(request_id::HEADER, request_id::Own))
        // Outside of all that looks at answers: what is logged, counted and recorded of them is not compressed.
        .map_response(|answer| dialect::as_answered(answer).map(Box::pin))
        .layer(compression)
        // The span, the access line and the HTTP metrics.
        .map_request(observe::open_span)
        .layer(observe::trace())
        // The id goes back with every answer, whoever gives it.
        .layer(PropagateRequestIdLayer::new(request_id::HEADER))
        // Preflights come without a token, and are answered here.
        .option_layer(cors)
        .layer(SpokenLayer)
        // From here on inwards a panic is an answer, as long as the answer has not begun.
        .layer(CatchPanicLayer::custom(panicked))
        // gzip, br and zstd, piece by piece as the body is read: nobody without a token is decompressed for.
        .map_request(move |request| bounded(request, body_bytes_max))
        .layer(RequestDecompressionLayer::new())
        .map_request(|request: Request<_>| request.map(Box::pin))
        .map_response(dialect::of_routes)
        .service(routes)
}

/// A stream of events is never compressed: its events would wait in the compressor.
fn is_no_stream(_: StatusCode, _: Version, headers: &HeaderMap, _: &Extensions) -> bool {
    !is_event_stream(headers)
}

/// A request's body as the routes see it: decompressed.
///
/// Behind a pointer, as answers are: the state of a codec is kilobytes, for which every layer and future on the way
/// would have to make room, compressed or not.
pub(super) type Plain<B> = Pin<Box<DecompressionBody<Limited<B>>>>;

/// Bounds a body as it is sent. Bytes that decompress to nothing are read without end otherwise.
///
/// One byte more than is allowed, so that a body that is too long by its declared length still says so, and is refused
/// before a byte of it is read.
fn bounded<B>(request: Request<B>, bytes_max: usize) -> Request<Limited<B>> {
    request.map(|body| Limited::new(body, bytes_max.saturating_add(1)))
}

/// The answer of a service that has panicked, for [`dialect`](super::dialect) to put into words.
///
/// What the panic says may be a part of a prompt, so it is not logged here. The hook of the process has written it.
fn panicked(_: Box<dyn Any + Send>) -> Response<Full<Bytes>> {
    tracing::error!("a request has panicked: the panic's message says where");
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    response
}
