//! One request id for every request, and the caller's own beside it where it is valid.

use http::{HeaderName, HeaderValue, Request};

use crate::{domain::ids::RequestId, refusal};

const LENGTH_MAX: usize = 128;

/// `x-request-id`.
pub(super) const HEADER: HeaderName = HeaderName::from_static(refusal::REQUEST_ID);

/// `request-id`: the same, as Anthropic spells it.
pub(super) const ANTHROPIC_HEADER: HeaderName = HeaderName::from_static("request-id");

/// The id that the answer will carry, which also stands in the request's headers from now on, once.
///
/// The gateway's own id, a fresh one, goes into the extensions: it is the key of everything written
/// about a call, so no caller chooses it. A caller's id ends up in logs, records and headers, so only
/// letters, digits, `.`, `_` and `-` are taken, 128 at the most; whatever else a caller sends is
/// replaced by the gateway's own.
pub(super) fn settle_on<B>(request: &mut Request<B>) -> HeaderValue {
    let own = RequestId::generate();
    let mut sent = request.headers().get_all(HEADER).iter();
    let id = match (sent.next(), sent.next()) {
        (Some(only), None) if is_valid(only) => only.clone(),
        _ => header(own),
    };
    request.extensions_mut().insert(own);
    request.headers_mut().insert(HEADER, id.clone());
    id
}

/// The id as text: it was checked to be ASCII when it was settled on.
pub(super) fn text(id: &HeaderValue) -> &str {
    id.to_str().unwrap_or_default()
}

fn is_valid(id: &HeaderValue) -> bool {
    let bytes = id.as_bytes();
    let letters = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    !bytes.is_empty() && bytes.len() <= LENGTH_MAX && bytes.iter().all(letters)
}

fn header(id: RequestId) -> HeaderValue {
    let mut buffer = uuid::Uuid::encode_buffer();
    let text = id.as_uuid().hyphenated().encode_lower(&mut buffer);
    // A UUID is 36 bytes of visible ASCII: the other arm is never taken.
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static("unknown"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settled(sent: &[&[u8]]) -> (String, RequestId) {
        let mut request = Request::new(());
        for id in sent {
            request.headers_mut().append(HEADER, HeaderValue::from_bytes(id).unwrap());
        }
        let id = settle_on(&mut request);
        assert_eq!(request.headers().get_all(HEADER).iter().collect::<Vec<_>>(), [&id]);
        (text(&id).to_owned(), *request.extensions().get().unwrap())
    }

    #[test]
    fn a_valid_id_of_the_caller_is_kept() {
        for id in ["a", "Req_1.2-3", &"x".repeat(128)] {
            let (sent_back, own) = settled(&[id.as_bytes()]);
            assert_eq!(sent_back, id);
            assert_ne!(own.to_string(), id);
        }
    }

    #[test]
    fn whatever_else_a_caller_sends_is_replaced_by_the_calls_own_id() {
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
            let (sent_back, own) = settled(sent);
            assert_eq!(sent_back, own.to_string(), "{sent:?}");
        }
    }
}
