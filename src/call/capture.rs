//! The part of an answer that the audit log keeps: its beginning, up to a bound.

use std::borrow::Cow;

use bytes::Bytes;

/// Collects bytes up to a bound and remembers that there were more.
#[derive(Debug, Default)]
pub(super) struct Capture {
    bytes: Vec<u8>,
    bytes_max: usize,
    truncated: bool,
}

impl Capture {
    pub(super) const fn up_to(bytes_max: usize) -> Self {
        Self { bytes: Vec::new(), bytes_max, truncated: false }
    }

    pub(super) fn add(&mut self, more: &Bytes) {
        let room = self.bytes_max.saturating_sub(self.bytes.len());
        match more.get(..room) {
            Some(part) if room < more.len() => {
                self.bytes.extend_from_slice(part);
                self.truncated = true;
            }
            _ => self.bytes.extend_from_slice(more),
        }
    }

    /// The text that was kept, and whether something is missing at its end.
    pub(super) fn into_text(self) -> (String, bool) {
        let text = match String::from_utf8(self.bytes) {
            Ok(text) if !text.contains('\0') => text,
            Ok(text) => storable(text.as_bytes()),
            Err(error) => storable(error.as_bytes()),
        };
        (text, self.truncated)
    }
}

/// Bytes as text that every store can hold: bytes that are not UTF-8, and NUL, become U+FFFD.
pub(super) fn storable(bytes: &[u8]) -> String {
    // Nearly all bytes are valid UTF-8, and the strict check is much faster than the lossy conversion.
    let text = str::from_utf8(bytes).map_or_else(|_| String::from_utf8_lossy(bytes), Cow::Borrowed);
    if text.contains('\0') { text.replace('\0', "\u{FFFD}") } else { text.into_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_longer_than_the_bound_is_cut_and_marked() {
        let mut capture = Capture::up_to(5);
        capture.add(&Bytes::from_static(b"abc"));
        capture.add(&Bytes::from_static(b"de"));
        assert!(!capture.truncated);
        capture.add(&Bytes::from_static(b"f"));
        assert_eq!(capture.into_text(), ("abcde".into(), true));
    }

    #[test]
    fn a_captured_byte_that_no_store_takes_as_text_is_replaced() {
        for (bytes, kept) in
            [(&b"a\0b"[..], "a\u{FFFD}b"), (b"a\xffb", "a\u{FFFD}b"), (b"ab", "ab")]
        {
            let mut capture = Capture::up_to(5);
            capture.add(&Bytes::from_static(bytes));
            assert_eq!(capture.into_text(), (kept.into(), false));
        }
    }

    #[test]
    fn bytes_that_no_store_takes_as_text_are_replaced() {
        assert_eq!(storable(b"a\0b\xff"), "a\u{FFFD}b\u{FFFD}");
    }
}
