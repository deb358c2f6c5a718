//! Percent-decoding of URL paths.

/// The bytes with escapes such as `%2F` decoded. Invalid escapes are left unchanged.
pub(crate) fn decoded(text: &str) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        if byte == b'%'
            && let Some((&[high, low], tail)) = tail.split_first_chunk::<2>()
            && let (Some(high), Some(low)) = (nibble(high), nibble(low))
        {
            decoded.push((high << 4) | low);
            rest = tail;
        } else {
            decoded.push(byte);
        }
    }
    decoded
}

const fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit.wrapping_sub(b'0')),
        b'a'..=b'f' => Some(digit.wrapping_sub(b'a').wrapping_add(10)),
        b'A'..=b'F' => Some(digit.wrapping_sub(b'A').wrapping_add(10)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_undone_and_what_is_none_stays() {
        let cases: [(&str, &[u8]); 6] = [
            ("", b""),
            ("auth0%7Cann", b"auth0|ann"),
            ("a%2fb%2Fc", b"a/b/c"),
            ("100%", b"100%"),
            ("%zz%4", b"%zz%4"),
            ("%FF", b"\xff"),
        ];
        for (text, bytes) in cases {
            assert_eq!(decoded(text), bytes, "{text}");
        }
    }
}
