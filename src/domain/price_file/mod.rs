//! Prices from a file in LiteLLM's format: text in, whole numbers out, nothing guessed as free.
//!
//! An object of models, each an object of fields. Prices are USD per token, as decimal text in a
//! string or a JSON number; none passes through a float, and one that is negative, malformed or finer
//! than 1e-15 USD a token makes the **whole file** an error. What is read:
//!
//! | field | becomes |
//! |---|---|
//! | `input_cost_per_token`, `output_cost_per_token` | input, output |
//! | `cache_read_input_token_cost` (or `input_cost_per_token_cache_hit`) | cached read; without it: input |
//! | `cache_creation_input_token_cost` | five-minute write; without it: 1.25 × input for Claude models, else input |
//! | `cache_creation_input_token_cost_above_1hr` | one-hour write; without it: 2 × input for Claude models, else the five-minute write |
//! | `output_cost_per_reasoning_token` | reasoning; without it: output |
//! | any of these with `_above_200k_tokens` and the like | a tier from that many input tokens on |
//! | `input_cost_per_request` | per request |
//! | `max_input_tokens`, `max_output_tokens`, `max_tokens` | the model's bounds |
//!
//! Zero for a class counts as "not known", and a cache write is never cheaper than plain input: the
//! source has both, by mistake. A tier that leaves a class out falls back within the tier, on the
//! tier's own input and output. Prices for batches and other service tiers are not read; such calls
//! are refused at the door.
//!
//! A model whose price is missing or zero, or that also charges for something that is not metered
//! here, is skipped, and the file says why; `"free": true` (ours, not LiteLLM's) says that zero is
//! meant.

mod decimal;
mod entry;
#[cfg(test)]
mod tests;

use std::sync::LazyLock;

use super::{
    json::{JsonError, Reader},
    price::{ModelPrice, PriceBook},
};
use entry::Entry;

pub use decimal::DecimalError;

/// What a price file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PriceFile {
    /// The models with a price.
    pub prices: Vec<ModelPrice>,
    /// The models without one; they stay unknown, and unknown models are refused.
    pub skipped: Vec<Skipped>,
}

/// A model that a file names but does not price.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Its name.
    pub model: String,
    /// Why it has no price.
    pub reason: SkipReason,
}

/// Why a model has no price.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum SkipReason {
    /// It is for something that no endpoint here serves.
    #[error("its mode is not served here")]
    Mode,
    /// No price per input token.
    #[error("it has no price per input token")]
    NoInputPrice,
    /// No price per output token.
    #[error("it has no price per output token")]
    NoOutputPrice,
    /// A price of zero, and nothing that says it is meant.
    #[error("its price is zero, and it is not marked as free")]
    Zero,
    /// It charges for more than tokens and requests.
    #[error("it also charges for something that is not metered here")]
    Unmetered,
}

/// The file can't be used: not one of its prices is taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PriceFileError {
    /// Not JSON, or a key that appears twice.
    #[error("the price file can't be read")]
    Json(#[from] JsonError),
    /// A field is not what it has to be.
    #[error("{field} of {model}: {problem}")]
    Field {
        /// The model.
        model: String,
        /// The field.
        field: String,
        /// What is wrong with it.
        problem: DecimalError,
    },
}

impl PriceFile {
    /// Reads a file.
    ///
    /// ```
    /// # use tollgate::domain::price_file::PriceFile;
    /// let file = PriceFile::parse(
    ///     br#"{"small":{"litellm_provider":"openai","mode":"chat",
    ///         "input_cost_per_token":1.5e-07,"output_cost_per_token":"6e-07"}}"#,
    /// )?;
    /// let rates = file.prices[0].tiers[0].rates;
    /// assert_eq!((rates.input, rates.output), (150_000_000, 600_000_000));
    ///
    /// assert!(PriceFile::parse(br#"{"small":{"input_cost_per_token":"-1"}}"#).is_err());
    /// # Ok::<(), tollgate::domain::price_file::PriceFileError>(())
    /// ```
    pub fn parse(json: &[u8]) -> Result<Self, PriceFileError> {
        let mut file = Self::default();
        let mut reader = Reader::new(json)?;
        reader.object(|reader, model| {
            // LiteLLM's own documentation of its fields, in the place of a model.
            if model == "sample_spec" {
                return Ok(reader.skip()?);
            }
            let entry = Entry::read(reader, &model)?;
            match entry.price(&model)? {
                Ok(price) => file.prices.push(price),
                Err(reason) => file.skipped.push(Skipped { model: model.into_owned(), reason }),
            }
            Ok::<(), PriceFileError>(())
        })?;
        reader.end()?;
        Ok(file)
    }

    /// All prices of the file, by model.
    pub fn book(&self) -> PriceBook {
        PriceBook::new(self.prices.iter().cloned())
    }
}

/// The prices that come with this version: an extract of LiteLLM's table (MIT; see
/// `src/domain/prices/`). Community-edited: check before you bill by it.
pub fn built_in() -> &'static PriceFile {
    // A test reads it; if it ever could not be read, there would be no prices, hence no calls.
    static BUILT_IN: LazyLock<PriceFile> = LazyLock::new(|| {
        PriceFile::parse(include_bytes!("../prices/model_prices.json")).unwrap_or_default()
    });
    &BUILT_IN
}
