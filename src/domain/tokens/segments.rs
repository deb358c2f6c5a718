//! Where a text may be cut without changing its count.
//!
//! Before one of `OpenAI`'s tokenizers merges bytes, it splits a text into pieces by a pattern, from left to right. No
//! token spans two pieces. At the places found here a piece always ends, and the text after such a place never changes
//! how the text before it is split:
//! - between anything but white space and a space or a tab: no alternative of the patterns goes on past
//!   it, and the only one that looks ahead is for white space;
//! - between an ASCII letter or digit and an ASCII character that is neither, nor an apostrophe (as in
//!   "don't");
//! - between a newline and a visible character, but not a slash (which may end a piece with it);
//! - between a letter of Chinese, Japanese or Korean and their punctuation, or ASCII of that kind.
//!
//! So the count of a text is the sum of the counts of its segments.

/// Whether the text may be cut before byte `at`. `false` inside a character and at either end.
pub(super) fn may_cut(text: &str, at: usize) -> bool {
    let bytes = text.as_bytes();
    let (Some(before), Some(&next)) =
        (at.checked_sub(1).and_then(|before| bytes.get(before)).copied(), bytes.get(at))
    else {
        return false;
    };
    if before.is_ascii() && next.is_ascii() {
        return match next {
            b' ' | b'\t' => before > b' ' && before != 0x7F,
            _ if before == b'\n' => next > b' ' && next != b'/' && next != 0x7F,
            _ => before.is_ascii_alphanumeric() && !next.is_ascii_alphanumeric() && next != b'\'',
        };
    }
    let Some((left, right)) = text.split_at_checked(at) else { return false };
    let (Some(before), Some(next)) = (left.chars().next_back(), right.chars().next()) else {
        return false;
    };
    match next {
        ' ' | '\t' => !before.is_whitespace(),
        _ if before == '\n' => !next.is_whitespace(),
        _ => is_cjk_letter(before) && ends_cjk(next),
    }
}

/// Whether a character is a letter without combining marks: a syllable or an ideograph.
const fn is_cjk_letter(character: char) -> bool {
    matches!(
        character,
        '\u{3041}'..='\u{3096}'
            | '\u{30A1}'..='\u{30FA}'
            | '\u{3400}'..='\u{4DBF}'
            | '\u{4E00}'..='\u{9FFC}'
            | '\u{AC00}'..='\u{D7A3}'
    )
}

/// Whether a character is neither letter, digit, mark nor apostrophe.
const fn ends_cjk(character: char) -> bool {
    let is_ascii_mark =
        character.is_ascii() && !character.is_ascii_alphanumeric() && character != '\'';
    is_ascii_mark
        || matches!(
            character,
            // 、 and 。, brackets, and ！（），：；？
            '\u{3001}' | '\u{3002}' | '\u{3008}'
                ..='\u{3011}'
                    | '\u{FF01}'
                    | '\u{FF08}'
                    | '\u{FF09}'
                    | '\u{FF0C}'
                    | '\u{FF1A}'
                    | '\u{FF1B}'
                    | '\u{FF1F}'
        )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_text_may_be_cut_where_a_piece_always_ends() {
        for (text, at, may) in [
            ("a b", 1, true),
            ("a\tb", 1, true),
            ("  b", 1, false),
            ("a/", 1, true),
            ("a'", 1, false),
            ("\na", 1, true),
            ("\n/", 1, false),
            ("\n\u{e9}", 1, true),
            ("\n\u{2003}", 1, false),
            ("\u{e9} ", 2, true),
            ("\u{2003} ", 3, false),
            ("\u{e9}\u{e9}", 2, false),
            ("\u{4e2d},", 3, true),
            ("\u{4e2d}'", 3, false),
            ("\u{4e2d}a", 3, false),
            ("\u{4e2d}\u{3002}", 3, true),
            ("\u{e9}", 1, false),
            ("ab", 0, false),
            ("ab", 2, false),
        ] {
            assert_eq!(may_cut(text, at), may, "{text:?} before byte {at}");
        }
    }

    /// Characters of all kinds, mostly those that the rules name.
    fn characters() -> impl Strategy<Value = char> {
        let named = "aZé9 \t\n\r\u{b}\u{a0}\u{3000}\u{2028}\u{85}'’/.,;!?-_\"\u{301}\u{902}\u{fe0f}\u{200d}\
            中界のンー、。「」，！？：；（）가ア ِ०ⅷ²ǅʰªß😀\u{0}\u{7f}stredmv";
        prop_oneof![
            6 => prop::sample::select(named.chars().collect::<Vec<_>>()),
            1 => any::<char>(),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1_000))]

        #[test]
        fn a_text_that_is_cut_splits_into_the_same_pieces(text in prop::collection::vec(characters(), 0..40)) {
            let text: String = text.into_iter().collect();
            for tokenizer in [bpe_openai::cl100k_base(), bpe_openai::o200k_base()] {
                let whole: Vec<&str> = tokenizer.split(&text).collect();
                for at in 0..=text.len() {
                    if may_cut(&text, at) {
                        let (left, right) = text.split_at(at);
                        let cut: Vec<&str> = tokenizer.split(left).chain(tokenizer.split(right)).collect();
                        prop_assert_eq!(&whole, &cut, "{:?} cut at {}", text, at);
                    }
                }
            }
        }
    }

    #[test]
    fn words_lines_and_clauses_are_segments() {
        let segments = |text: &'static str| {
            let cuts = (0..=text.len()).filter(|at| may_cut(text, *at));
            let ends: Vec<usize> = cuts.chain([text.len()]).collect();
            let starts = [0].into_iter().chain(ends.clone());
            starts.zip(ends).map(|(from, to)| &text[from..to]).collect::<Vec<_>>()
        };
        assert_eq!(segments("Don't go.\nfn main()"), ["Don't", " go", ".\n", "fn", " main", "()"]);
        assert_eq!(segments("你好，世界。"), ["你好", "，世界", "。"]);
        assert_eq!(segments("привет мир"), ["привет", " мир"]);
    }
}
