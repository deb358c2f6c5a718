//! Which models think before they write, and may not show it.

/// How the names of models begin that think unseen.
const BEGINNINGS: [&str; 11] = [
    "o1",
    "o3",
    "o4",
    "gpt-5",
    "gpt-oss",
    "grok-3-mini",
    "grok-4",
    "gemini-2.5",
    "gemini-3",
    "magistral",
    "qwq",
];
/// What the name of any model that thinks may have in it.
const PARTS: [&str; 4] = ["reason", "thinking", "deepseek-r", "codex"];

/// Whether a model of this name may have used more output tokens than its answer shows.
///
/// Asked only where an answer was given up before the provider said what it used. A name that is not known here counts
/// as that of a model that shows all it writes.
pub fn may_reason(model: &str) -> bool {
    let name = model.rsplit('/').next().unwrap_or(model).to_ascii_lowercase();
    BEGINNINGS.iter().any(|begins| name.starts_with(begins))
        || PARTS.iter().any(|part| name.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_that_think_unseen_are_known_by_name_whoever_sells_them() {
        for model in
            ["o3", "o1-pro", "openai/O4-mini", "gpt-5-mini", "deepseek-reasoner", "a/b/qwq-32b"]
        {
            assert!(may_reason(model), "{model}");
        }
        for model in ["gpt-4o", "claude-sonnet-4", "small", "mistral-large", ""] {
            assert!(!may_reason(model), "{model}");
        }
    }
}
