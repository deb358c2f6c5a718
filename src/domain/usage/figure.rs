//! Foreign figures, before anyone believes them.

use crate::domain::json::{JsonError, Kind, Reader};

/// More tokens than any model reads or writes in one call: beyond it a figure is nonsense.
const FIGURE_MAX: u64 = 1_000_000_000;

/// A count as the provider reports it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Figure {
    /// Not there, or `null`.
    #[default]
    Missing,
    Tokens(u64),
    /// Negative, not a whole number, not a number, or beyond all reason.
    Absurd,
}

impl Figure {
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, JsonError> {
        Ok(match reader.kind()? {
            Kind::Null => reader.skip().map(|()| Self::Missing)?,
            Kind::Number => match reader.number()?.parse() {
                Ok(tokens) if tokens <= FIGURE_MAX => Self::Tokens(tokens),
                Ok(_) | Err(_) => Self::Absurd,
            },
            Kind::Bool | Kind::String | Kind::Array | Kind::Object => {
                reader.skip().map(|()| Self::Absurd)?
            }
        })
    }

    /// The count, or 0 where there is none.
    pub(super) fn or_zero(self) -> Result<u64, Absurd> {
        Ok(self.present()?.unwrap_or(0))
    }

    pub(super) const fn present(self) -> Result<Option<u64>, Absurd> {
        match self {
            Self::Missing => Ok(None),
            Self::Tokens(tokens) => Ok(Some(tokens)),
            Self::Absurd => Err(Absurd),
        }
    }

    /// Takes a later figure, if it says anything: an interim figure that came first is not erased by
    /// a zero.
    pub(super) const fn update(&mut self, later: Self) {
        match later {
            Self::Missing | Self::Tokens(0) if !matches!(self, Self::Missing) => {}
            Self::Missing | Self::Tokens(_) | Self::Absurd => *self = later,
        }
    }
}

/// Figures that can't be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Absurd;

/// What is left of a whole without its part, which can't be larger.
pub(super) fn without(whole: u64, part: u64) -> Result<u64, Absurd> {
    whole.checked_sub(part).ok_or(Absurd)
}

/// Input in disjoint classes, as reported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Input {
    pub(super) plain: u64,
    pub(super) cached_read: u64,
    pub(super) cache_write_5m: u64,
    pub(super) cache_write_1h: u64,
}

/// Output in disjoint classes, as reported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Output {
    pub(super) plain: u64,
    pub(super) reasoning: u64,
}

/// What a provider has said so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Reported {
    /// `None` also where it says 0: there is no call without input.
    pub(super) input: Option<Input>,
    pub(super) output: Option<Output>,
    /// The output figure covers the whole answer so far, not its first token.
    pub(super) output_is_current: bool,
}

/// The bytes of all strings in a value, without those that name or sign it.
pub(super) fn text_bytes(reader: &mut Reader<'_>) -> Result<u64, JsonError> {
    let mut bytes = 0_u64;
    match reader.kind()? {
        Kind::String => bytes = u64::try_from(reader.string()?.len()).unwrap_or(u64::MAX),
        Kind::Array => reader.array(|reader| {
            bytes = bytes.saturating_add(text_bytes(reader)?);
            Ok::<(), JsonError>(())
        })?,
        Kind::Object => reader.object(|reader, key| {
            match &*key {
                "id" | "type" | "signature" | "citations" => reader.skip()?,
                _ => bytes = bytes.saturating_add(text_bytes(reader)?),
            }
            Ok::<(), JsonError>(())
        })?,
        Kind::Null | Kind::Bool | Kind::Number => reader.skip()?,
    }
    Ok(bytes)
}
