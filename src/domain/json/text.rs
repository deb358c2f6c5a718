//! A string as it is written in the JSON text, and its decoded value.

use std::borrow::Cow;

/// A checked JSON string that has not been copied.
#[derive(Clone, Copy, Debug)]
pub struct Text<'a> {
    raw: &'a str,
    decoded_bytes: usize,
}

impl<'a> Text<'a> {
    pub(super) const fn new(raw: &'a str, decoded_bytes: usize) -> Self {
        Self { raw, decoded_bytes }
    }

    /// How many bytes of UTF-8 the decoded string has.
    pub const fn len(&self) -> usize {
        self.decoded_bytes
    }

    /// Whether it is the empty string.
    pub const fn is_empty(&self) -> bool {
        self.decoded_bytes == 0
    }

    /// How many bytes longer the escapes are than what they decode to.
    pub const fn escapes(&self) -> usize {
        self.raw.len().saturating_sub(self.decoded_bytes)
    }

    /// The string, copied only if it has escapes. Half of a surrogate pair becomes U+FFFD.
    pub fn decoded(&self) -> Cow<'a, str> {
        // Every escape is longer than its decoded character, so equal lengths mean that there are no escapes.
        if self.raw.len() == self.decoded_bytes {
            return Cow::Borrowed(self.raw);
        }
        #[cfg(test)]
        counted::one_more();
        let mut decoded = String::with_capacity(self.decoded_bytes);
        let mut rest = self.raw;
        while let Some((plain, escape)) = rest.split_once('\\') {
            decoded.push_str(plain);
            let (character, behind) = decode_escape(escape);
            decoded.push(character);
            rest = behind;
        }
        decoded.push_str(rest);
        Cow::Owned(decoded)
    }
}

/// The character that an escape decodes to, and the text after it. `escape` starts after the backslash; the grammar has
/// been checked.
fn decode_escape(escape: &str) -> (char, &str) {
    let mut characters = escape.chars();
    let simple = match characters.next() {
        Some('b') => '\u{8}',
        Some('f') => '\u{c}',
        Some('n') => '\n',
        Some('r') => '\r',
        Some('t') => '\t',
        Some('u') => return decode_unicode(characters.as_str()),
        Some(itself) => itself,
        None => char::REPLACEMENT_CHARACTER,
    };
    (simple, characters.as_str())
}

fn decode_unicode(digits: &str) -> (char, &str) {
    let (unit, behind) = split_unit(digits);
    let pair = behind.strip_prefix("\\u").map(split_unit).and_then(|(low, behind)| {
        let mut decoded = char::decode_utf16([unit, low]);
        let character = decoded.next()?.ok()?;
        decoded.next().is_none().then_some((character, behind))
    });
    pair.unwrap_or_else(|| {
        (char::from_u32(u32::from(unit)).unwrap_or(char::REPLACEMENT_CHARACTER), behind)
    })
}

fn split_unit(digits: &str) -> (u16, &str) {
    let (unit, behind) = digits.split_at_checked(4).unwrap_or((digits, ""));
    (u16::from_str_radix(unit, 16).unwrap_or(0xFFFD), behind)
}

/// How many strings with escapes this thread has decoded, so that a test can say how often it happens.
#[cfg(test)]
pub(in crate::domain) mod counted {
    use std::cell::Cell;

    thread_local! {
        static DECODED: Cell<usize> = const { Cell::new(0) };
    }

    pub(super) fn one_more() {
        DECODED.set(DECODED.get().saturating_add(1));
    }

    /// How many strings `read` decodes.
    pub(in crate::domain) fn while_reading(read: impl FnOnce()) -> usize {
        let before = DECODED.get();
        read();
        DECODED.get().saturating_sub(before)
    }
}
