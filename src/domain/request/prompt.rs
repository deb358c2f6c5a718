//! What reaches the prompt: its tokens at the most, its text, and whether it is to be cached.

use std::borrow::Cow;

use super::{InvalidBody, field};
use crate::domain::{
    dialect::Endpoint,
    json::{Kind, Reader, Text},
    tokens,
};

/// A prompt being added up, by the rules of [`tokens`].
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Prompt {
    /// Tokens at the most.
    pub(super) bound: u64,
    /// Bytes of text, keys included: they stand for what a chat format puts around a message.
    pub(super) text_bytes: u64,
    /// Tokens of parts that are not text, as far as they can be guessed.
    pub(super) estimate: u64,
    /// A part asks to be cached.
    pub(super) caches: bool,
}

/// Parts of a message that are text, or whose text is all that is paid for.
const TEXT_PARTS: &[&str] = &[
    "text",
    "refusal",
    "thinking",
    "redacted_thinking",
    "tool_use",
    "tool_result",
    "search_result",
];

/// Tools of Anthropic's that the client runs: only their description and their calls are paid for.
const CLIENT_TOOLS: &[&str] = &["bash_", "text_editor_", "computer_", "memory_"];

impl Prompt {
    pub(super) fn tokens(&mut self, bound: u64, estimate: u64) {
        self.bound = self.bound.saturating_add(bound);
        self.estimate = self.estimate.saturating_add(estimate);
    }

    /// Any value, as its compact JSON.
    pub(super) fn value(&mut self, reader: &mut Reader<'_>) -> Result<(), InvalidBody> {
        match reader.kind()? {
            Kind::Null | Kind::Bool => {
                reader.skip()?;
                self.tokens(6, 0);
            }
            Kind::Number => {
                let digits = length(reader.number()?.len());
                self.tokens(digits.saturating_add(1), 0);
                self.text_bytes = self.text_bytes.saturating_add(digits);
            }
            Kind::String => {
                let text = reader.string()?;
                self.text(text);
            }
            Kind::Array => {
                self.tokens(3, 0);
                reader.array(|reader| self.value(reader))?;
            }
            Kind::Object => {
                self.tokens(3, 0);
                reader.object(|reader, key| self.field(reader, &key))?;
            }
        }
        Ok(())
    }

    /// A field of an object in the prompt.
    pub(super) fn field(&mut self, reader: &mut Reader<'_>, key: &str) -> Result<(), InvalidBody> {
        self.key(key);
        if key == "cache_control" && reader.kind()? != Kind::Null {
            self.caches = true;
        }
        self.value(reader)
    }

    fn key(&mut self, key: &str) {
        self.bytes(length(key.len()));
    }

    fn text(&mut self, text: Text<'_>) {
        self.bytes(length(text.len()));
    }

    /// Two quotes and what follows them are never more than three tokens.
    fn bytes(&mut self, bytes: u64) {
        self.tokens(bytes.saturating_add(3), 0);
        self.text_bytes = self.text_bytes.saturating_add(bytes);
    }

    fn add(&mut self, other: &Self) {
        self.tokens(other.bound, other.estimate);
        self.text_bytes = self.text_bytes.saturating_add(other.text_bytes);
        self.caches |= other.caches;
    }

    /// The messages of a conversation.
    pub(super) fn messages(
        &mut self,
        reader: &mut Reader<'_>,
        endpoint: Endpoint,
    ) -> Result<(), InvalidBody> {
        self.tokens(3, 0);
        field::array(reader, "messages", |reader| {
            if reader.kind()? != Kind::Object {
                return Err(InvalidBody::of("messages", "each of messages must be an object."));
            }
            self.tokens(3, 0);
            reader.object(|reader, key| match &*key {
                "content" => {
                    self.key(&key);
                    self.content(reader, endpoint)
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
    pub(super) fn content(
        &mut self,
        reader: &mut Reader<'_>,
        endpoint: Endpoint,
    ) -> Result<(), InvalidBody> {
        if reader.kind()? != Kind::Array {
            return self.value(reader);
        }
        self.tokens(3, 0);
        reader.array(|reader| match reader.kind()? {
            Kind::Object => self.part(reader, endpoint),
            Kind::Null | Kind::Bool | Kind::Number | Kind::String | Kind::Array => {
                self.value(reader)
            }
        })
    }

    fn part(&mut self, reader: &mut Reader<'_>, endpoint: Endpoint) -> Result<(), InvalidBody> {
        let mut kind = None;
        let mut source = None;
        // Counts only if the part turns out to be text: a picture's bytes are not.
        let mut media = Self::default();
        self.tokens(3, 0);
        reader.object(|reader, key| match &*key {
            "type" => {
                kind = Some(self.kind(reader)?);
                Ok(())
            }
            "content" => {
                self.key(&key);
                self.content(reader, endpoint)
            }
            "source" if reader.kind()? == Kind::Object => {
                media.key(&key);
                source = media.source(reader, endpoint)?;
                Ok(())
            }
            "source" | "image_url" => media.field(reader, &key),
            _ => self.field(reader, &key),
        })?;
        match (kind.as_deref(), source.as_deref()) {
            (Some("image_url"), _) => {
                self.tokens(tokens::CHAT_IMAGE_TOKENS_MAX, tokens::IMAGE_TOKENS_ESTIMATE);
            }
            (Some("image"), Some("base64" | "url")) => {
                self.tokens(tokens::MESSAGES_IMAGE_TOKENS_MAX, tokens::IMAGE_TOKENS_ESTIMATE);
            }
            (Some(kind), source) if !is_text(kind, source) => return Err(no_bound(kind, source)),
            // Without a type there is nothing that a provider would read; it says so itself.
            _ => self.add(&media),
        }
        Ok(())
    }

    fn source<'a>(
        &mut self,
        reader: &mut Reader<'a>,
        endpoint: Endpoint,
    ) -> Result<Option<Cow<'a, str>>, InvalidBody> {
        let mut kind = None;
        self.tokens(3, 0);
        reader.object(|reader, key| match &*key {
            "type" => {
                kind = Some(self.kind(reader)?);
                Ok(())
            }
            "content" => {
                self.key(&key);
                self.content(reader, endpoint)
            }
            _ => self.field(reader, &key),
        })?;
        Ok(kind)
    }

    fn kind<'a>(&mut self, reader: &mut Reader<'a>) -> Result<Cow<'a, str>, InvalidBody> {
        if reader.kind()? != Kind::String {
            return Err(InvalidBody::of("type", "the type of a part or a tool must be a string."));
        }
        let kind = reader.string()?;
        self.key("type");
        self.text(kind);
        Ok(kind.decoded())
    }

    /// The tools that the model may ask for; only those that the client runs.
    pub(super) fn tools(
        &mut self,
        reader: &mut Reader<'_>,
        endpoint: Endpoint,
    ) -> Result<(), InvalidBody> {
        if reader.null()? {
            return Ok(());
        }
        self.instructions();
        field::array(reader, "tools", |reader| {
            if reader.kind()? != Kind::Object {
                return Err(InvalidBody::of("tools", "each of tools must be an object."));
            }
            let mut kind = None;
            self.tokens(3, 0);
            reader.object(|reader, key| match &*key {
                "type" if reader.kind()? == Kind::String => {
                    kind = Some(self.kind(reader)?);
                    Ok(())
                }
                _ => self.field(reader, &key),
            })?;
            let Some(kind) = kind else { return Ok(()) };
            match endpoint {
                Endpoint::Messages if kind == "custom" => Ok(()),
                Endpoint::Messages if CLIENT_TOOLS.iter().any(|tool| kind.starts_with(tool)) => {
                    self.tokens(tokens::CLIENT_TOOL_TOKENS_MAX, 0);
                    Ok(())
                }
                Endpoint::ChatCompletions if kind == "function" || kind == "custom" => Ok(()),
                Endpoint::ChatCompletions | Endpoint::Messages | Endpoint::Embeddings => {
                    Err(hosted(&kind))
                }
            }
        })
    }

    /// The vendor adds instructions of its own.
    pub(super) fn instructions(&mut self) {
        self.tokens(tokens::TOOLS_TOKENS_MAX, 0);
    }

    /// The input of an embedding: texts, or tokens, which are what they are.
    pub(super) fn input(&mut self, reader: &mut Reader<'_>) -> Result<(), InvalidBody> {
        let wrong = || {
            InvalidBody::of(
                "input",
                "input must be a string, a list of strings, a list of tokens or a list of such lists.",
            )
        };
        match reader.kind()? {
            Kind::String => self.value(reader),
            Kind::Array => reader.array(|reader| match reader.kind()? {
                Kind::String => self.value(reader),
                Kind::Number => self.token(reader),
                Kind::Array => reader.array(|reader| {
                    if reader.kind()? == Kind::Number { self.token(reader) } else { Err(wrong()) }
                }),
                Kind::Null | Kind::Bool | Kind::Object => Err(wrong()),
            }),
            Kind::Null | Kind::Bool | Kind::Number | Kind::Object => Err(wrong()),
        }
    }

    fn token(&mut self, reader: &mut Reader<'_>) -> Result<(), InvalidBody> {
        reader.number()?;
        self.tokens(1, 1);
        Ok(())
    }
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
