//! Reads the facts of a call in one pass over its body.

use super::{
    CallFacts, InvalidBody, field,
    prompt::{self, Sum, Texts},
    refused,
    rules::{self, Rules},
};
use crate::domain::{
    endpoint::{CacheWrites, Candidates, Endpoint, Prompt},
    json::{Kind, Reader},
    tokens,
};

const ANSWERS_MAX: u64 = 128;
/// The largest cap that [`Edits`](super::Edits) can send upstream.
const OUTPUT_CAP_MAX: u64 = 0xFFFF_FFFF;

/// Reads the facts of a call from its body: once, without keeping more than the model's name.
///
/// ```
/// # use tollgate::domain::{endpoint::Endpoint, request};
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
    let named = rules::model(reader.clone());
    let mut draft = Draft::new(Rules::new(endpoint, &named));
    reader.object(|reader, key| draft.read_field(reader, &key))?;
    reader.end()?;
    draft.finish()
}

/// Whether [`read`] would have to wait, because the token table of its model has not been loaded yet.
pub fn waits(endpoint: Endpoint, body: &[u8]) -> bool {
    if tokens::are_ready() {
        return false;
    }
    let Ok(reader) = Reader::new(body) else { return false };
    let named = rules::model(reader);
    !Rules::new(endpoint, &named).tokenizer.is_ready()
}

struct Draft<'m> {
    rules: Rules<'m>,
    model: Option<String>,
    stream: bool,
    wants_usage: bool,
    output_cap: Option<u64>,
    n: u64,
    best_of: u64,
    /// The prompts, each with its own answers; `None` until the prompt's field has been read.
    prompts: Option<Texts>,
    /// The text that the model gets with each prompt.
    suffix: Sum,
    echo: bool,
    /// Everything that the model gets to read.
    prompt: prompt::Prompt<'m>,
    /// All other fields. As far as we know the model does not get them, so they count for the bound, not for the
    /// estimate.
    settings: Sum,
}

impl<'m> Draft<'m> {
    fn new(rules: Rules<'m>) -> Self {
        Self {
            rules,
            model: None,
            stream: false,
            wants_usage: false,
            output_cap: None,
            n: 1,
            best_of: 1,
            prompts: None,
            suffix: Sum::default(),
            echo: false,
            prompt: prompt::Prompt::new(rules),
            settings: Sum::default(),
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
            "n" => self.n = field::positive(reader, key, ANSWERS_MAX)?.unwrap_or(1),
            "best_of" => self.best_of = field::positive(reader, key, ANSWERS_MAX)?.unwrap_or(1),
            key if key == self.rules.spec.prompt.field() => {
                self.prompts = Some(match self.rules.spec.prompt {
                    Prompt::Messages => self.prompt.messages(reader).map(|()| Texts::ONE)?,
                    Prompt::Inputs => self.prompt.texts(reader, key).map(|_| Texts::ONE)?,
                    Prompt::Prompts => self.prompt.prompts(reader, key)?,
                });
            }
            "suffix" if self.rules.spec.prompt == Prompt::Prompts => {
                self.suffix = self.prompt.aside(|prompt| prompt.suffix(reader, key))?;
            }
            "echo" if self.rules.spec.prompt == Prompt::Prompts => {
                self.echo = field::flag(reader, key)?;
            }
            "system" => self.prompt.content(reader)?,
            "tools" => self.prompt.tools(reader)?,
            "functions" | "response_format" | "output_format" | "output_config" => {
                self.prompt.description(reader, key)?;
            }
            _ if refused::is_judged(self.rules.spec, key) => {
                refused::check(reader, self.rules.spec, key)?;
            }
            _ if self.rules.is_setting(key) => reader.skip()?,
            _ => {
                let field = self.prompt.aside(|prompt| prompt.field(reader, key))?;
                self.settings.add(&field);
            }
        }
        Ok(())
    }

    /// Whether the provider obeys this cap. If it ignored the cap, the hold would be far too small for an answer as
    /// long as the model can write.
    fn is_cap(&self, key: &str) -> bool {
        // If there is no output, nothing depends on a cap.
        self.rules.spec.output.is_none_or(|output| output.caps.contains(&key))
    }

    /// How many answers are generated for one prompt, and how many of them are not returned.
    fn candidates(&self) -> (u64, u64) {
        let output = self.rules.spec.output;
        match output.map_or(Candidates::Product, |output| output.candidates) {
            Candidates::Product => (self.n.saturating_mul(self.best_of), 0),
            Candidates::Larger => (self.n.max(self.best_of), self.best_of.saturating_sub(self.n)),
        }
    }

    fn finish(self) -> Result<CallFacts, InvalidBody> {
        let (candidates, hidden) = self.candidates();
        let model = self.model.ok_or_else(|| InvalidBody::of("model", "model is missing."))?;
        let Some(Texts { count, bytes }) = self.prompts else {
            let name = self.rules.spec.prompt.field();
            return Err(InvalidBody::of(name, format!("{name} is missing.")));
        };
        let mut prompt = self.prompt.sum();
        prompt.add(&self.suffix.times(count));
        let settings = self.settings;
        let added = self.rules.added_tokens_max().saturating_mul(count);
        Ok(CallFacts {
            endpoint: self.rules.endpoint,
            model,
            stream: self.stream,
            wants_usage: self.wants_usage,
            output_cap: self.output_cap,
            answers: candidates.saturating_mul(count),
            hidden_answers: hidden.saturating_mul(count),
            echoed_bytes: if self.echo { bytes.saturating_mul(self.n) } else { 0 },
            input_bound: prompt.bound.saturating_add(settings.bound).saturating_add(added),
            // Every call counts as at least one input token, so that none is free.
            input_estimate: prompt.estimate().max(1),
            may_write_cache: match self.rules.spec.cache_writes {
                CacheWrites::Unasked => true,
                CacheWrites::Marked => prompt.caches || settings.caches,
                CacheWrites::Never => false,
            },
        })
    }
}
