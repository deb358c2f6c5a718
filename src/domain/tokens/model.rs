//! Which tokenizer a model uses.

use std::sync::OnceLock;

use tiktoken::CoreBpe;

/// How the models of a family count text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Tokenizer {
    /// `OpenAI`'s `o200k_base`: GPT-4o, 4.1, 4.5 and 5, the o models, gpt-oss.
    O200k,
    /// `OpenAI`'s `cl100k_base`: GPT-3.5 and 4, the embedding models.
    Cl100k,
    /// Not public, or not known here: text is bounded by its bytes.
    Unknown,
}

/// The characters that may follow the name of a family in the names of its models: `-mini`, `:120b`, `@2024`.
const SEPARATORS: [char; 3] = ['-', ':', '@'];

const O200K: &[&str] =
    &["gpt-4o", "chatgpt-4o", "gpt-4.1", "gpt-4.5", "gpt-5", "gpt-oss", "o1", "o3", "o4-mini"];

/// All minor versions of the fifth generation use the same table.
const O200K_MINOR: &str = "gpt-5.";

const CL100K: &[&str] = &[
    "gpt-4",
    "gpt-3.5-turbo",
    "gpt-35-turbo",
    "text-embedding-ada-002",
    "text-embedding-3-small",
    "text-embedding-3-large",
];

impl Tokenizer {
    /// The tokenizer of a model, by the name that callers use. The name may have sellers (`azure/`, `us.openai.`) or
    /// `ft:` before it. An unknown name, such as that of a newer generation, is [`Unknown`](Self::Unknown).
    pub fn of_model(model: &str) -> Self {
        let name = bare(model);
        if O200K.iter().any(|family| is_of(name, family)) || name.starts_with(O200K_MINOR) {
            Self::O200k
        } else if CL100K.iter().any(|family| is_of(name, family)) {
            Self::Cl100k
        } else {
            Self::Unknown
        }
    }

    /// Whether texts are counted by a table.
    pub const fn is_known(self) -> bool {
        !matches!(self, Self::Unknown)
    }

    /// The table, which the first use loads.
    pub(super) fn table(self) -> Option<&'static CoreBpe> {
        let (once, name) = self.place()?;
        *once.get_or_init(|| tiktoken::get_encoding(name))
    }

    /// Whether counting does not wait: the table has been loaded, or there is none.
    pub fn is_ready(self) -> bool {
        self.place().is_none_or(|(once, _)| once.get().is_some())
    }

    fn place(self) -> Option<(&'static OnceLock<Option<&'static CoreBpe>>, &'static str)> {
        static O200K: OnceLock<Option<&'static CoreBpe>> = OnceLock::new();
        static CL100K: OnceLock<Option<&'static CoreBpe>> = OnceLock::new();
        match self {
            Self::O200k => Some((&O200K, "o200k_base")),
            Self::Cl100k => Some((&CL100K, "cl100k_base")),
            Self::Unknown => None,
        }
    }
}

/// A model's name without the names of its sellers.
pub(super) fn bare(model: &str) -> &str {
    let name = model.rsplit('/').next().unwrap_or(model);
    let name = name.strip_prefix("ft:").unwrap_or(name);
    name.rsplit_once("openai.").map_or(name, |(_, name)| name)
}

/// Whether a bare name is `family`, alone or followed by a separator.
pub(super) fn is_of(name: &str, family: &str) -> bool {
    name.strip_prefix(family).is_some_and(|rest| rest.is_empty() || rest.starts_with(SEPARATORS))
}
