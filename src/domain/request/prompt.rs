//! Adds up the prompt: an upper bound of its tokens, an estimate, and whether it asks to be cached.

use std::{borrow::Cow, mem};

use super::{InvalidBody, field, rules::Rules};
use crate::domain::{
    endpoint::Tools,
    json::{Kind, Reader, Text},
    tokens::{self, Counter},
};

/// A prompt being added up, by the rules of [`tokens`].
#[derive(Debug)]
pub(super) struct Prompt<'m> {
    rules: Rules<'m>,
    counter: Counter,
    sum: Sum,
    /// Set while tools or the form of the answer are described: the vendor renders these in a form of its own.
    describes: bool,
}

/// The tokens of parts of a body.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sum {
    /// An upper bound of the tokens.
    pub(super) bound: u64,
    /// Tokens that were counted or estimated; the bytes in `text_bytes` are not among them.
    known: u64,
    /// Bytes of text that were not counted.
    text_bytes: u64,
    /// Whether a part asks to be cached.
    pub(super) caches: bool,
}

impl Sum {
    fn tokens(&mut self, bound: u64, known: u64) {
        self.bound = self.bound.saturating_add(bound);
        self.known = self.known.saturating_add(known);
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.tokens(other.bound, other.known);
        self.text_bytes = self.text_bytes.saturating_add(other.text_bytes);
        self.caches |= other.caches;
    }

    /// This sum, `count` times.
    pub(super) fn times(&self, count: u64) -> Self {
        Self {
            bound: self.bound.saturating_mul(count),
            known: self.known.saturating_mul(count),
            text_bytes: self.text_bytes.saturating_mul(count),
            caches: self.caches,
        }
    }

    /// An estimate of the tokens.
    pub(super) fn estimate(&self) -> u64 {
        self.known.saturating_add(tokens::count(self.text_bytes))
    }
}

/// How many texts and lists of tokens were read, and how long they are.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Texts {
    /// How many there are.
    pub(super) count: u64,
    /// Their bytes; a token counts as four.
    pub(super) bytes: u64,
}

impl Texts {
    pub(super) const ONE: Self = Self { count: 1, bytes: 0 };
    const TOKEN: Self = Self { count: 0, bytes: 4 };

    fn add(&mut self, other: Self) {
        self.count = self.count.saturating_add(other.count);
        self.bytes = self.bytes.saturating_add(other.bytes);
    }
}

/// Parts of a message that are text, or of which only the text is billed.
const TEXT_PARTS: &[&str] = &[
    "text",
    "refusal",
    "thinking",
    "redacted_thinking",
    "tool_use",
    "tool_result",
    "search_result",
];

impl<'m> Prompt<'m> {
    pub(super) const fn new(rules: Rules<'m>) -> Self {
        Self {
            rules,
            counter: Counter::new(rules.tokenizer),
            sum: Sum { bound: 0, known: 0, text_bytes: 0, caches: false },
            describes: false,
        }
    }

    /// The sum so far.
    pub(super) const fn sum(&self) -> Sum {
        self.sum
    }

    /// The sum of what `read` adds, which is not added to the prompt.
    pub(super) fn aside(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<(), InvalidBody>,
    ) -> Result<Sum, InvalidBody> {
        let kept = mem::take(&mut self.sum);
        read(self)?;
        Ok(mem::replace(&mut self.sum, kept))
    }

    /// Any value, as its compact JSON.
    pub(super) fn value(&mut self, reader: &mut Reader<'_>) -> Result<(), InvalidBody> {
        match reader.kind()? {
            Kind::Null | Kind::Bool => {
                reader.skip()?;
                self.sum.tokens(6, 0);
            }
            Kind::Number => {
                let number = reader.number()?;
                self.counted(number);
                self.sum.tokens(1, 0);
            }
            Kind::String => {
                let text = reader.string()?;
                self.json_text(text);
            }
            Kind::Array => {
                self.sum.tokens(3, 0);
                reader.array(|reader| self.value(reader))?;
            }
            Kind::Object => {
                self.sum.tokens(3, 0);
                reader.object(|reader, key| self.field(reader, &key))?;
            }
        }
        Ok(())
    }

    /// A field of an object in the prompt.
    pub(super) fn field(&mut self, reader: &mut Reader<'_>, key: &str) -> Result<(), InvalidBody> {
        self.key(key);
        if key == "cache_control" && reader.kind()? != Kind::Null {
            self.sum.caches = true;
        }
        self.value(reader)
    }

    fn key(&mut self, key: &str) {
        self.counted(key);
        self.quotes();
    }

    /// A key such as `role`. In a known chat format it is already counted in the tokens around a message; else it
    /// counts as a key.
    fn frame(&mut self, key: &str) {
        if !self.rules.is_chat() {
            self.key(key);
        }
    }

    /// Two quotes and the separator after them are at most three tokens. In a description they are at most two: compact
    /// JSON joins quotes with the characters between them, and other renderings have no quotes.
    fn quotes(&mut self) {
        self.sum.tokens(if self.describes { 2 } else { 3 }, 0);
    }

    fn json_text(&mut self, text: Text<'_>) {
        self.counted(&text.decoded());
        self.quotes();
        if self.describes {
            // The rendering may write out escapes, or mark each line as a comment.
            let escapes = length(text.escapes());
            self.sum.tokens(escapes.saturating_mul(2), 0);
        }
    }

    /// The text itself, without anything around it.
    fn counted(&mut self, text: &str) {
        let count = self.counter.count(text);
        self.sum.tokens(count.bound, count.counted);
        self.sum.text_bytes = self.sum.text_bytes.saturating_add(count.bytes);
    }

    /// The messages of a conversation.
    pub(super) fn messages(&mut self, reader: &mut Reader<'_>) -> Result<(), InvalidBody> {
        self.sum.tokens(3, 0);
        field::array(reader, "messages", |reader| {
            if reader.kind()? != Kind::Object {
                return Err(InvalidBody::of("messages", "each of messages must be an object."));
            }
            if self.rules.is_chat() {
                self.sum.tokens(tokens::CHAT_MESSAGE_TOKENS_MAX, 3);
            } else {
                self.sum.tokens(3, 0);
            }
            reader.object(|reader, key| match &*key {
                "content" => {
                    self.frame(&key);
                    self.content(reader)
                }
                "role" if self.rules.is_chat() && reader.kind()? == Kind::String => {
                    let role = reader.string()?;
                    self.counted(&role.decoded());
                    Ok(())
                }
                "audio" if reader.kind()? != Kind::Null => Err(InvalidBody::of(
                    "messages",
                    "a message with audio is not possible here; send its text.",
                )),
                _ => self.field(reader, &key),
            })
        })
    }

    /// A text, or a list of parts.
    pub(super) fn content(&mut self, reader: &mut Reader<'_>) -> Result<(), InvalidBody> {
        match reader.kind()? {
            Kind::Array => {}
            Kind::String if self.rules.is_chat() => {
                let text = reader.string()?;
                self.counted(&text.decoded());
                return Ok(());
            }
            Kind::Null | Kind::Bool | Kind::Number | Kind::String | Kind::Object => {
                return self.value(reader);
            }
        }
        self.sum.tokens(3, 0);
        let mut seam = None;
        reader.array(|reader| match reader.kind()? {
            Kind::Object => {
                seam = self.part(reader, seam)?;
                Ok(())
            }
            Kind::Null | Kind::Bool | Kind::Number | Kind::String | Kind::Array => {
                seam = None;
                self.value(reader)
            }
        })
    }

    /// A part of a message. A provider may join texts that follow each other. `seam` is how many bytes at the end of
    /// the text before are counted again together with the beginning of this part, if it is a text. Returns the seam
    /// for the next part.
    fn part(
        &mut self,
        reader: &mut Reader<'_>,
        seam: Option<u64>,
    ) -> Result<Option<u64>, InvalidBody> {
        let mut kind = None;
        let mut source = None;
        let mut detail = None;
        let mut tail = None;
        // Only counts if the part turns out to be text. The bytes of an image are not text.
        let mut media = Sum::default();
        self.sum.tokens(3, 0);
        reader.object(|reader, key| match &*key {
            "type" => {
                kind = Some(self.kind(reader, &key)?);
                Ok(())
            }
            "text" if self.rules.is_chat() && reader.kind()? == Kind::String => {
                let text = reader.string()?.decoded();
                self.counted(&text);
                let (first, last) = tokens::edges(&text);
                if let Some(before) = seam {
                    self.sum.tokens(before.saturating_add(first), 0);
                }
                tail = Some(last);
                Ok(())
            }
            "content" => {
                self.key(&key);
                self.content(reader)
            }
            "source" if reader.kind()? == Kind::Object => {
                media.add(&self.aside(|prompt| {
                    prompt.key(&key);
                    source = prompt.source(reader)?;
                    Ok(())
                })?);
                Ok(())
            }
            "image_url" => {
                media.add(&image_url(reader, &mut detail)?);
                Ok(())
            }
            _ => self.field(reader, &key),
        })?;
        match (kind.as_deref(), source.as_deref()) {
            (Some("image_url"), _) | (Some("image"), Some("base64" | "url")) => {
                let bound = self.rules.image_tokens_max(detail.as_deref());
                self.sum.tokens(bound, bound.min(tokens::IMAGE_TOKENS_ESTIMATE));
            }
            (Some(kind), source) if !is_text(kind, source) => return Err(no_bound(kind, source)),
            // A part without a type passes: the provider does not read it and refuses it itself.
            _ => self.sum.add(&media),
        }
        Ok(tail)
    }

    fn source<'a>(&mut self, reader: &mut Reader<'a>) -> Result<Option<Cow<'a, str>>, InvalidBody> {
        let mut kind = None;
        self.sum.tokens(3, 0);
        reader.object(|reader, key| match &*key {
            "type" => {
                kind = Some(self.kind(reader, &key)?);
                Ok(())
            }
            "content" => {
                self.key(&key);
                self.content(reader)
            }
            _ => self.field(reader, &key),
        })?;
        Ok(kind)
    }

    fn kind<'a>(
        &mut self,
        reader: &mut Reader<'a>,
        key: &str,
    ) -> Result<Cow<'a, str>, InvalidBody> {
        if reader.kind()? != Kind::String {
            return Err(InvalidBody::of("type", "the type of a part or a tool must be a string."));
        }
        let kind = reader.string()?;
        if !self.rules.is_chat() {
            self.key(key);
            self.json_text(kind);
        }
        Ok(kind.decoded())
    }

    /// The tools that the model may call. Only tools that the client runs are accepted.
    pub(super) fn tools(&mut self, reader: &mut Reader<'_>) -> Result<(), InvalidBody> {
        if reader.null()? {
            return Ok(());
        }
        self.described(|prompt| prompt.tool_list(reader))
    }

    fn tool_list(&mut self, reader: &mut Reader<'_>) -> Result<(), InvalidBody> {
        field::array(reader, "tools", |reader| {
            if reader.kind()? != Kind::Object {
                return Err(InvalidBody::of("tools", "each of tools must be an object."));
            }
            let mut kind = None;
            self.sum.tokens(3, 0);
            reader.object(|reader, key| match &*key {
                "type" if reader.kind()? == Kind::String => {
                    kind = Some(self.kind(reader, &key)?);
                    Ok(())
                }
                _ => self.field(reader, &key),
            })?;
            let Some(kind) = kind else { return Ok(()) };
            let Tools { described, run_by_client } = self.rules.spec.tools;
            if described.contains(&&*kind) {
                return Ok(());
            }
            if run_by_client.iter().any(|tool| kind.starts_with(tool)) {
                self.sum.tokens(tokens::CLIENT_TOOL_TOKENS_MAX, 0);
                return Ok(());
            }
            Err(hosted(&kind))
        })
    }

    /// A field that describes tools or the form of the answer.
    pub(super) fn description(
        &mut self,
        reader: &mut Reader<'_>,
        key: &str,
    ) -> Result<(), InvalidBody> {
        self.described(|prompt| prompt.field(reader, key))
    }

    /// Counts what `read` reads as a description: the vendor renders it, and adds instructions of its own.
    fn described(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<(), InvalidBody>,
    ) -> Result<(), InvalidBody> {
        self.sum.tokens(self.rules.tools_tokens_max(), 0);
        self.describes = self.rules.tokenizer.is_known();
        read(self)?;
        self.describes = false;
        Ok(())
    }

    /// Texts, or token ids; each id is one token.
    pub(super) fn texts(
        &mut self,
        reader: &mut Reader<'_>,
        name: &str,
    ) -> Result<Texts, InvalidBody> {
        let wrong = || {
            InvalidBody::of(
                name,
                format!(
                    "{name} must be a string, a list of strings, a list of tokens or a list of such lists."
                ),
            )
        };
        let mut texts = Texts::default();
        // Token ids directly in the outer list are one text together.
        let mut loose = false;
        match reader.kind()? {
            Kind::String => texts.add(self.text(reader)?),
            Kind::Array => reader.array(|reader| {
                match reader.kind()? {
                    Kind::String => texts.add(self.text(reader)?),
                    Kind::Number => {
                        loose = true;
                        texts.add(self.token(reader)?);
                    }
                    Kind::Array => {
                        texts.add(Texts::ONE);
                        reader.array(|reader| {
                            if reader.kind()? != Kind::Number {
                                return Err(wrong());
                            }
                            texts.add(self.token(reader)?);
                            Ok(())
                        })?;
                    }
                    Kind::Null | Kind::Bool | Kind::Object => return Err(wrong()),
                }
                Ok(())
            })?,
            Kind::Null | Kind::Bool | Kind::Number | Kind::Object => return Err(wrong()),
        }
        if loose {
            texts.add(Texts::ONE);
        }
        Ok(texts)
    }

    /// Texts or lists of tokens, each with its own answers. Without any, the model writes one text from nothing.
    pub(super) fn prompts(
        &mut self,
        reader: &mut Reader<'_>,
        name: &str,
    ) -> Result<Texts, InvalidBody> {
        let texts = if reader.null()? { Texts::default() } else { self.texts(reader, name)? };
        Ok(Texts { count: texts.count.max(1), ..texts })
    }

    /// The text that is to follow the model's text.
    pub(super) fn suffix(
        &mut self,
        reader: &mut Reader<'_>,
        name: &str,
    ) -> Result<(), InvalidBody> {
        match reader.kind()? {
            Kind::Null => Ok(reader.skip()?),
            Kind::String => self.text(reader).map(drop),
            Kind::Bool | Kind::Number | Kind::Array | Kind::Object => {
                Err(InvalidBody::of(name, format!("{name} must be a string.")))
            }
        }
    }

    fn text(&mut self, reader: &mut Reader<'_>) -> Result<Texts, InvalidBody> {
        let text = reader.string()?.decoded();
        self.counted(&text);
        if !self.rules.tokenizer.is_known() {
            self.quotes();
        }
        Ok(Texts { count: 1, bytes: length(text.len()) })
    }

    fn token(&mut self, reader: &mut Reader<'_>) -> Result<Texts, InvalidBody> {
        reader.number()?;
        self.sum.tokens(1, 1);
        Ok(Texts::TOKEN)
    }
}

/// An image: its URL, or its data in base64, bounded by its bytes. Also reads the requested detail.
fn image_url<'a>(
    reader: &mut Reader<'a>,
    detail: &mut Option<Cow<'a, str>>,
) -> Result<Sum, InvalidBody> {
    let mut sum = Sum::default();
    sum.tokens(12, 0);
    let mut bytes = |reader: &mut Reader<'a>| -> Result<(), InvalidBody> {
        let start = reader.start();
        reader.skip()?;
        sum.tokens(length(reader.position().saturating_sub(start)), 0);
        Ok(())
    };
    if reader.kind()? != Kind::Object {
        bytes(reader)?;
        return Ok(sum);
    }
    reader.object(|reader, key| {
        if key == "detail" && reader.kind()? == Kind::String {
            *detail = Some(reader.string()?.decoded());
            return Ok(());
        }
        bytes(reader)
    })?;
    Ok(sum)
}

fn is_text(kind: &str, source: Option<&str>) -> bool {
    TEXT_PARTS.contains(&kind) || (kind == "document" && matches!(source, Some("text" | "content")))
}

/// Lengths in memory fit 64 bits.
fn length(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

#[cold]
fn no_bound(kind: &str, source: Option<&str>) -> InvalidBody {
    let kind: String = kind.chars().take(64).collect();
    let source: String = source
        .map(|source| format!(" from {}", source.chars().take(64).collect::<String>()))
        .unwrap_or_default();
    let message = format!(
        "a part of type {kind}{source} is not possible here, because what it costs has no known bound: send text, or images by URL or in base64."
    );
    InvalidBody::of("messages", message)
}

#[cold]
fn hosted(kind: &str) -> InvalidBody {
    let kind: String = kind.chars().take(64).collect();
    let message = format!(
        "a tool of type {kind} is not possible here, because the provider runs it at a price that is not in the price book: run it yourself and pass it as a function."
    );
    InvalidBody::of("tools", message)
}
