//! The bytes of a text, before or after normalization.

/// The bytes of `text`: for each character, its own or those of its NFC or NFKC form, whichever is longest. Composition
/// of several characters only makes the text shorter.
pub(super) fn bytes(text: &str) -> u64 {
    if text.is_ascii() {
        return length(text.len());
    }
    let bytes = text.chars().fold(0_usize, |sum, character| {
        sum.saturating_add(longest(character).unwrap_or(0).max(character.len_utf8()))
    });
    length(bytes)
}

/// Lengths in memory fit 64 bits.
pub(super) fn length(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

/// The most bytes of a normalized character of this range; `None` if it never grows.
fn longest(character: char) -> Option<usize> {
    // The fast path: most text.
    if matches!(character, '\0'..'\u{a8}' | '\u{3400}'..'\u{fa6c}') {
        return None;
    }
    let at = GROWING.partition_point(|(_, last, _)| *last < character);
    GROWING.get(at).filter(|(first, ..)| *first <= character).map(|(.., bytes)| *bytes)
}

/// Ranges in which characters grow, and the most bytes that they grow to. A test compares every character with the
/// Unicode tables.
const GROWING: &[(char, char, usize)] = &[
    ('\u{a8}', '\u{be}', 5),
    ('\u{13f}', '\u{149}', 3),
    ('\u{1c4}', '\u{1c6}', 3),
    ('\u{2d8}', '\u{2dd}', 3),
    ('\u{344}', '\u{344}', 4),
    ('\u{37a}', '\u{385}', 5),
    ('\u{587}', '\u{587}', 4),
    ('\u{675}', '\u{678}', 4),
    ('\u{958}', '\u{95f}', 6),
    ('\u{9dc}', '\u{9df}', 6),
    ('\u{a33}', '\u{a36}', 6),
    ('\u{a59}', '\u{a5e}', 6),
    ('\u{b5c}', '\u{b5d}', 6),
    ('\u{e33}', '\u{e33}', 6),
    ('\u{eb3}', '\u{eb3}', 6),
    ('\u{edc}', '\u{edd}', 6),
    ('\u{f43}', '\u{f81}', 9),
    ('\u{f93}', '\u{fb9}', 6),
    ('\u{1fc1}', '\u{1fee}', 5),
    ('\u{2033}', '\u{2037}', 9),
    ('\u{2057}', '\u{2057}', 12),
    ('\u{2150}', '\u{2177}', 6),
    ('\u{2189}', '\u{2189}', 5),
    ('\u{222c}', '\u{2230}', 9),
    ('\u{247d}', '\u{2487}', 4),
    ('\u{2a0c}', '\u{2a0c}', 12),
    ('\u{2adc}', '\u{2adc}', 5),
    ('\u{309b}', '\u{309f}', 6),
    ('\u{30ff}', '\u{30ff}', 6),
    ('\u{3200}', '\u{3243}', 8),
    ('\u{327c}', '\u{327d}', 6),
    ('\u{32c0}', '\u{32cb}', 5),
    ('\u{32ff}', '\u{3389}', 18),
    ('\u{33a7}', '\u{33af}', 8),
    ('\u{33c2}', '\u{33c6}', 6),
    ('\u{33d8}', '\u{33fe}', 5),
    ('\u{fa6c}', '\u{fa6c}', 4),
    ('\u{facf}', '\u{fad7}', 4),
    ('\u{fb13}', '\u{fb4f}', 6),
    ('\u{fbdd}', '\u{fd3d}', 6),
    ('\u{fd50}', '\u{fdc7}', 6),
    ('\u{fdf0}', '\u{fdfc}', 33),
    ('\u{fe71}', '\u{fe7f}', 4),
    ('\u{fef5}', '\u{fefc}', 4),
    ('\u{1b123}', '\u{1b126}', 6),
    ('\u{1d15e}', '\u{1d164}', 12),
    ('\u{1d1bb}', '\u{1d1c0}', 12),
    ('\u{1f12a}', '\u{1f12a}', 7),
    ('\u{1f200}', '\u{1f201}', 6),
    ('\u{1f240}', '\u{1f248}', 9),
];

#[cfg(test)]
mod tests {
    use unicode_normalization::UnicodeNormalization;

    use super::*;

    #[test]
    fn no_character_grows_beyond_what_it_counts_for() {
        for character in '\0'..=char::MAX {
            let counted = usize::try_from(bytes(character.encode_utf8(&mut [0; 4]))).unwrap();
            let composed: usize = [character].into_iter().nfc().map(char::len_utf8).sum();
            let compatible: usize = [character].into_iter().nfkc().map(char::len_utf8).sum();
            assert!(counted >= composed.max(compatible), "{character:?}");
            assert!(counted >= character.len_utf8(), "{character:?}");
        }
        assert!(GROWING.is_sorted_by(|before, after| before.1 < after.0));
    }

    #[test]
    fn ordinary_text_counts_by_its_bytes() {
        for text in
            ["", "Plain.\n", "Grüße", "“Yes — no…”", "Привет", "你好，世界", "안녕", "नमस्ते", "😀👩‍💻"]
        {
            assert_eq!(bytes(text), length(text.len()), "{text}");
        }
        assert_eq!(bytes("ﷺ"), 33);
    }
}
