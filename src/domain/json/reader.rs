//! The walk over the text.

use std::borrow::Cow;

use super::{
    Text,
    keys::{Keys, Scope},
};

/// How many levels of arrays and objects there may be; as many as `serde_json` allows.
pub const DEPTH_MAX: usize = 127;

/// The text is not JSON, or not JSON that all parsers read alike.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// Not UTF-8.
    #[error("it is not valid UTF-8")]
    NotUtf8,
    /// Not JSON.
    #[error("it is not valid JSON at byte {at}")]
    Syntax {
        /// Where, counted from 0.
        at: usize,
    },
    /// A value of another kind than the reader asked for.
    #[error("a value of another kind was expected at byte {at}")]
    Unexpected {
        /// Where, counted from 0.
        at: usize,
    },
    /// Deeper than [`DEPTH_MAX`].
    #[error("it is nested more than {DEPTH_MAX} levels deep")]
    TooDeep,
    /// An object has this key twice (its first 64 characters).
    #[error("the key {0:?} appears twice in one object")]
    DuplicateKey(String),
}

/// The type of the next value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `null`
    Null,
    /// `true` or `false`
    Bool,
    /// A number.
    Number,
    /// A string.
    String,
    /// An array.
    Array,
    /// An object.
    Object,
}

/// Walks over one JSON text. See the [module docs](super).
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
    /// `None` if duplicate keys are not looked for.
    keys: Option<Keys<'a>>,
}

impl<'a> Reader<'a> {
    /// A reader before the first value.
    pub fn new(text: &'a [u8]) -> Result<Self, JsonError> {
        let text = std::str::from_utf8(text).map_err(|_| JsonError::NotUtf8)?;
        Ok(Self { text, at: 0, depth: 0, keys: Some(Keys::default()) })
    }

    /// Does not look for duplicate keys. For a quick look at a text that is also read in full.
    #[must_use]
    pub(crate) fn glancing(mut self) -> Self {
        self.keys = None;
        self
    }

    /// The type of the next value, without reading the value.
    pub fn kind(&mut self) -> Result<Kind, JsonError> {
        self.skip_space();
        match self.rest().first() {
            Some(b'n') => Ok(Kind::Null),
            Some(b't' | b'f') => Ok(Kind::Bool),
            Some(b'-' | b'0'..=b'9') => Ok(Kind::Number),
            Some(b'"') => Ok(Kind::String),
            Some(b'[') => Ok(Kind::Array),
            Some(b'{') => Ok(Kind::Object),
            _ => Err(self.syntax()),
        }
    }

    /// Where the next value starts, in bytes from the start of the text.
    pub fn start(&mut self) -> usize {
        self.skip_space();
        self.at
    }

    /// Where the last value that was read ended.
    pub const fn position(&self) -> usize {
        self.at
    }

    /// Reads an object: `field` gets each key and must read or skip its value.
    pub fn object<E: From<JsonError>>(
        &mut self,
        mut field: impl FnMut(&mut Self, Cow<'a, str>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.enter(Kind::Object)?;
        let mut scope = self.keys.as_ref().map_or_else(Scope::default, Keys::open);
        if !self.take(b'}') {
            loop {
                let key = self.key(&mut scope)?;
                field(self, key)?;
                if self.ends(b'}')? {
                    break;
                }
            }
        }
        if let Some(keys) = &mut self.keys {
            keys.close(&scope);
        }
        self.depth = self.depth.saturating_sub(1);
        Ok(())
    }

    /// Reads an array: `item` is called before each value and must read or skip it.
    pub fn array<E: From<JsonError>>(
        &mut self,
        mut item: impl FnMut(&mut Self) -> Result<(), E>,
    ) -> Result<(), E> {
        self.enter(Kind::Array)?;
        if !self.take(b']') {
            loop {
                item(self)?;
                if self.ends(b']')? {
                    break;
                }
            }
        }
        self.depth = self.depth.saturating_sub(1);
        Ok(())
    }

    /// Reads a string.
    pub fn string(&mut self) -> Result<Text<'a>, JsonError> {
        self.expect(Kind::String)?;
        self.advance(1);
        let start = self.at;
        // How many bytes longer the escapes are than what they decode to.
        let mut surplus = 0_usize;
        // Where the last high surrogate ended. A low surrogate at this place completes the pair.
        let mut high_ends_at = None;
        loop {
            self.advance(plain_prefix(self.rest()));
            match self.rest() {
                [b'"', ..] => break,
                [b'\\', b'u', digits @ ..] => {
                    let unit = hex_unit(digits).ok_or_else(|| self.syntax())?;
                    let stands_for = match unit {
                        0..0x80 => 1,
                        0x80..0x800 => 2,
                        0xDC00..0xE000 if high_ends_at == Some(self.at) => 1,
                        _ => 3,
                    };
                    surplus = surplus.saturating_add(6_usize.saturating_sub(stands_for));
                    self.advance(6);
                    high_ends_at = (0xD800..0xDC00).contains(&unit).then_some(self.at);
                }
                [b'\\', b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', ..] => {
                    surplus = surplus.saturating_add(1);
                    self.advance(2);
                }
                _ => return Err(self.syntax()),
            }
        }
        let raw = self.text.get(start..self.at).ok_or_else(|| self.syntax())?;
        self.advance(1);
        Ok(Text::new(raw, raw.len().saturating_sub(surplus)))
    }

    /// Reads a number, as its text.
    pub fn number(&mut self) -> Result<&'a str, JsonError> {
        self.expect(Kind::Number)?;
        let start = self.at;
        self.take_byte(b'-');
        if !self.take_byte(b'0') {
            self.digits()?;
        }
        if self.take_byte(b'.') {
            self.digits()?;
        }
        if self.take_byte(b'e') || self.take_byte(b'E') {
            let _signed = self.take_byte(b'+') || self.take_byte(b'-');
            self.digits()?;
        }
        self.text.get(start..self.at).ok_or_else(|| self.syntax())
    }

    /// Reads `true` or `false`.
    pub fn bool(&mut self) -> Result<bool, JsonError> {
        self.expect(Kind::Bool)?;
        let value = self.rest().first() == Some(&b't');
        self.word(if value { b"true" } else { b"false" })?;
        Ok(value)
    }

    /// Reads `null` if it is next.
    pub fn null(&mut self) -> Result<bool, JsonError> {
        if self.kind()? != Kind::Null {
            return Ok(false);
        }
        self.word(b"null").map(|()| true)
    }

    /// Skips a value of any type, and checks its syntax.
    pub fn skip(&mut self) -> Result<(), JsonError> {
        match self.kind()? {
            Kind::Null => self.word(b"null"),
            Kind::Bool => self.bool().map(|_| ()),
            Kind::Number => self.number().map(|_| ()),
            Kind::String => self.string().map(|_| ()),
            Kind::Array => self.array(Self::skip),
            Kind::Object => self.object(|reader, _| reader.skip()),
        }
    }

    /// Checks that nothing but white space is left.
    pub fn end(mut self) -> Result<(), JsonError> {
        self.skip_space();
        if self.rest().is_empty() { Ok(()) } else { Err(self.syntax()) }
    }

    fn key(&mut self, scope: &mut Scope<'a>) -> Result<Cow<'a, str>, JsonError> {
        if self.kind()? != Kind::String {
            return Err(self.syntax());
        }
        let key = self.string()?.decoded();
        if let Some(keys) = &mut self.keys {
            keys.add(scope, key.clone())?;
        }
        if self.take(b':') { Ok(key) } else { Err(self.syntax()) }
    }

    fn enter(&mut self, kind: Kind) -> Result<(), JsonError> {
        self.expect(kind)?;
        if self.depth >= DEPTH_MAX {
            return Err(JsonError::TooDeep);
        }
        self.depth = self.depth.saturating_add(1);
        self.advance(1);
        Ok(())
    }

    /// After a field or an item: whether the object or array ends here.
    fn ends(&mut self, close: u8) -> Result<bool, JsonError> {
        if self.take(close) {
            Ok(true)
        } else if self.take(b',') {
            Ok(false)
        } else {
            Err(self.syntax())
        }
    }

    fn expect(&mut self, kind: Kind) -> Result<(), JsonError> {
        if self.kind()? == kind { Ok(()) } else { Err(JsonError::Unexpected { at: self.at }) }
    }

    /// Skips white space, then takes `byte` if it is next.
    fn take(&mut self, byte: u8) -> bool {
        self.skip_space();
        self.take_byte(byte)
    }

    fn take_byte(&mut self, byte: u8) -> bool {
        let is_next = self.rest().first() == Some(&byte);
        if is_next {
            self.advance(1);
        }
        is_next
    }

    fn word(&mut self, word: &[u8]) -> Result<(), JsonError> {
        if !self.rest().starts_with(word) {
            return Err(self.syntax());
        }
        self.advance(word.len());
        Ok(())
    }

    fn digits(&mut self) -> Result<(), JsonError> {
        let count = self.rest().iter().take_while(|byte| byte.is_ascii_digit()).count();
        if count == 0 {
            return Err(self.syntax());
        }
        self.advance(count);
        Ok(())
    }

    fn skip_space(&mut self) {
        // Usually there is no white space, so a simple loop is fast enough.
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.rest().first() {
            self.advance(1);
        }
    }

    fn advance(&mut self, bytes: usize) {
        self.at = self.at.saturating_add(bytes);
    }

    fn rest(&self) -> &'a [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }

    #[cold]
    fn syntax(&self) -> JsonError {
        JsonError::Syntax { at: self.at }
    }
}

/// How many bytes at the start of `text` are neither quote, backslash nor control character.
///
/// Most strings are keys, no longer than a few words of eight bytes; a prompt is long. So the search checks a few
/// words, then whole blocks, and then the words of the block that has the end.
fn plain_prefix(text: &[u8]) -> usize {
    const WORDS_FIRST: usize = 4;
    let (words, _) = text.as_chunks::<8>();
    let (near, far) = words.split_at_checked(WORDS_FIRST).unwrap_or((words, &[]));
    let mut plain = 0_usize;
    for word in near {
        match special_in(*word) {
            Some(at) => return plain.saturating_add(at),
            None => plain = plain.saturating_add(8),
        }
    }
    // Without an early exit inside a block, the compiler vectorizes the check of a block.
    for block in far.as_flattened().as_chunks::<32>().0 {
        if block.iter().fold(false, |found, &byte| found | is_special(byte)) {
            break;
        }
        plain = plain.saturating_add(block.len());
    }
    let (words, rest) = text.get(plain..).unwrap_or_default().as_chunks::<8>();
    for word in words {
        match special_in(*word) {
            Some(at) => return plain.saturating_add(at),
            None => plain = plain.saturating_add(8),
        }
    }
    plain.saturating_add(rest.iter().take_while(|&&byte| !is_special(byte)).count())
}

const fn is_special(byte: u8) -> bool {
    byte == b'"' || byte == b'\\' || byte < b' '
}

/// Where the first special byte of a word is.
///
/// A subtraction borrows from the next byte only if its own byte is special. So the lowest high bit that is left always
/// marks a special byte.
fn special_in(word: [u8; 8]) -> Option<usize> {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    const HIGHS: u64 = u64::from_le_bytes([0x80; 8]);
    const SPACES: u64 = u64::from_le_bytes([b' '; 8]);
    let word = u64::from_le_bytes(word);
    let quote = word ^ u64::from_le_bytes([b'"'; 8]);
    let backslash = word ^ u64::from_le_bytes([b'\\'; 8]);
    let found = (quote.wrapping_sub(ONES) & !quote)
        | (backslash.wrapping_sub(ONES) & !backslash)
        | (word.wrapping_sub(SPACES) & !word);
    let found = found & HIGHS;
    if found == 0 { None } else { usize::try_from(found.trailing_zeros() / 8).ok() }
}

fn hex_unit(digits: &[u8]) -> Option<u32> {
    digits.first_chunk::<4>()?.iter().try_fold(0_u32, |unit, &digit| {
        Some(unit.checked_mul(16)?.saturating_add(char::from(digit).to_digit(16)?))
    })
}

#[cfg(test)]
mod tests {
    use super::plain_prefix;

    #[test]
    fn the_first_special_byte_is_found_wherever_it_is_and_whatever_stands_before_it() {
        for special in (0..b' ').chain(*b"\"\\") {
            for filler in [b' ', b'!', b'#', b'[', b']', b'a', 0x7F, 0x80, 0xA0, 0xDC, 0xFF] {
                for length in 0..140 {
                    let mut text = vec![filler; length];
                    assert_eq!(plain_prefix(&text), length);
                    text.push(special);
                    text.extend_from_slice(&[b'"', filler, filler, 0, filler, b'"', b'a', b'b']);
                    assert_eq!(plain_prefix(&text), length, "{special} behind {filler}");
                }
            }
        }
    }
}
