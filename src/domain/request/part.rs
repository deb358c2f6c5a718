//! The parts of messages that are known, each with its keys. A part without a type, or with a key of another type, is
//! refused: servers differ on what they read from it. vLLM, for one, reads an image or a video from a part without a
//! type.

use std::borrow::Cow;

use super::{
    InvalidBody,
    refused::{shortened, variant},
};
use crate::domain::{dialect::Dialect, json::folded};

/// A part, and the keys that it may have besides `type`.
type Part = (&'static str, &'static [&'static str]);

const OPENAI: &[Part] = &[
    ("text", &["text", "cache_control", "prompt_cache_breakpoint"]),
    ("refusal", &["refusal"]),
    ("image_url", &["image_url", "cache_control", "prompt_cache_breakpoint"]),
    // Compatible servers that serve other vendors' models return their thoughts in these.
    ("thinking", &["thinking", "signature", "cache_control"]),
    ("redacted_thinking", &["data", "cache_control"]),
];

const ANTHROPIC: &[Part] = &[
    ("text", &["text", "cache_control", "citations"]),
    ("image", &["source", "cache_control", "transformations"]),
    ("document", &["source", "cache_control", "citations", "context", "title"]),
    ("search_result", &["content", "source", "title", "cache_control", "citations"]),
    ("thinking", &["thinking", "signature", "cache_control"]),
    ("redacted_thinking", &["data", "cache_control"]),
    ("tool_use", &["id", "name", "input", "cache_control", "caller", "toolset_name"]),
    ("tool_result", &["tool_use_id", "content", "is_error", "cache_control", "toolset_name"]),
    // The model gets the described tool once more.
    ("tool_reference", &["tool_name", "cache_control"]),
    ("browser_state", &["tabs", "state_changes", "cache_control"]),
    ("fallback", &["from", "to", "trigger"]),
];

/// Where a part's bytes or text come from, by type.
const SOURCES: &[Part] = &[
    ("base64", &["media_type", "data"]),
    ("url", &["url"]),
    ("text", &["media_type", "data"]),
    ("content", &["content"]),
    ("file", &["file_id"]),
];

/// The keys of an image in `OpenAI`'s dialect.
pub(super) const IMAGE_URL: &[&str] = &["url", "detail"];

fn parts(dialect: Dialect) -> &'static [Part] {
    match dialect {
        Dialect::OpenAi => OPENAI,
        Dialect::Anthropic => ANTHROPIC,
    }
}

/// The keys of an object whose meaning depends on its `type`, which may come behind them.
#[derive(Debug, Default)]
pub(super) struct Keys<'a>(Vec<Cow<'a, str>>);

impl<'a> Keys<'a> {
    /// Notes a key other than `type`. One whose value is `null` says nothing and need not be noted.
    pub(super) fn note(&mut self, key: Cow<'a, str>) {
        self.0.push(key);
    }

    /// Refuses a part that is not known, or has a key that is not its own.
    pub(super) fn of_part(
        &self,
        dialect: Dialect,
        kind: Option<&str>,
        place: &str,
    ) -> Result<(), InvalidBody> {
        let Some(kind) = kind else {
            return Err(match self.variant(&["type"]) {
                Some((key, known)) => variant(key, known, place),
                None => InvalidBody::of(
                    place,
                    format!("a part of {place} has no type, so what it costs has no bound."),
                ),
            });
        };
        // An unknown type is refused where its bound is looked for.
        let Some((_, keys)) = parts(dialect).iter().find(|(name, _)| *name == kind) else {
            return Ok(());
        };
        self.only(keys, "part", kind, place)
    }

    /// Refuses a source with keys that are not its own.
    pub(super) fn of_source(&self, kind: Option<&str>, place: &str) -> Result<(), InvalidBody> {
        let Some((kind, keys)) = SOURCES.iter().find(|(name, _)| Some(*name) == kind) else {
            return Ok(());
        };
        self.only(keys, "source", kind, place)
    }

    /// Refuses the first key that is not one of these.
    pub(super) fn only(
        &self,
        keys: &[&'static str],
        what: &str,
        kind: &str,
        place: &str,
    ) -> Result<(), InvalidBody> {
        if let Some((key, known)) = self.variant(keys).or_else(|| self.variant(&["type"])) {
            return Err(variant(key, known, place));
        }
        let Some(key) = self.0.iter().find(|key| !keys.contains(&&***key)) else {
            return Ok(());
        };
        let (key, kind) = (shortened(key), shortened(kind));
        let message = format!(
            "a {what} of type {kind} has the key {key}, which is not one of its own: leave it out."
        );
        Err(InvalidBody::of(place, message))
    }

    fn variant(&self, known: &[&'static str]) -> Option<(&str, &'static str)> {
        self.0.iter().find_map(|key| {
            let folded = folded(key)?;
            known.iter().find(|known| **known == folded).map(|known| (&**key, *known))
        })
    }
}

/// Whether only the text of such a part is billed.
pub(super) fn is_text(dialect: Dialect, kind: &str, source: Option<&str>) -> bool {
    match kind {
        "image_url" | "image" => false,
        "document" => dialect == Dialect::Anthropic && matches!(source, Some("text" | "content")),
        _ => parts(dialect).iter().any(|(name, _)| *name == kind),
    }
}

/// Whether the type is an image in this dialect, from this source.
pub(super) fn is_image(dialect: Dialect, kind: &str, source: Option<&str>) -> bool {
    match dialect {
        Dialect::OpenAi => kind == "image_url",
        Dialect::Anthropic => kind == "image" && matches!(source, Some("base64" | "url")),
    }
}
