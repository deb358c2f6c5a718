//! Adds up the prompt: an upper bound of its tokens, an estimate, and whether it asks to be cached.

use std::{borrow::Cow, mem};

use super::{
    InvalidBody, field,
    part::{self, Keys},
    refused,
    rules::Rules,
};
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
    /// The field that is being read, for errors about parts.
    place: &'static str,
    /// How many parts give a described tool to the model once more.
    references: u64,
    /// The largest bound of one described tool.
    largest_tool: u64,
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

/// The keys of a message that servers read. Others count as text; one that differs from these only by case is refused.
const MESSAGE_KEYS: &[&str] =
    &["role", "content", "name", "tool_calls", "tool_call_id", "function_call", "audio", "refusal"];

/// As for messages: the keys that servers read from the first level of a description.
const DESCRIPTION_KEYS: &[&str] = &[
    "type",
    "json_schema",
    "schema",
    "format",
    "effort",
    "task_budget",
    "name",
    "description",
    "parameters",
    "strict",
];

/// How many tools there may be in a set that the vendor describes with one type.
const TOOLS_OF_SET_MAX: u64 = 64;

impl<'m> Prompt<'m> {
    pub(super) const fn new(rules: Rules<'m>) -> Self {
        Self {
            rules,
            counter: Counter::new(rules.tokenizer),
            sum: Sum { bound: 0, known: 0, text_bytes: 0, caches: false },
            describes: false,
            place: rules.spec.prompt.field(),
            references: 0,
            largest_tool: 0,
        }
    }

    /// The sum so far.
    pub(super) fn sum(&self) -> Sum {
        let mut sum = self.sum;
        sum.tokens(self.references.saturating_mul(self.largest_tool), 0);
        sum
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

    pub(super) fn key(&mut self, key: &str) {
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
                _ => {
                    refused::no_variant(&key, MESSAGE_KEYS, "messages")?;
                    self.field(reader, &key)
                }
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
        let mut keys = Keys::default();
        // Only counts if the part turns out to be text. The bytes of an image are not text.
        let mut media = Sum::default();
        self.sum.tokens(3, 0);
        reader.object(|reader, key| {
            if key != "type" && reader.kind()? != Kind::Null {
                keys.note(key.clone());
            }
            match &*key {
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
                    media.add(&image_url(reader, &mut detail, self.place)?);
                    Ok(())
                }
                _ => self.field(reader, &key),
            }
        })?;
        let dialect = self.rules.spec.dialect;
        keys.of_part(dialect, kind.as_deref(), self.place)?;
        let (kind, source) = (kind.as_deref().unwrap_or_default(), source.as_deref());
        if part::is_image(dialect, kind, source) {
            let bound = self.rules.image_tokens_max(detail.as_deref());
            self.sum.tokens(bound, bound.min(tokens::IMAGE_TOKENS_ESTIMATE));
        } else if part::is_text(dialect, kind, source) {
            self.sum.add(&media);
        } else {
            return Err(no_bound(kind, source, self.place));
        }
        if kind == "tool_reference" {
            self.references = self.references.saturating_add(1);
        }
        Ok(tail)
    }

    fn source<'a>(&mut self, reader: &mut Reader<'a>) -> Result<Option<Cow<'a, str>>, InvalidBody> {
        let mut kind = None;
        let mut keys = Keys::default();
        self.sum.tokens(3, 0);
        reader.object(|reader, key| {
            if key != "type" && reader.kind()? != Kind::Null {
                keys.note(key.clone());
            }
            match &*key {
                "type" => {
                    kind = Some(self.kind(reader, &key)?);
                    Ok(())
                }
                "content" => {
                    self.key(&key);
                    self.content(reader)
                }
                _ => self.field(reader, &key),
            }
        })?;
        keys.of_source(kind.as_deref(), self.place)?;
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
            let mut keys = Keys::default();
            let before = self.sum.bound;
            self.sum.tokens(3, 0);
            reader.object(|reader, key| match &*key {
                "type" if reader.kind()? == Kind::String => {
                    kind = Some(self.kind(reader, &key)?);
                    Ok(())
                }
                _ => {
                    if key != "type" && reader.kind()? != Kind::Null {
                        keys.note(key.clone());
                    }
                    self.field(reader, &key)
                }
            })?;
            let Tools { described, run_by_client, type_optional, keys: known } =
                self.rules.spec.tools;
            if kind.is_none() && !type_optional {
                keys.only(&[], "tool", "none", "tools")?;
                return Err(InvalidBody::of(
                    "tools",
                    "a tool has no type, so what it costs has no bound.",
                ));
            }
            let kind = kind.as_deref().unwrap_or("custom");
            if described.contains(&kind) {
                keys.only(known, "tool", kind, "tools")?;
            } else if run_by_client.iter().any(|tool| kind.starts_with(tool)) {
                keys.only(known, "tool", kind, "tools")?;
                let tools = if kind.contains("_toolset_") { TOOLS_OF_SET_MAX } else { 1 };
                self.sum.tokens(tokens::CLIENT_TOOL_TOKENS_MAX.saturating_mul(tools), 0);
            } else {
                return Err(hosted(kind));
            }
            self.largest_tool = self.largest_tool.max(self.sum.bound.saturating_sub(before));
            Ok(())
        })
    }

    /// A field that describes tools or the form of the answer.
    pub(super) fn description(
        &mut self,
        reader: &mut Reader<'_>,
        key: &str,
    ) -> Result<(), InvalidBody> {
        self.described(|prompt| {
            if reader.kind()? != Kind::Object {
                return prompt.field(reader, key);
            }
            prompt.key(key);
            prompt.sum.tokens(3, 0);
            reader.object(|reader, inner| {
                refused::no_variant(&inner, DESCRIPTION_KEYS, key)?;
                prompt.field(reader, &inner)
            })
        })
    }

    /// Instructions beside the conversation.
    pub(super) fn system(&mut self, reader: &mut Reader<'_>) -> Result<(), InvalidBody> {
        let place = mem::replace(&mut self.place, "system");
        self.content(reader)?;
        self.place = place;
        Ok(())
    }

    /// An answer that is partly known: text only.
    pub(super) fn prediction(&mut self, reader: &mut Reader<'_>) -> Result<(), InvalidBody> {
        if reader.null()? {
            return Ok(());
        }
        let place = mem::replace(&mut self.place, "prediction");
        let keys = &["type", "content"];
        self.key("prediction");
        self.object_of(reader, "prediction", keys, |prompt, reader, key| match key {
            "content" => prompt.content(reader),
            _ => prompt.value(reader),
        })?;
        self.place = place;
        Ok(())
    }

    /// An object that has no other keys than these, read by `value`. `null` is no object and no error.
    pub(super) fn object_of(
        &mut self,
        reader: &mut Reader<'_>,
        name: &str,
        keys: &[&str],
        mut value: impl FnMut(&mut Self, &mut Reader<'_>, &str) -> Result<(), InvalidBody>,
    ) -> Result<(), InvalidBody> {
        if reader.null()? {
            return Ok(());
        }
        if reader.kind()? != Kind::Object {
            return Err(InvalidBody::of(name, format!("{name} must be an object.")));
        }
        self.sum.tokens(3, 0);
        reader.object(|reader, key| {
            refused::no_variant(&key, keys, name)?;
            if !keys.contains(&&*key) {
                if reader.null()? {
                    return Ok(());
                }
                let key = refused::shortened(&key);
                let message = format!("{name} has the key {key}, which is not possible here: what it costs has no bound, or it names something in the provider's account.");
                return Err(InvalidBody::of(name, message));
            }
            self.key(&key);
            value(self, reader, &key)
        })
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
    place: &str,
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
        if !part::IMAGE_URL.contains(&&*key) && reader.kind()? != Kind::Null {
            let mut keys = Keys::default();
            keys.note(key.clone());
            keys.only(part::IMAGE_URL, "image", "image_url", place)?;
        }
        bytes(reader)
    })?;
    Ok(sum)
}

/// Lengths in memory fit 64 bits.
fn length(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

#[cold]
fn no_bound(kind: &str, source: Option<&str>, place: &str) -> InvalidBody {
    let kind = refused::shortened(kind);
    let source: String =
        source.map(|source| format!(" from {}", refused::shortened(source))).unwrap_or_default();
    let message = format!(
        "a part of type {kind}{source} is not possible here, because what it costs has no known bound: send text, or images by URL or in base64."
    );
    InvalidBody::of(place, message)
}

#[cold]
fn hosted(kind: &str) -> InvalidBody {
    let kind = refused::shortened(kind);
    let message = format!(
        "a tool of type {kind} is not possible here, because the provider runs it at a price that is not in the price book: run it yourself and pass it as a function."
    );
    InvalidBody::of("tools", message)
}
