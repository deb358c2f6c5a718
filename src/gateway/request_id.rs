//! One request id for every request: the caller's where it is valid, else a new one.

use http::{HeaderMap, HeaderName, HeaderValue};
use uuid::Uuid;

use crate::refusal;

const LENGTH_MAX: usize = 128;

/// `x-request-id`.
pub(super) const HEADER: HeaderName = HeaderName::from_static(refusal::REQUEST_ID);

/// The request's id, which also stands in its headers from now on, once.
///
/// A caller's id ends up in logs, records and headers, so only letters, digits, `.`, `_` and `-` are
/// taken, 128 at the most; whatever else a caller sends is replaced.
pub(super) fn settle_on(headers: &mut HeaderMap) -> HeaderValue {
    let mut sent = headers.get_all(HEADER).iter();
    let id = match (sent.next(), sent.next()) {
        (Some(only), None) if is_valid(only) => only.clone(),
        _ => generate(),
    };
    headers.insert(HEADER, id.clone());
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

fn generate() -> HeaderValue {
    let mut buffer = Uuid::encode_buffer();
    let text = Uuid::now_v7().hyphenated().encode_lower(&mut buffer);
    // A UUID is 36 bytes of visible ASCII: the other arm is never taken.
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static("unknown"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settled(sent: &[&[u8]]) -> String {
        let mut headers = HeaderMap::new();
        for id in sent {
            headers.append(HEADER, HeaderValue::from_bytes(id).unwrap());
        }
        let id = settle_on(&mut headers);
        assert_eq!(headers.get_all(HEADER).iter().collect::<Vec<_>>(), [&id]);
        text(&id).to_owned()
    }

    #[test]
    fn a_valid_id_of_the_caller_is_kept() {
        for id in ["a", "Req_1.2-3", &"x".repeat(128)] {
            assert_eq!(settled(&[id.as_bytes()]), id);
        }
    }

    #[test]
    fn whatever_else_a_caller_sends_is_replaced_by_a_new_id() {
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
            let id = settled(sent);
            assert_eq!(Uuid::parse_str(&id).unwrap().get_version_num(), 7, "{sent:?}");
        }
    }
}
