//! One event, and its fields.

use std::borrow::Cow;

use bytes::Bytes;
use memchr::memchr2_iter;

/// One event with its exact bytes. A block of comments alone is an event without data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The bytes as they arrived, including the closing blank line.
    pub raw: Bytes,
    first: bool,
}

pub(super) const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

impl Event {
    /// `first`: whether the event is the first of its stream. Only there is a byte order mark skipped.
    pub(super) const fn new(raw: Bytes, first: bool) -> Self {
        Self { raw, first }
    }

    /// The event's type: its last `event` field. Empty if it has none, or if the field is not UTF-8.
    pub fn name(&self) -> &str {
        let name = self.fields().filter(|(name, _)| *name == b"event").last();
        name.and_then(|(_, value)| std::str::from_utf8(value).ok()).unwrap_or_default()
    }

    /// The `data` lines, joined by LF; `None` if there are none. A single line is borrowed.
    pub fn data(&self) -> Option<Cow<'_, [u8]>> {
        let mut lines = self.fields().filter(|(name, _)| *name == b"data").map(|(_, value)| value);
        let mut data = Cow::Borrowed(lines.next()?);
        for line in lines {
            let joined = data.to_mut();
            joined.push(b'\n');
            joined.extend_from_slice(line);
        }
        Some(data)
    }

    /// Name and value of every line that is not a comment.
    fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let mut text = &self.raw[..];
        if self.first {
            text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
        }
        // A CRLF counts as two line endings with an empty line between them, which has no field.
        let ends = memchr2_iter(b'\n', b'\r', text).chain([text.len()]);
        let lines = ends.scan(0, |from, end| {
            let line = text.get(*from..end);
            *from = end.saturating_add(1);
            line
        });
        lines.filter_map(|line| {
            let Some(colon) = line.iter().position(|&byte| byte == b':') else {
                return (!line.is_empty()).then_some((line, &[][..]));
            };
            let (name, value) = line.split_at_checked(colon)?;
            let value = value.strip_prefix(b":")?;
            (!name.is_empty()).then(|| (name, value.strip_prefix(b" ").unwrap_or(value)))
        })
    }
}
