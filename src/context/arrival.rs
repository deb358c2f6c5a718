//! What a server learns of a request when it arrives.

use http::{Extensions, HeaderMap, HeaderValue, Request, Uri};

use super::Call;
use crate::domain::{dialect::Dialect, endpoint::Endpoint, ids::RequestId};

/// What the outermost layer of a server has learned of a request, in the extensions of the request.
///
/// The layers further in take it from there. Without it, they read the path and the headers themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// The server's own id of the request: no caller may choose it.
    pub request_id: RequestId,
    /// Whether `x-request-id` is the caller's own id, and a valid one. If not, the header is a copy of `request_id`.
    pub named_by_caller: bool,
    /// The endpoint that the path names.
    pub endpoint: Option<Endpoint>,
    /// The dialect for answers to the request.
    pub dialect: Dialect,
}

impl Arrival {
    /// Reads the path and the headers of a request, and gives the request an id.
    pub fn read(uri: &Uri, headers: &HeaderMap, named_by_caller: bool) -> Self {
        let endpoint = Endpoint::of_path(uri.path());
        let dialect = dialect(endpoint, headers);
        Self { request_id: RequestId::generate(), named_by_caller, endpoint, dialect }
    }

    /// What was learned of this request, if an outer layer has learned it.
    pub fn of<B>(request: &Request<B>) -> Option<&Self> {
        request.extensions().get()
    }
}

/// The endpoint of a request: that of its call, else what an outer layer has learned, else that of its path.
pub(crate) fn endpoint_of(extensions: &Extensions, uri: &Uri) -> Option<Endpoint> {
    if let Some(call) = extensions.get::<Call>() {
        return Some(call.facts().endpoint);
    }
    match extensions.get::<Arrival>() {
        Some(arrival) => arrival.endpoint,
        None => Endpoint::of_path(uri.path()),
    }
}

/// The dialect of a request: that of its endpoint (see [`endpoint_of`]), else by Anthropic's version header.
pub(crate) fn dialect_of(extensions: &Extensions, uri: &Uri, headers: &HeaderMap) -> Dialect {
    if let Some(call) = extensions.get::<Call>() {
        return call.facts().endpoint.dialect();
    }
    match extensions.get::<Arrival>() {
        Some(arrival) => arrival.dialect,
        None => dialect(Endpoint::of_path(uri.path()), headers),
    }
}

/// The caller's own request id, if it is safe in a log, a record and a header.
pub(crate) fn valid_request_id(named: &HeaderValue) -> Option<&str> {
    const LENGTH_MAX: usize = 128;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    let id = named.to_str().ok()?;
    (!id.is_empty() && id.len() <= LENGTH_MAX && id.bytes().all(plain)).then_some(id)
}

fn dialect(endpoint: Option<Endpoint>, headers: &HeaderMap) -> Dialect {
    match endpoint {
        Some(endpoint) => endpoint.dialect(),
        None if headers.contains_key("anthropic-version") => Dialect::Anthropic,
        None => Dialect::OpenAi,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(path: &str) -> Request<()> {
        Request::post(path).body(()).unwrap()
    }

    fn learned(request: &Request<()>) -> (Option<Endpoint>, Dialect) {
        let (extensions, uri) = (request.extensions(), request.uri());
        (endpoint_of(extensions, uri), dialect_of(extensions, uri, request.headers()))
    }

    #[test]
    fn without_outer_layers_the_path_says_which_endpoint_and_which_dialect() {
        for endpoint in Endpoint::ALL {
            let request = request(endpoint.spec().path);
            assert_eq!(learned(&request), (Some(*endpoint), endpoint.dialect()));
        }
        let mut models = request("/v1/models");
        assert_eq!(learned(&models), (None, Dialect::OpenAi));
        models.headers_mut().insert("anthropic-version", HeaderValue::from_static("2023-06-01"));
        assert_eq!(learned(&models), (None, Dialect::Anthropic));
    }

    #[test]
    fn what_was_learned_at_the_door_holds_wherever_the_request_is_mounted_then() {
        let mut request = request("/v1/messages");
        let arrival = Arrival::read(request.uri(), request.headers(), false);
        request.extensions_mut().insert(arrival);
        *request.uri_mut() = Uri::from_static("/");
        assert_eq!(learned(&request), (Some(Endpoint::Messages), Dialect::Anthropic));
    }

    #[test]
    fn the_call_knows_its_endpoint_better_than_the_path() {
        let mut request = request("/v1/messages");
        request.extensions_mut().insert(Call::for_model("small"));
        assert_eq!(learned(&request), (Some(Endpoint::ChatCompletions), Dialect::OpenAi));
    }
}
