//! Foreign figures, before anyone believes them.

use crate::domain::{
    decimal::scaled,
    json::{JsonError, Kind, Reader},
};

/// More tokens than any model reads or writes in one call: beyond it a figure is nonsense.
const FIGURE_MAX: u64 = 1_000_000_000;

/// A count as the provider reports it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Figure {
    /// Not there, or `null`.
    #[default]
    Missing,
    Tokens(u64),
    /// Negative, not a number, or beyond all reason.
    Absurd,
}

impl Figure {
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, JsonError> {
        Ok(match reader.kind()? {
            Kind::Null => reader.skip().map(|()| Self::Missing)?,
            Kind::Number => Self::of(reader.number()?),
            Kind::String => Self::of(&reader.string()?.decoded()),
            Kind::Bool | Kind::Array | Kind::Object => reader.skip().map(|()| Self::Absurd)?,
        })
    }

    /// `12`, and `12.0` from servers that compute with floats. A part of a token counts as one.
    fn of(text: &str) -> Self {
        const MILLIONTHS: u64 = 1_000_000;
        let whole = text.parse().ok();
        let tokens = whole.or_else(|| {
            let millionths = u64::try_from(scaled(text, 6).ok()?).ok()?;
            Some(millionths.div_ceil(MILLIONTHS))
        });
        match tokens {
            Some(tokens) if tokens <= FIGURE_MAX => Self::Tokens(tokens),
            Some(_) | None => Self::Absurd,
        }
    }

    /// The count, where there is one that can be.
    pub(super) const fn known(self) -> Option<u64> {
        match self {
            Self::Tokens(tokens) => Some(tokens),
            Self::Missing | Self::Absurd => None,
        }
    }

    pub(super) const fn is_absurd(self) -> bool {
        matches!(self, Self::Absurd)
    }

    /// Takes a later figure, if it says anything: an interim figure that came first is erased neither by a zero nor by
    /// nonsense.
    pub(super) const fn update(&mut self, later: Self) {
        match later {
            Self::Missing | Self::Tokens(0) | Self::Absurd if matches!(self, Self::Tokens(_)) => {}
            Self::Missing | Self::Tokens(0) if self.is_absurd() => {}
            Self::Missing | Self::Tokens(_) | Self::Absurd => *self = later,
        }
    }
}

/// Figures of which none can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Absurd;

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
    /// Tokens in the total that are in none of its parts: thoughts that some servers count there alone.
    pub(super) beyond_parts: u64,
    /// The output figure covers the whole answer so far, not its first token.
    pub(super) output_is_current: bool,
    /// Some figure could not be, and was left out or cut to what can be.
    pub(super) corrected: bool,
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
