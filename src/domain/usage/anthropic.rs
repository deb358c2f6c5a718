//! Events and answers in Anthropic's words. `input_tokens` is what was neither read from nor written
//! to the cache, `output_tokens` contains thinking, and the figures of `message_delta` are cumulative:
//! they replace those of `message_start`.

use super::{
    figure::{Absurd, Figure, Input, Output, Reported, text_bytes},
    reading::{Reading, Seen},
};
use crate::domain::json::{JsonError, Kind, Reader};

/// Reads one event of a stream, or a whole answer.
pub(super) fn read(
    reading: &mut Reading,
    figures: &mut Figures,
    json: &[u8],
) -> Result<Seen, JsonError> {
    let mut kind = None;
    let mut reported = false;
    let mut reader = Reader::new(json)?;
    reader.object(|reader, key| match &*key {
        "type" if reader.kind()? == Kind::String => {
            kind = Some(reader.string()?.decoded());
            Ok(())
        }
        "message" if reader.kind()? == Kind::Object => reader.object(|reader, key| match &*key {
            "model" => reading.read_model(reader),
            "usage" => read_usage(figures, reader),
            _ => reader.skip(),
        }),
        "model" => reading.read_model(reader),
        "usage" => {
            reported = reader.kind()? == Kind::Object;
            read_usage(figures, reader)
        }
        "delta" if reader.kind()? == Kind::Object => reader.object(|reader, key| match &*key {
            "stop_reason" => read_stop(reading, reader),
            "text" | "partial_json" | "thinking" => {
                reading.delivered.add_text(text_bytes(reader)?);
                Ok(())
            }
            _ => reader.skip(),
        }),
        "content" | "content_block" => {
            reading.delivered.add_text(text_bytes(reader)?);
            Ok(())
        }
        "stop_reason" => read_stop(reading, reader),
        _ => reader.skip(),
    })?;
    reader.end()?;
    let kind = kind.as_deref().unwrap_or_default();
    // The figures that come first were made before the answer was.
    let current = reported && matches!(kind, "message_delta" | "message");
    reading.report(figures.reported(current));
    Ok(match kind {
        "message_stop" => {
            reading.finished = true;
            Seen::Terminal
        }
        "error" => Seen::Error,
        "message" | "content_block_start" | "content_block_delta" | "content_block_stop" => {
            reading.delivered.anything = true;
            Seen::Content
        }
        _ => Seen::Other,
    })
}

fn read_stop(reading: &mut Reading, reader: &mut Reader<'_>) -> Result<(), JsonError> {
    if reader.kind()? == Kind::String {
        reading.finished = true;
    }
    reader.skip()
}

fn read_usage(figures: &mut Figures, reader: &mut Reader<'_>) -> Result<(), JsonError> {
    if reader.kind()? != Kind::Object {
        return reader.skip();
    }
    reader.object(|reader, key| {
        match &*key {
            "input_tokens" => figures.input.update(Figure::read(reader)?),
            "output_tokens" => figures.output.update(Figure::read(reader)?),
            "cache_read_input_tokens" => figures.read.update(Figure::read(reader)?),
            "cache_creation_input_tokens" => figures.written.update(Figure::read(reader)?),
            "cache_creation" if reader.kind()? == Kind::Object => {
                reader.object(|reader, key| {
                    match &*key {
                        "ephemeral_5m_input_tokens" => {
                            figures.written_5m.update(Figure::read(reader)?);
                        }
                        "ephemeral_1h_input_tokens" => {
                            figures.written_1h.update(Figure::read(reader)?);
                        }
                        _ => reader.skip()?,
                    }
                    Ok::<(), JsonError>(())
                })?;
            }
            _ => reader.skip()?,
        }
        Ok::<(), JsonError>(())
    })
}

/// All `usage` objects of an answer, the later over the earlier.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Figures {
    input: Figure,
    output: Figure,
    read: Figure,
    written: Figure,
    written_5m: Figure,
    written_1h: Figure,
}

impl Figures {
    fn reported(&self, output_is_current: bool) -> Result<Reported, Absurd> {
        let all =
            [self.input, self.output, self.read, self.written, self.written_5m, self.written_1h];
        let mut corrected = all.into_iter().any(Figure::is_absurd);
        let known = |figure: Figure| figure.known().unwrap_or(0);
        let (mut one_hour, mut five_minutes) = (known(self.written_1h), known(self.written_5m));
        if let Some(written) = self.written.known().filter(|written| *written > 0) {
            // The split is of this total, never added to it. What it leaves open is the default kind.
            corrected |= one_hour.saturating_add(five_minutes) > written;
            one_hour = one_hour.min(written);
            five_minutes = written.saturating_sub(one_hour);
        }
        let input = Input {
            plain: known(self.input),
            cached_read: known(self.read),
            cache_write_5m: five_minutes,
            cache_write_1h: one_hour,
        };
        // Without the input that was not cached, the others do not say how much there was.
        let input = (input != Input::default() && !self.input.is_absurd()).then_some(input);
        let output = self.output.known().map(|plain| Output { plain, reasoning: 0 });
        // The input can be counted here. What was written cannot, where its figure is nonsense.
        if self.output.is_absurd() {
            return Err(Absurd);
        }
        Ok(Reported { input, output, beyond_parts: 0, output_is_current, corrected })
    }
}
