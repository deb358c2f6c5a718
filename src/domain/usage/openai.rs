//! Chunks and answers in OpenAI's words. `usage`, wherever it comes, covers the answer so far: the
//! last one stands.

use super::{
    figure::{Absurd, Figure, Input, Output, Reported, text_bytes, without},
    reading::{Delivered, Reading, Seen},
};
use crate::domain::{
    endpoint::Endpoint,
    json::{JsonError, Kind, Reader},
};

/// Reads one chunk of a stream, or a whole answer.
pub(super) fn read(reading: &mut Reading, json: &[u8]) -> Result<Seen, JsonError> {
    let (mut parts, mut reports, mut fails) = (false, false, false);
    let mut reader = Reader::new(json)?;
    reader.object(|reader, key| match &*key {
        "model" => reading.read_model(reader),
        "choices" if reader.kind()? == Kind::Array => reader.array(|reader| {
            parts = true;
            read_choice(reading, reader)
        }),
        // The vectors of an embedding.
        "data" => {
            parts = true;
            reader.skip()
        }
        "usage" if reader.kind()? == Kind::Object => {
            reports = true;
            let figures = Figures::read(reader)?;
            reading.report(figures.reported(reading.endpoint));
            Ok(())
        }
        "error" if reader.kind()? != Kind::Null => {
            fails = true;
            reader.skip()
        }
        _ => reader.skip(),
    })?;
    reader.end()?;
    Ok(if fails {
        Seen::Error
    } else if parts {
        reading.delivered.anything = true;
        Seen::Content
    } else if reports {
        Seen::Usage
    } else {
        Seen::Other
    })
}

fn read_choice(reading: &mut Reading, reader: &mut Reader<'_>) -> Result<(), JsonError> {
    if reader.kind()? != Kind::Object {
        return reader.skip();
    }
    reader.object(|reader, key| match &*key {
        "delta" | "message" if reader.kind()? == Kind::Object => {
            read_delta(&mut reading.delivered, reader)
        }
        "text" => {
            reading.delivered.add_text(text_bytes(reader)?);
            Ok(())
        }
        "finish_reason" if reader.kind()? == Kind::String => {
            reading.finished = true;
            reader.skip()
        }
        _ => reader.skip(),
    })
}

fn read_delta(delivered: &mut Delivered, reader: &mut Reader<'_>) -> Result<(), JsonError> {
    // Some servers send the same reasoning under both names.
    let mut reasoning = 0;
    reader.object(|reader, key| {
        match &*key {
            "content" | "refusal" | "tool_calls" | "function_call" => {
                delivered.add_text(text_bytes(reader)?);
            }
            "reasoning_content" | "reasoning" => reasoning = text_bytes(reader)?.max(reasoning),
            _ => reader.skip()?,
        }
        Ok::<(), JsonError>(())
    })?;
    delivered.add_reasoning(reasoning);
    Ok(())
}

/// A `usage` object. `prompt_tokens` contains what was read from and written to the cache;
/// `completion_tokens` contains reasoning.
#[derive(Default)]
struct Figures {
    prompt: Figure,
    completion: Figure,
    total: Figure,
    cached: Figure,
    written: Figure,
    reasoning: Figure,
}

impl Figures {
    fn read(reader: &mut Reader<'_>) -> Result<Self, JsonError> {
        let mut figures = Self::default();
        reader.object(|reader, key| {
            match &*key {
                "prompt_tokens" => figures.prompt = Figure::read(reader)?,
                "completion_tokens" => figures.completion = Figure::read(reader)?,
                "total_tokens" => figures.total = Figure::read(reader)?,
                "prompt_cache_hit_tokens" => figures.cached.update(Figure::read(reader)?),
                "prompt_tokens_details" if reader.kind()? == Kind::Object => {
                    reader.object(|reader, key| {
                        match &*key {
                            "cached_tokens" => figures.cached.update(Figure::read(reader)?),
                            "cache_write_tokens" | "cache_creation_tokens" => {
                                figures.written.update(Figure::read(reader)?);
                            }
                            _ => reader.skip()?,
                        }
                        Ok::<(), JsonError>(())
                    })?;
                }
                "completion_tokens_details" if reader.kind()? == Kind::Object => {
                    reader.object(|reader, key| {
                        match &*key {
                            "reasoning_tokens" => figures.reasoning = Figure::read(reader)?,
                            _ => reader.skip()?,
                        }
                        Ok::<(), JsonError>(())
                    })?;
                }
                _ => reader.skip()?,
            }
            Ok::<(), JsonError>(())
        })?;
        Ok(figures)
    }

    fn reported(&self, endpoint: Endpoint) -> Result<Reported, Absurd> {
        let (prompt, completion, total) =
            (self.prompt.present()?, self.completion.present()?, self.total.present()?);
        let writes = endpoint.spec().output.is_some();
        let completion = completion.or(if writes { None } else { Some(0) });
        let prompt = match (prompt, completion, total) {
            // Some servers give an embedding's total alone.
            (None | Some(0), Some(completion), Some(total)) => Some(without(total, completion)?),
            _ => prompt,
        };
        let completion = match (prompt, completion, total) {
            (Some(prompt), None, Some(total)) => Some(without(total, prompt)?),
            _ => completion,
        };
        Ok(Reported {
            input: prompt
                .filter(|prompt| *prompt > 0)
                .map(|prompt| self.input(prompt))
                .transpose()?,
            output: completion
                .map(|completion| self.output(prompt, completion, total))
                .transpose()?,
            output_is_current: true,
        })
    }

    fn input(&self, prompt: u64) -> Result<Input, Absurd> {
        let (cached_read, cache_write_5m) = (self.cached.or_zero()?, self.written.or_zero()?);
        let plain = without(without(prompt, cached_read)?, cache_write_5m)?;
        Ok(Input { plain, cached_read, cache_write_5m, cache_write_1h: 0 })
    }

    fn output(
        &self,
        prompt: Option<u64>,
        completion: u64,
        total: Option<u64>,
    ) -> Result<Output, Absurd> {
        let reasoning = self.reasoning.or_zero()?;
        // A few servers count reasoning beside the completion; their total tells.
        let beside = prompt.unwrap_or(0).saturating_add(completion).saturating_add(reasoning);
        let plain =
            if total == Some(beside) { completion } else { without(completion, reasoning)? };
        Ok(Output { plain, reasoning })
    }
}
