//! Reads single fields of a body, and refuses values of a wrong type.

use super::{InvalidBody, refused};
use crate::domain::json::{Kind, Reader};

const MODEL_BYTES_MAX: usize = 256;

/// A model's name: not empty, at most 256 bytes, without control characters.
pub(super) fn model(reader: &mut Reader<'_>) -> Result<String, InvalidBody> {
    if reader.kind()? != Kind::String {
        return Err(InvalidBody::of("model", "model must be a string."));
    }
    let model = reader.string()?;
    if model.is_empty() {
        return Err(InvalidBody::of("model", "model must not be empty."));
    }
    if model.len() > MODEL_BYTES_MAX {
        return Err(InvalidBody::of(
            "model",
            format!("model must not be longer than {MODEL_BYTES_MAX} bytes."),
        ));
    }
    let model = model.decoded();
    if model.chars().any(char::is_control) {
        return Err(InvalidBody::of("model", "model must not have control characters."));
    }
    Ok(model.into_owned())
}

/// A boolean; `null` counts as `false`.
pub(super) fn flag(reader: &mut Reader<'_>, name: &str) -> Result<bool, InvalidBody> {
    match reader.kind()? {
        Kind::Null => Ok(reader.skip().map(|()| false)?),
        Kind::Bool => Ok(reader.bool()?),
        Kind::Number | Kind::String | Kind::Array | Kind::Object => {
            Err(InvalidBody::of(name, format!("{name} must be true or false.")))
        }
    }
}

/// A whole number from 1 to `max`; `null` counts as absent.
pub(super) fn positive(
    reader: &mut Reader<'_>,
    name: &str,
    max: u64,
) -> Result<Option<u64>, InvalidBody> {
    let wrong = || InvalidBody::of(name, format!("{name} must be a whole number from 1 to {max}."));
    match reader.kind()? {
        Kind::Null => Ok(reader.skip().map(|()| None)?),
        Kind::Number => {
            let number = reader.number()?.parse().ok();
            number.filter(|number| (1..=max).contains(number)).map(Some).ok_or_else(wrong)
        }
        Kind::Bool | Kind::String | Kind::Array | Kind::Object => Err(wrong()),
    }
}

/// `include_usage` of `stream_options`.
pub(super) fn include_usage(reader: &mut Reader<'_>) -> Result<bool, InvalidBody> {
    match reader.kind()? {
        Kind::Null => Ok(reader.skip().map(|()| false)?),
        Kind::Object => {
            let mut wanted = false;
            reader.object(|reader, key| {
                if key == "include_usage" {
                    wanted = flag(reader, "stream_options.include_usage")?;
                    return Ok(());
                }
                refused::no_variant(&key, &["include_usage"], "stream_options")?;
                reader.skip()?;
                Ok::<(), InvalidBody>(())
            })?;
            Ok(wanted)
        }
        Kind::Bool | Kind::Number | Kind::String | Kind::Array => {
            Err(InvalidBody::of("stream_options", "stream_options must be an object."))
        }
    }
}

/// `budget_tokens` of `thinking`: how many tokens the model may think. 0 if it says nothing.
pub(super) fn thinking(reader: &mut Reader<'_>, name: &str) -> Result<u64, InvalidBody> {
    const BUDGET: &str = "budget_tokens";
    match reader.kind()? {
        Kind::Null => Ok(reader.skip().map(|()| 0)?),
        Kind::Object => {
            let mut budget = 0;
            reader.object(|reader, key| {
                if key == BUDGET {
                    budget = positive(reader, name, u64::from(u32::MAX))?.unwrap_or(0);
                    return Ok(());
                }
                refused::no_variant(&key, &[BUDGET, "type"], name)?;
                Ok::<(), InvalidBody>(reader.skip()?)
            })?;
            Ok(budget)
        }
        Kind::Bool | Kind::Number | Kind::String | Kind::Array => {
            Err(InvalidBody::of(name, format!("{name} must be an object.")))
        }
    }
}

/// Reads an array; for anything else, the error names the field.
pub(super) fn array(
    reader: &mut Reader<'_>,
    name: &str,
    item: impl FnMut(&mut Reader<'_>) -> Result<(), InvalidBody>,
) -> Result<(), InvalidBody> {
    if reader.kind()? != Kind::Array {
        return Err(InvalidBody::of(name, format!("{name} must be an array.")));
    }
    reader.array(item)
}
