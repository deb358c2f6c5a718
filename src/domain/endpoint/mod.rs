//! The endpoints that are model calls: one file for each.
//!
//! A file holds one [`Spec`]: everything that differs between endpoints, as data. The rest of the crate uses the
//! [`Spec`] and names no endpoint. The exception is the mock provider, which also has a file for each endpoint. A
//! `Spec` has no defaults, so a new endpoint must fill in every part. `docs/adding.md` has the steps.
//!
//! ```
//! # use tollgate::domain::{dialect::Dialect, endpoint::Endpoint};
//! let endpoint = Endpoint::of_path("/openai/v1/chat/completions").unwrap();
//! assert_eq!(endpoint, Endpoint::ChatCompletions);
//! assert_eq!(endpoint.spec().path, "/v1/chat/completions");
//! assert_eq!(endpoint.dialect(), Dialect::OpenAi);
//! ```

mod chat_completions;
mod completions;
mod embeddings;
mod messages;
#[cfg(test)]
mod sdk_tests;
mod spec;
#[cfg(test)]
mod tests;

use super::dialect::Dialect;

pub use spec::{CacheWrites, Candidates, Field, Input, Output, Prompt, Spec, Tools};

/// One list makes the enum, [`Endpoint::ALL`] and [`Endpoint::spec`], so none of them can miss an endpoint.
macro_rules! endpoints {
    ($($(#[$doc:meta])* $name:ident: $file:ident,)*) => {
        /// An endpoint that is a model call: it has a body, a model, and a price.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Endpoint {
            $($(#[$doc])* $name,)*
        }

        impl Endpoint {
            /// Every endpoint.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The endpoint's description.
            pub const fn spec(self) -> &'static Spec {
                match self {
                    $(Self::$name => &$file::SPEC,)*
                }
            }
        }
    };
}

endpoints! {
    /// `POST /v1/chat/completions`
    ChatCompletions: chat_completions,
    /// `POST /v1/completions`
    Completions: completions,
    /// `POST /v1/embeddings`
    Embeddings: embeddings,
    /// `POST /v1/messages`
    Messages: messages,
}

impl Endpoint {
    /// The endpoint that a path names, whatever prefix the service mounts it under
    /// (`/v1/chat/completions`, `/openai/v1/chat/completions`, …).
    pub fn of_path(path: &str) -> Option<Self> {
        let path = path.strip_suffix('/').unwrap_or(path);
        let named = Self::ALL
            .iter()
            .copied()
            .filter(|endpoint| path.ends_with(endpoint.spec().path_below_version()));
        // The end of one path may be another endpoint's whole path.
        named.max_by_key(|endpoint| endpoint.spec().path.len())
    }

    /// The vendor whose shapes this endpoint speaks.
    pub const fn dialect(self) -> Dialect {
        self.spec().dialect
    }

    /// The word used in logs, metrics and SQL.
    pub const fn as_str(self) -> &'static str {
        self.spec().word
    }
}
