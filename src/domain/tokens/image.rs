//! What an image counts for, at the most: by its model's family and the detail that is asked for.
//!
//! Two of `OpenAI`'s rules are documented, both for an image that has been scaled down:
//! - **Tiles**: so much for any image, and so much for each of up to 8 tiles (768 × 2,048 pixels are
//!   2 × 4 tiles of 512); an image of low detail is the first part alone.
//! - **Patches** of 32 × 32 pixels, at most 1,536 of them, each so many hundredths of a token. Which
//!   detail is asked for makes no documented difference.
//!
//! Anthropic documents a size per family of models. Who documents nothing gets the dearest.

use super::model::{bare, is_of};
use crate::domain::dialect::Dialect;

/// Models whose images are tiles: what any image counts for, and each tile.
const TILES: &[(&str, u64, u64)] = &[
    // The longer names first: they begin with the shorter ones.
    ("gpt-4o-mini", 2_833, 5_667),
    ("gpt-4o", 85, 170),
    ("chatgpt-4o", 85, 170),
    ("gpt-4.5", 85, 170),
    ("gpt-4-turbo", 85, 170),
    ("computer-use-preview", 65, 129),
    ("o1", 75, 150),
    ("o3", 75, 150),
];

/// Models whose images are patches: hundredths of a token for each.
const PATCHES: &[(&str, u64)] = &[
    ("gpt-4.1-mini", 162),
    ("gpt-4.1-nano", 246),
    ("gpt-5-mini", 162),
    ("gpt-5-nano", 246),
    ("o4-mini", 172),
];

/// Names that are tiles by themselves or with a date behind them: others of their kin have no rule.
const TILES_DATED: &[(&str, u64, u64)] =
    &[("gpt-4.1", 85, 170), ("gpt-5", 70, 140), ("gpt-5-chat", 70, 140)];

const TILES_MAX: u64 = 8;
const PATCHES_MAX: u64 = 1_536;

/// An image in a chat completion, where no rule is documented: the dearest one's 8 tiles.
const CHAT_MAX: u64 = 48_169;

/// An image in a message, at the highest documented resolution.
const MESSAGES_MAX: u64 = 4_784;

/// An image in a message for a model of before that resolution.
const MESSAGES_SMALL_MAX: u64 = 1_600;

/// Anthropic's models of before it.
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

/// The tokens of one image, at the most. `detail` as in a chat completion; other dialects have none.
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
        // One that came later may be finer.
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
            // A tuned model: its owner's name is behind it.
            || rest.starts_with(':')
    })
}
