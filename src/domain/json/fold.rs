//! Keys that some parsers take for another key. Go's `encoding/json` compares keys without regard to case, and also
//! takes U+017F for `s` and U+212A for `k`. If a body has both spellings, the last one wins there.

/// The key that a parser of this kind takes `key` for; `None` if that is `key` itself. All keys of the vendors are
/// lower case.
///
/// ```
/// # use tollgate::domain::json::folded;
/// assert_eq!(folded("Max_Tokens").as_deref(), Some("max_tokens"));
/// assert_eq!(folded("me\u{17f}sages").as_deref(), Some("messages"));
/// assert_eq!(folded("messages"), None);
/// ```
pub fn folded(key: &str) -> Option<String> {
    let folds = |character: char| {
        character.is_ascii_uppercase() || matches!(character, '\u{17f}' | '\u{212a}')
    };
    key.contains(folds).then(|| {
        let fold = |character: char| match character {
            '\u{17f}' => 's',
            '\u{212a}' => 'k',
            other => other.to_ascii_lowercase(),
        };
        key.chars().map(fold).collect()
    })
}
