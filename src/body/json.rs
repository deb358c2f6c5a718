//! An answer that is a JSON document.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};

/// The content type of a JSON document.
pub(crate) const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// An answer with this JSON text.
pub(crate) fn json(status: StatusCode, text: impl Into<Bytes>) -> Response<Bytes> {
    let mut response = Response::new(text.into());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, JSON);
    response
}
