//! Chunks and answers in OpenAI's words. `usage`, wherever it comes, covers the answer so far: the
//! last one stands.

use super::{
    figure::{Absurd, Figure, Input, Output, Reported, text_bytes},
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
        // Moonshot's streams report it here.
        "usage" if reader.kind()? == Kind::Object => {
            let figures = Figures::read(reader)?;
            reading.report(figures.reported(reading.endpoint));
            Ok(())
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
    /// Of what was written to the cache: what stays for the shorter of the vendor's two lifetimes.
    written_short: Figure,
    /// And for the longer one.
    written_long: Figure,
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
                "prompt_cache_hit_tokens" | "cached_tokens" => {
                    figures.cached.update(Figure::read(reader)?);
                }
                "reasoning_tokens" => figures.reasoning.update(Figure::read(reader)?),
                "prompt_tokens_details" if reader.kind()? == Kind::Object => {
                    reader.object(|reader, key| {
                        match &*key {
                            "cached_tokens" => figures.cached.update(Figure::read(reader)?),
                            "cache_write_tokens" | "cache_creation_tokens" => {
                                figures.written.update(Figure::read(reader)?);
                            }
                            "cache_write_tokens_details" if reader.kind()? == Kind::Object => {
                                figures.read_lifetimes(reader)?;
                            }
                            _ => reader.skip()?,
                        }
                        Ok::<(), JsonError>(())
                    })?;
                }
                "completion_tokens_details" if reader.kind()? == Kind::Object => {
                    reader.object(|reader, key| {
                        match &*key {
                            "reasoning_tokens" => figures.reasoning.update(Figure::read(reader)?),
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

    fn read_lifetimes(&mut self, reader: &mut Reader<'_>) -> Result<(), JsonError> {
        reader.object(|reader, key| {
            match &*key {
                "ttl_30m_tokens" => self.written_short.update(Figure::read(reader)?),
                "ttl_12h_tokens" => self.written_long.update(Figure::read(reader)?),
                _ => reader.skip()?,
            }
            Ok(())
        })
    }

    /// What was written to the cache, by lifetime: the price book has two rates for it. Where the vendor divides it, what
    /// is in neither part counts as the dearer.
    fn by_lifetime(&self, written: u64) -> (u64, u64) {
        let (short, long) = (self.written_short.known(), self.written_long.known());
        if short.is_none() && long.is_none() {
            return (written, 0);
        }
        let short = short.unwrap_or(0).min(written);
        (short, written.saturating_sub(short))
    }

    /// The prompt and the completion are believed where they can be. What contradicts them is left out.
    fn reported(&self, endpoint: Endpoint) -> Result<Reported, Absurd> {
        let (prompt, completion, total) =
            (self.prompt.known(), self.completion.known(), self.total.known());
        let writes = endpoint.spec().output.is_some();
        let completion = completion.or(if writes { None } else { Some(0) });
        let prompt = match (prompt, completion, total) {
            // Some servers give an embedding's total alone.
            (None | Some(0), Some(completion), Some(total)) if total >= completion => {
                total.checked_sub(completion)
            }
            _ => prompt,
        };
        let completion = match (prompt, completion, total) {
            (Some(prompt), None, Some(total)) => total.checked_sub(prompt),
            _ => completion,
        };
        let all =
            [self.prompt, self.completion, self.total, self.cached, self.written, self.reasoning];
        let absurd = all.into_iter().any(Figure::is_absurd);
        // The prompt can be counted here. What was written cannot, where its figure is nonsense.
        let known = if writes { completion } else { prompt };
        if absurd && known.is_none() {
            return Err(Absurd);
        }
        let mut reported =
            Reported { output_is_current: true, corrected: absurd, ..Reported::default() };
        let beside = self.input(&mut reported, prompt, completion, total);
        if let Some(completion) = completion {
            let parts = prompt.unwrap_or(0).saturating_add(beside).saturating_add(completion);
            self.output(&mut reported, completion, total, parts);
        }
        Ok(reported)
    }

    /// Reports the input, and returns how much of it is beside the prompt and not in it.
    fn input(
        &self,
        reported: &mut Reported,
        prompt: Option<u64>,
        completion: Option<u64>,
        total: Option<u64>,
    ) -> u64 {
        let Some(prompt) = prompt.filter(|prompt| *prompt > 0) else { return 0 };
        let (cached, written) =
            (self.cached.known().unwrap_or(0), self.written.known().unwrap_or(0));
        let of_cache = cached.saturating_add(written);
        let mut input = Input { cached_read: cached, ..Input::default() };
        (input.cache_write_5m, input.cache_write_1h) = self.by_lifetime(written);
        let mut beside = 0;
        if let Some(plain) = prompt.checked_sub(of_cache) {
            input.plain = plain;
        } else if total
            == Some(prompt.saturating_add(completion.unwrap_or(0)).saturating_add(of_cache))
        {
            // A few servers count as Anthropic does; their total tells.
            (input.plain, beside) = (prompt, of_cache);
        } else {
            reported.corrected = true;
            // More than there is was not read from a cache: then nothing is known to have been.
            input.cached_read = if cached > prompt { 0 } else { cached };
            let written = written.min(prompt.saturating_sub(input.cached_read));
            (input.cache_write_5m, input.cache_write_1h) = self.by_lifetime(written);
            let known = input.cached_read.saturating_add(written);
            input.plain = prompt.saturating_sub(known);
        }
        reported.input = Some(input);
        beside
    }

    fn output(&self, reported: &mut Reported, completion: u64, total: Option<u64>, parts: u64) {
        let reasoning = self.reasoning.known().unwrap_or(0);
        // A few servers count reasoning beside the completion; their total tells.
        if reasoning > 0 && total == Some(parts.saturating_add(reasoning)) {
            reported.output = Some(Output { plain: completion, reasoning });
            return;
        }
        reported.corrected |= reasoning > completion || total.is_some_and(|total| total < parts);
        // More thoughts than output are not thoughts of it: then nothing is known of them.
        let reasoning = if reasoning > completion { 0 } else { reasoning };
        let plain = completion.saturating_sub(reasoning);
        reported.output = Some(Output { plain, reasoning });
        reported.beyond_parts = total.unwrap_or(0).saturating_sub(parts);
    }
}
