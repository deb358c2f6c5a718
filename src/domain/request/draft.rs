//! Reads the facts of a call in one pass over its body.

use super::{
    AllowedFields, CallFacts, InvalidBody, field,
    prompt::{self, Sum, Texts},
    refused,
    rules::{self, Rules},
};
use crate::domain::{
    endpoint::{CacheWrites, Candidates, Endpoint, Field, Prompt},
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
    read_with(endpoint, body, AllowedFields::NONE)
}

/// As [`read`], with the further fields that an operator allows for the upstream of the model.
pub fn read_with(
    endpoint: Endpoint,
    body: &[u8],
    allowed: &AllowedFields,
) -> Result<CallFacts, InvalidBody> {
    let mut reader = Reader::new(body)?;
    if reader.kind()? != Kind::Object {
        return Err(InvalidBody {
            field: None,
            message: "The request body must be a JSON object.".into(),
        });
    }
    let named = rules::model(reader.clone());
    let mut draft =
        Draft::new(Rules::new(endpoint, &named), allowed.of(endpoint.dialect(), &named));
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
    /// Further fields that pass, without a bound of what they cost beyond their text.
    allowed: &'m [String],
    model: Option<String>,
    stream: bool,
    wants_usage: bool,
    output_cap: Option<u64>,
    /// A cap in the vendor's newer field, which compatible servers may not read.
    newer_cap: Option<u64>,
    /// The bound of a prediction, whose tokens may be billed as output of each answer beside the answer.
    predicted: u64,
    /// How many tokens the model may think, if the body says so.
    thinking: u64,
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
    fn new(rules: Rules<'m>, allowed: &'m [String]) -> Self {
        Self {
            rules,
            allowed,
            model: None,
            stream: false,
            wants_usage: false,
            output_cap: None,
            newer_cap: None,
            predicted: 0,
            thinking: 0,
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
        let is_allowed = || self.allowed.iter().any(|name| name == key);
        match self.rules.spec.field(key) {
            None | Some(Field::Refused(_) | Field::NoCap) if is_allowed() => {
                self.counted(reader, key)
            }
            None => refused::unknown(reader, self.rules.spec, self.allowed, key),
            Some(field) => self.read_known(reader, key, field),
        }
    }

    fn read_known(
        &mut self,
        reader: &mut Reader<'_>,
        key: &str,
        known: Field,
    ) -> Result<(), InvalidBody> {
        match known {
            Field::Model => self.model = Some(field::model(reader)?),
            Field::Stream => self.stream = field::flag(reader, key)?,
            Field::StreamOptions => self.wants_usage = field::include_usage(reader)?,
            Field::Cap => {
                let cap = field::positive(reader, key, OUTPUT_CAP_MAX)?;
                let compatible = self.rules.spec.output.and_then(|output| output.cap_compatible);
                if compatible.is_none_or(|name| name == key) {
                    self.output_cap = cap;
                } else {
                    self.newer_cap = cap;
                }
            }
            Field::NoCap => {
                if field::positive(reader, key, OUTPUT_CAP_MAX)?.is_some() {
                    let message = format!("{key} caps nothing here: use max_tokens.");
                    return Err(InvalidBody::of(key, message));
                }
            }
            Field::Answers => self.n = field::positive(reader, key, ANSWERS_MAX)?.unwrap_or(1),
            Field::BestOf => {
                self.best_of = field::positive(reader, key, ANSWERS_MAX)?.unwrap_or(1);
            }
            Field::Prompt => {
                self.prompts = Some(match self.rules.spec.prompt {
                    Prompt::Messages => self.prompt.messages(reader).map(|()| Texts::ONE)?,
                    Prompt::Inputs => self.prompt.texts(reader, key).map(|_| Texts::ONE)?,
                    Prompt::Prompts => self.prompt.prompts(reader, key)?,
                });
            }
            Field::Suffix => {
                self.suffix = self.prompt.aside(|prompt| prompt.suffix(reader, key))?;
            }
            Field::Echo => self.echo = field::flag(reader, key)?,
            Field::System => self.prompt.system(reader)?,
            Field::Tools => self.prompt.tools(reader)?,
            Field::Description => self.prompt.description(reader, key)?,
            Field::Prediction => {
                let prediction = self.prompt.aside(|prompt| prompt.prediction(reader))?;
                self.predicted = prediction.bound;
                self.settings.add(&prediction);
            }
            Field::Thinking => {
                self.thinking = field::thinking(&mut reader.clone(), key)?;
                self.counted(reader, key)?;
            }
            Field::ContextEdits => {
                refused::context_edits(&mut reader.clone(), key)?;
                self.counted(reader, key)?;
            }
            Field::Object(keys) => {
                let object = self.prompt.aside(|prompt| {
                    prompt.key(key);
                    prompt.object_of(reader, key, keys, |prompt, reader, _| prompt.value(reader))
                })?;
                self.settings.add(&object);
            }
            Field::Setting if self.rules.tokenizer.is_known() => reader.skip()?,
            Field::Setting | Field::Counted => self.counted(reader, key)?,
            Field::Modalities => refused::modalities(reader, key)?,
            Field::OneOf(values) => refused::one_of(reader, key, values)?,
            Field::Refused(why) => refused::empty(reader, key, why)?,
        }
        Ok(())
    }

    /// A field that the model may get, as its JSON text.
    fn counted(&mut self, reader: &mut Reader<'_>, key: &str) -> Result<(), InvalidBody> {
        let field = self.prompt.aside(|prompt| prompt.field(reader, key))?;
        self.settings.add(&field);
        Ok(())
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
        let output_cap = self.output_cap.max(self.newer_cap);
        Ok(CallFacts {
            newer_cap: self.newer_cap.filter(|_| self.output_cap.is_none()),
            endpoint: self.rules.endpoint,
            model,
            stream: self.stream,
            wants_usage: self.wants_usage,
            output_cap,
            output_added: self
                .predicted
                .saturating_add(self.thinking.saturating_sub(output_cap.unwrap_or(0))),
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
