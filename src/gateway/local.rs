//! Whether a request to a development service comes from this machine, as far as a browser says.
//!
//! A page of another site can give its own name this machine's address, and then call what listens here as if that were
//! its own server. The browser still sends the page's name.

use http::{HeaderMap, Request, Uri, header, uri::Authority};

use crate::client::is_loopback;

/// Whether host and origin, where they are named, are names of this machine.
pub(super) fn is_local<B>(request: &Request<B>) -> bool {
    let named = request.uri().host().is_none_or(is_loopback);
    named && is_local_host(request.headers()) && is_local_origin(request.headers())
}

// Only a browser can be misled by a name, and browsers send one.
fn is_local_host(headers: &HeaderMap) -> bool {
    headers.get_all(header::HOST).iter().all(|host| {
        let host = Authority::try_from(host.as_bytes());
        host.is_ok_and(|host| is_loopback(host.host()))
    })
}

fn is_local_origin(headers: &HeaderMap) -> bool {
    headers.get_all(header::ORIGIN).iter().all(|origin| {
        let origin = Uri::try_from(origin.as_bytes());
        origin.is_ok_and(|origin| origin.host().is_some_and(is_loopback))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_names_another_machine_is_not_local() {
        let asked = |uri: &str, headers: &[(&str, &str)]| {
            let mut request = Request::post(uri);
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            is_local(&request.body(()).unwrap())
        };
        for headers in [
            &[][..],
            &[("host", "127.0.0.1:8080")],
            &[("host", "localhost")],
            &[("host", "[::1]:80")],
            &[("host", "127.0.0.1"), ("origin", "http://localhost:3000")],
        ] {
            assert!(asked("/token", headers), "{headers:?}");
        }
        for headers in [
            &[("host", "evil.example")][..],
            &[("host", "127.0.0.1.evil.example:8080")],
            &[("host", "localhost@evil.example")],
            &[("host", "localhost"), ("host", "evil.example")],
            &[("host", "")],
            &[("host", "127.0.0.1"), ("origin", "http://evil.example")],
            &[("host", "127.0.0.1"), ("origin", "null")],
        ] {
            assert!(!asked("/token", headers), "{headers:?}");
        }
        // As HTTP/2 names the host.
        assert!(asked("http://localhost:1/token", &[]));
        assert!(!asked("http://evil.example/token", &[]));
    }
}
