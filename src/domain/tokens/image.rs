//! Upper bounds of the tokens of an image, by the model's family and the requested detail.
//!
//! `OpenAI` documents two rules, both for an image that has been scaled down:
//! - **Tiles**: a base for any image, plus an amount for each of up to 8 tiles (768 × 2,048 pixels are 2 × 4 tiles of
//!   512). An image of low detail is the base alone.
//! - **Patches** of 32 × 32 pixels, at most 1,536 of them, each a number of hundredths of a token. The requested detail
//!   makes no documented difference.
//!
//! Anthropic documents a size per family of models. Models without a documented rule get the highest bound.

use super::model::{bare, is_of};
use crate::domain::dialect::Dialect;

/// Models whose images are counted in tiles: the tokens of the base, and of each tile.
const TILES: &[(&str, u64, u64)] = &[
    // Longer names come first, because some of them begin with a shorter name.
    ("gpt-4o-mini", 2_833, 5_667),
    ("gpt-4o", 85, 170),
    ("chatgpt-4o", 85, 170),
    ("gpt-4.5", 85, 170),
    ("gpt-4-turbo", 85, 170),
    ("computer-use-preview", 65, 129),
    ("o1", 75, 150),
    ("o3", 75, 150),
];

/// Models whose images are counted in patches: the hundredths of a token of each patch.
const PATCHES: &[(&str, u64)] = &[
    ("gpt-4.1-mini", 162),
    ("gpt-4.1-nano", 246),
    ("gpt-5-mini", 162),
    ("gpt-5-nano", 246),
    ("o4-mini", 172),
];

/// Models whose images are counted in tiles, with or without a date after the name. Other models of these families have
/// no documented rule.
const TILES_DATED: &[(&str, u64, u64)] =
    &[("gpt-4.1", 85, 170), ("gpt-5", 70, 140), ("gpt-5-chat", 70, 140)];

const TILES_MAX: u64 = 8;
const PATCHES_MAX: u64 = 1_536;

/// An image in a chat completion if no rule is documented: 8 tiles of the model with the largest ones.
const CHAT_MAX: u64 = 48_169;

/// An image in a message, at the highest documented resolution.
const MESSAGES_MAX: u64 = 4_784;

/// An image in a message for an older model, with a lower resolution.
const MESSAGES_SMALL_MAX: u64 = 1_600;

/// Anthropic's models with the lower resolution.
const SMALL: &[&str] = &[
    "claude-3",
    "claude-opus-4-0",
    "claude-opus-4-1",
    "claude-opus-4-5",
    "claude-opus-4-6",
    "claude-opus-4-20250514",
    "claude-sonnet-4-0",
    "claude-sonnet-4-5",
    "claude-sonnet-4-6",
    "claude-sonnet-4-20250514",
    "claude-haiku-4-5",
];

/// The most tokens of one image. `detail` is that of a chat completion; other dialects have none.
pub fn image_bound(dialect: Dialect, model: &str, detail: Option<&str>) -> u64 {
    let name = bare(model);
    match dialect {
        Dialect::OpenAi => in_chat(name, detail).unwrap_or(CHAT_MAX),
        Dialect::Anthropic if SMALL.iter().any(|family| is_of(name, family)) => MESSAGES_SMALL_MAX,
        Dialect::Anthropic => MESSAGES_MAX,
    }
}

fn in_chat(name: &str, detail: Option<&str>) -> Option<u64> {
    if let Some((_, hundredths)) = PATCHES.iter().find(|(family, _)| is_of(name, family)) {
        return Some(PATCHES_MAX.saturating_mul(*hundredths).div_ceil(100));
    }
    let by_family = TILES.iter().find(|(family, ..)| is_of(name, family));
    let (_, base, tile) =
        by_family.or_else(|| TILES_DATED.iter().find(|(family, ..)| is_dated(name, family)))?;
    let tiles = match detail {
        Some("low") => 0,
        Some("high" | "auto") | None => TILES_MAX,
        // An unknown detail may be a finer one.
        Some(_) => return None,
    };
    Some(tile.saturating_mul(tiles).saturating_add(*base))
}

/// `gpt-5`, `gpt-5-latest` or `gpt-5-2025-08-07`, but not `gpt-5-pro`.
fn is_dated(name: &str, family: &str) -> bool {
    name.strip_prefix(family).is_some_and(|rest| {
        rest.is_empty()
            || rest == "-latest"
            || rest.starts_with("-20")
            // A fine-tuned model: its owner's name follows.
            || rest.starts_with(':')
    })
}
