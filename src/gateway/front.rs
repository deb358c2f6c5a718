//! The stack of the ready-made server: the layers around its routes, from the outermost to the innermost.

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

/// Headers whose values are secrets. Marked as sensitive, they are not printed, and HTTP/2 does not keep them in its
/// table for header compression.
const SECRET: [HeaderName; 6] = [
    header::AUTHORIZATION,
    header::PROXY_AUTHORIZATION,
    header::COOKIE,
    HeaderName::from_static("x-api-key"),
    HeaderName::from_static("api-key"),
    HeaderName::from_static("x-goog-api-key"),
];

/// The length in bytes from which an answer is compressed. A shorter answer fits into one packet anyway.
const COMPRESSED_FROM: u64 = 1024;

/// Wraps `routes` in the layers that every request of the server goes through.
///
/// `cors` is for the routes of callers; probes and metrics are not for browsers. `body_bytes_max` bounds a body as it
/// is sent. The reader of the decompressed body must bound it again.
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
        // Reads path and headers once for all layers behind. Chooses the request id: the caller's if it is valid, else
        // the gateway's.
        .map_request(request_id::arrive)
        .layer(SetRequestIdLayer::new(request_id::HEADER, request_id::Own))
        // Compression is outside of the layers that log, count and record answers, so these see plain bodies.
        .map_response(|answer| dialect::as_answered(answer).map(Box::pin))
        .layer(compression)
        // The span, the access line and the HTTP metrics.
        .map_request(observe::open_span)
        .layer(observe::trace())
        // Every answer carries the id, also the answers of layers.
        .layer(PropagateRequestIdLayer::new(request_id::HEADER))
        // Preflights come without a token, and are answered here.
        .option_layer(cors)
        .layer(SpokenLayer)
        // A panic in the layers below becomes an answer, unless the answer has begun already.
        .layer(CatchPanicLayer::custom(panicked))
        // gzip, br and zstd, decompressed only as the body is read. A caller without a valid token causes no such work.
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
/// Boxed, as answers are. The state of a codec takes kilobytes, and every layer and future on the way would reserve
/// them even for a body that is not compressed.
pub(super) type Plain<B> = Pin<Box<DecompressionBody<Limited<B>>>>;

/// Bounds a body as it is sent. Otherwise, bytes that decompress to nothing would be read without end.
///
/// The bound is one byte above the limit. So a body whose declared length is too long still reports that length, and is
/// refused before any of it is read.
fn bounded<B>(request: Request<B>, bytes_max: usize) -> Request<Limited<B>> {
    request.map(|body| Limited::new(body, bytes_max.saturating_add(1)))
}

/// The answer for a service that has panicked. [`dialect`](super::dialect) adds the text.
///
/// The panic's message may contain a part of a prompt, so it is not logged here. The process's panic hook has printed
/// it.
fn panicked(_: Box<dyn Any + Send>) -> Response<Full<Bytes>> {
    tracing::error!(
        "a request handler has panicked; the panic's message on standard error says where"
    );
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    response
}
