//! The rules for counting a body. They depend on its endpoint and its model, so a first pass looks for the model,
//! wherever it stands in the body.

use std::borrow::Cow;

use crate::domain::{
    endpoint::{Endpoint, Input, Spec},
    json::{JsonError, Kind, Reader},
    tokens::{self, Tokenizer},
};

/// The rules for one body.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules<'m> {
    pub(super) endpoint: Endpoint,
    pub(super) spec: &'static Spec,
    pub(super) tokenizer: Tokenizer,
    model: &'m str,
}

impl<'m> Rules<'m> {
    pub(super) fn new(endpoint: Endpoint, model: &'m str) -> Self {
        let spec = endpoint.spec();
        let tokenizer = if spec.input.tokenizer_of_model {
            Tokenizer::of_model(model)
        } else {
            Tokenizer::Unknown
        };
        Self { endpoint, spec, tokenizer, model }
    }

    /// Whether messages are formatted in `OpenAI`'s chat format, whose tokens are documented.
    pub(super) const fn is_chat(&self) -> bool {
        self.tokenizer.is_known() && self.spec.input.chat_format
    }

    /// The most tokens that the provider adds to a prompt.
    pub(super) const fn added_tokens_max(&self) -> u64 {
        let Input { added_tokens_max, added_tokens_max_unknown, .. } = self.spec.input;
        if self.tokenizer.is_known() { added_tokens_max } else { added_tokens_max_unknown }
    }

    /// The most tokens that the provider adds for tools or a structured answer.
    pub(super) const fn tools_tokens_max(&self) -> u64 {
        if self.is_chat() { tokens::CHAT_TOOLS_TOKENS_MAX } else { tokens::TOOLS_TOKENS_MAX }
    }

    /// The most tokens of an image.
    pub(super) fn image_tokens_max(&self, detail: Option<&str>) -> u64 {
        tokens::image_bound(self.spec.dialect, self.model, detail)
    }
}

/// The model that a body names. Empty if there is none, or if it cannot be read: the full read of the body then reports
/// the error.
pub(super) fn model(reader: Reader<'_>) -> Cow<'_, str> {
    let mut reader = reader.glancing();
    let mut found = Found::Nothing;
    let search = reader.object(|reader, key| {
        if key != "model" {
            return reader.skip().map_err(Found::from);
        }
        if reader.kind()? == Kind::String {
            found = Found::Model(reader.string()?.decoded());
        }
        // The search ends here: the rest of the body does not matter.
        Err(Found::Nothing)
    });
    match (search, found) {
        (Err(Found::Nothing), Found::Model(model)) => model,
        _ => Cow::Borrowed(""),
    }
}

/// How the search ends.
enum Found<'a> {
    Nothing,
    Model(Cow<'a, str>),
}

impl From<JsonError> for Found<'_> {
    fn from(_: JsonError) -> Self {
        Self::Nothing
    }
}
