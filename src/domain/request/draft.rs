//! One pass over the body.

use super::{CallFacts, InvalidBody, field, prompt::Prompt, refused};
use crate::domain::{
    dialect::Endpoint,
    json::{Kind, Reader},
    tokens,
};

const ANSWERS_MAX: u64 = 128;
/// What [`Edits`](super::Edits) can send upstream.
const OUTPUT_CAP_MAX: u64 = 0xFFFF_FFFF;

/// Reads the facts of a call from its body: once, without keeping more than the model's name.
///
/// ```
/// # use tollgate::domain::{dialect::Endpoint, request};
/// let body = br#"{"model":"small","max_tokens":50,"n":2,"messages":[{"role":"user","content":"Hi!"}]}"#;
/// let facts = request::read(Endpoint::ChatCompletions, body)?;
/// assert_eq!((facts.model.as_str(), facts.output_cap, facts.answers), ("small", Some(50), 2));
///
/// let refused = request::read(Endpoint::ChatCompletions, br#"{"model":"small","model":"large","messages":[]}"#);
/// assert_eq!(refused.unwrap_err().field.as_deref(), Some("model"));
/// # Ok::<(), request::InvalidBody>(())
/// ```
pub fn read(endpoint: Endpoint, body: &[u8]) -> Result<CallFacts, InvalidBody> {
    let mut reader = Reader::new(body)?;
    if reader.kind()? != Kind::Object {
        return Err(InvalidBody {
            field: None,
            message: "The request body must be a JSON object.".into(),
        });
    }
    let mut draft = Draft::new(endpoint);
    reader.object(|reader, key| draft.read_field(reader, &key))?;
    reader.end()?;
    draft.finish()
}

struct Draft {
    endpoint: Endpoint,
    model: Option<String>,
    stream: bool,
    wants_usage: bool,
    output_cap: Option<u64>,
    answers: u64,
    asks: bool,
    /// What is told to the model.
    prompt: Prompt,
    /// Everything else: not told to the model as far as we know, so it counts for the bound alone.
    settings: Prompt,
}

impl Draft {
    fn new(endpoint: Endpoint) -> Self {
        let (prompt, settings) = (Prompt::default(), Prompt::default());
        Self {
            endpoint,
            model: None,
            stream: false,
            wants_usage: false,
            output_cap: None,
            answers: 1,
            asks: false,
            prompt,
            settings,
        }
    }

    fn read_field(&mut self, reader: &mut Reader<'_>, key: &str) -> Result<(), InvalidBody> {
        match key {
            "model" => self.model = Some(field::model(reader)?),
            "stream" => self.stream = field::flag(reader, key)?,
            "stream_options" => self.wants_usage = field::include_usage(reader)?,
            "max_tokens" | "max_completion_tokens" | "max_output_tokens" => {
                let cap = field::positive(reader, key, OUTPUT_CAP_MAX)?;
                if cap.is_some() && !self.is_cap(key) {
                    return Err(InvalidBody::of(
                        key,
                        format!("{key} caps nothing here: use max_tokens."),
                    ));
                }
                self.output_cap = self.output_cap.max(cap);
            }
            "n" | "best_of" => {
                let answers = field::positive(reader, key, ANSWERS_MAX)?.unwrap_or(1);
                self.answers = self.answers.saturating_mul(answers);
            }
            "messages" if self.endpoint != Endpoint::Embeddings => {
                self.asks = true;
                self.prompt.messages(reader, self.endpoint)?;
            }
            "input" if self.endpoint == Endpoint::Embeddings => {
                self.asks = true;
                self.prompt.input(reader)?;
            }
            "system" => self.prompt.content(reader, self.endpoint)?,
            "tools" => self.prompt.tools(reader, self.endpoint)?,
            "functions" | "response_format" | "output_format" | "output_config" => {
                self.prompt.instructions();
                self.prompt.field(reader, key)?;
            }
            _ if refused::is_judged(key) => refused::check(reader, key)?,
            _ => self.settings.field(reader, key)?,
        }
        Ok(())
    }

    /// Whether a provider goes by this cap. One that it overlooks would hold next to nothing for an
    /// answer as long as the model can write.
    fn is_cap(&self, key: &str) -> bool {
        match self.endpoint {
            Endpoint::ChatCompletions => key != "max_output_tokens",
            Endpoint::Messages => key == "max_tokens",
            // They have no output: nothing depends on it.
            Endpoint::Embeddings => true,
        }
    }

    fn finish(self) -> Result<CallFacts, InvalidBody> {
        let model = self.model.ok_or_else(|| InvalidBody::of("model", "model is missing."))?;
        if !self.asks {
            let name = if self.endpoint == Endpoint::Embeddings { "input" } else { "messages" };
            return Err(InvalidBody::of(name, format!("{name} is missing.")));
        }
        let (prompt, settings) = (&self.prompt, &self.settings);
        Ok(CallFacts {
            endpoint: self.endpoint,
            model,
            stream: self.stream,
            wants_usage: self.wants_usage,
            output_cap: self.output_cap,
            answers: self.answers,
            input_bound: prompt
                .bound
                .saturating_add(settings.bound)
                .saturating_add(tokens::CALL_TOKENS_MAX),
            input_estimate: prompt.estimate.saturating_add(tokens::count(prompt.text_bytes)),
            may_write_cache: match self.endpoint {
                Endpoint::ChatCompletions => true,
                Endpoint::Messages => prompt.caches || settings.caches,
                Endpoint::Embeddings => false,
            },
        })
    }
}
