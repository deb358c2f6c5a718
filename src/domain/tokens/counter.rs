//! Counts the tokens of text, with a bound on the work that one body can cause.

use tiktoken::CoreBpe;

use super::{
    Tokenizer, count as estimate,
    normalized::{self, length},
    segments::may_cut,
};

/// The tokens of a text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// An upper bound of the tokens.
    pub bound: u64,
    /// The tokens that were counted exactly, which the bound includes.
    pub counted: u64,
    /// The bytes that were only bounded, not counted.
    pub bytes: u64,
}

/// Counts the texts of one body. The [module docs](super) say which text is counted, and which only bounded.
#[derive(Debug)]
pub struct Counter {
    tokenizer: Tokenizer,
    /// How many more bytes of expensive text may be counted.
    dear_bytes: usize,
    /// How many more times the script may change within a segment.
    changes: usize,
}

/// A segment of ASCII up to this length is cheap to count: it is a word, or a few words.
const WORD_BYTES_MAX: usize = 16;
/// A longer segment is not counted, because the work grows faster than the length.
const SEGMENT_BYTES_MAX: usize = 512;
/// The expensive bytes that are counted in one body, at up to 0.4 µs a byte (measured).
const DEAR_BYTES_MAX: usize = 1 << 20;
/// The changes of script that are counted in one body, at up to 20 µs each (measured).
const CHANGES_MAX: usize = 512;

impl Counter {
    /// A counter for one body.
    pub const fn new(tokenizer: Tokenizer) -> Self {
        Self { tokenizer, dear_bytes: DEAR_BYTES_MAX, changes: CHANGES_MAX }
    }

    /// The tokens of a text that no other text adjoins.
    pub fn count(&mut self, text: &str) -> Count {
        let Some(table) = self.tokenizer.table() else {
            return Count { bound: normalized::bytes(text), counted: 0, bytes: length(text.len()) };
        };
        if text.len() <= WORD_BYTES_MAX && text.is_ascii() {
            return Count::of(table, text);
        }
        self.count_segments(table, text)
    }

    /// Checks the text segment by segment. Adjoining segments that may be counted are counted together.
    fn count_segments(&mut self, table: &CoreBpe, text: &str) -> Count {
        let (mut sum, mut rest, mut at) = (Count::default(), text, 0);
        while at < rest.len() {
            let end = segment_end(rest, at);
            let (Some(segment), Some((plain, dear))) =
                (rest.get(at..end), rest.split_at_checked(at))
            else {
                break;
            };
            if self.may_count(segment) {
                at = end;
                continue;
            }
            sum.add(Count::of(table, plain));
            sum.add(Count::of_bytes(segment));
            rest = dear.get(segment.len()..).unwrap_or_default();
            at = 0;
        }
        sum.add(Count::of(table, rest));
        sum
    }

    /// Whether a segment is cheap to count, or the allowance still covers it.
    fn may_count(&mut self, segment: &str) -> bool {
        if segment.len() <= WORD_BYTES_MAX && segment.is_ascii() {
            return true;
        }
        if segment.len() > SEGMENT_BYTES_MAX {
            return false;
        }
        let Some(changes) = self.changes.checked_sub(script_changes(segment)) else { return false };
        let Some(dear_bytes) = self.dear_bytes.checked_sub(dear_bytes(segment)) else {
            return false;
        };
        (self.changes, self.dear_bytes) = (changes, dear_bytes);
        true
    }
}

impl Count {
    fn of(table: &CoreBpe, text: &str) -> Self {
        let counted = length(table.count(text));
        Self { bound: counted, counted, bytes: 0 }
    }

    fn of_bytes(text: &str) -> Self {
        let bytes = length(text.len());
        Self { bound: bytes, counted: 0, bytes }
    }

    fn add(&mut self, other: Self) {
        self.bound = self.bound.saturating_add(other.bound);
        self.counted = self.counted.saturating_add(other.counted);
        self.bytes = self.bytes.saturating_add(other.bytes);
    }

    /// An estimate of the tokens.
    pub const fn estimate(&self) -> u64 {
        self.counted.saturating_add(estimate(self.bytes))
    }
}

/// The bytes at both ends of a text whose count changes if another text adjoins it: up to the first place where the
/// text may be cut, and from the last such place.
pub(in crate::domain) fn edges(text: &str) -> (u64, u64) {
    let first = (1..text.len()).find(|at| may_cut(text, *at)).unwrap_or(text.len());
    let last = (first..text.len()).rev().find(|at| may_cut(text, *at)).unwrap_or(0);
    (length(first), length(text.len().saturating_sub(last)))
}

/// The end of the segment that begins at `from`, or of several short segments. It is the last place within
/// [`WORD_BYTES_MAX`] where the text may be cut, else the first such place after it, else the end of the text.
fn segment_end(text: &str, from: usize) -> usize {
    let near = from.saturating_add(WORD_BYTES_MAX);
    if near >= text.len() {
        return text.len();
    }
    let first = from.saturating_add(1);
    let within = (first..=near).rev().find(|at| may_cut(text, *at));
    within
        .or_else(|| (near.saturating_add(1)..text.len()).find(|at| may_cut(text, *at)))
        .unwrap_or(text.len())
}

/// The expensive bytes of a segment: all of it, or none if it is Chinese, Japanese or Korean, for which the library has
/// a fast path.
fn dear_bytes(segment: &str) -> usize {
    let cheap = |character: char| character.is_ascii() || script(character) == CJK;
    if !segment.is_ascii() && segment.chars().all(cheap) { 0 } else { segment.len() }
}

/// How often a character is of another script than the last character that was not ASCII.
fn script_changes(segment: &str) -> usize {
    if segment.is_ascii() {
        return 0;
    }
    let mut scripts =
        segment.chars().filter(|character| !character.is_ascii()).map(script).peekable();
    let mut changes = 0_usize;
    while let Some(one) = scripts.next() {
        if scripts.peek().is_some_and(|next| *next != one) {
            changes = changes.saturating_add(1);
        }
    }
    changes
}

const CJK: u32 = 3;

/// A rough number for each script: blocks of 256 characters; blocks that belong together have the same number.
fn script(character: char) -> u32 {
    match character {
        '\0'..='\u{2af}' | '\u{1e00}'..='\u{1eff}' => 0,
        '\u{370}'..='\u{3ff}' | '\u{1f00}'..='\u{1fff}' => 1,
        // Punctuation, symbols, emoji and their joiners.
        '\u{2000}'..='\u{2bff}' | '\u{fe00}'..='\u{fe0f}' | '\u{1f000}'..='\u{1faff}' => 2,
        '\u{2e80}'..='\u{9fff}' | '\u{ac00}'..='\u{d7ff}' | '\u{ff00}'..='\u{ffef}' => CJK,
        _ => u32::from(character).checked_shr(8).unwrap_or(0).saturating_add(4),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_change_between_blocks_that_do_not_go_together() {
        for (text, changes) in [
            ("only ASCII", 0),
            ("\u{e9}\u{161}\u{1e3f}", 0),
            ("\u{3b1}\u{1f00}", 0),
            ("\u{2192}\u{fe0f}\u{1f600}", 0),
            ("\u{4e2d}\u{3042}\u{ac00}\u{ff01}", 0),
            ("\u{43f}\u{440}", 0),
            // ASCII in between does not count as a change of script.
            ("\u{e9} and \u{e9}", 0),
            ("\u{e9}\u{3b1}", 1),
            ("\u{3b1} and \u{2192}", 1),
            ("\u{2192}\u{4e2d}", 1),
            ("\u{4e2d}\u{43f}", 1),
            ("\u{43f}\u{5d0}\u{43f}\u{5d0}", 3),
        ] {
            assert_eq!(script_changes(text), changes, "{text}");
        }
    }

    #[test]
    fn what_is_counted_in_a_way_of_its_own_costs_little() {
        for (text, bytes) in [
            ("abc", 3),
            ("\u{4e2d}\u{6587}", 0),
            ("\u{4e2d}a", 0),
            ("\u{43f}", 2),
            ("\u{4e2d}\u{43f}", 5),
        ] {
            assert_eq!(dear_bytes(text), bytes, "{text}");
        }
    }

    #[test]
    fn a_segment_is_counted_up_to_its_bound_and_not_beyond() {
        let mut counter = Counter::new(Tokenizer::O200k);
        assert!(counter.may_count(&"\u{e9}".repeat(SEGMENT_BYTES_MAX / 2)));
        assert!(!counter.may_count(&"\u{4e2d}".repeat(SEGMENT_BYTES_MAX / 3 + 1)));
    }
}
