//! Reads prices from a file: decimal text becomes whole numbers, and a missing price never counts as free.
//!
//! Numbers are decimal text in a string or a JSON number, and are never converted to a float. A number that is
//! negative, malformed or finer than 1e-15 USD per token is a fault. There are two formats.
//!
//! # Ours
//! [`Format::Tollgate`]: USD per million tokens. Unknown fields are faults, and required prices are not guessed. One
//! fault makes the **whole file** an error, which names every faulty field. `docs/prices.md` describes the format.
//!
//! # LiteLLM's
//! [`Format::LiteLlm`]: an object of models, each an object of fields. Prices are USD per token. These fields are read:
//!
//! | field | becomes |
//! |---|---|
//! | `input_cost_per_token`, `output_cost_per_token` | input, output |
//! | `cache_read_input_token_cost` (or `input_cost_per_token_cache_hit`) | cached read; without it: input |
//! | `cache_creation_input_token_cost` | five-minute write; without it: 1.25 × input for Claude models, else input |
//! | `cache_creation_input_token_cost_above_1hr` | one-hour write; without it: 2 × input for Claude models, else the five-minute write |
//! | `output_cost_per_reasoning_token` | reasoning; without it: output |
//! | any of these with `_above_200k_tokens` and the like | a tier from that many input tokens on |
//! | `cache_creation_input_token_cost_above_12hr` | one-hour write, if it is higher |
//! | `input_cost_per_request`, `input_cost_per_query` | per request |
//! | `search_context_cost_per_query` | per request, the dearest size, for models that search on every call |
//! | `max_input_tokens`, `max_output_tokens`, `max_tokens` | the model's bounds |
//!
//! A class with a price of zero counts as unknown, and a cache write is never cheaper than plain input: the source has
//! both, by mistake. If a tier leaves out a class, the class is derived from the tier's own input and output. Prices
//! for batches and other service tiers are not read, because such calls are refused.
//!
//! A model is skipped if its price is missing, zero or implausibly high, or if it also charges for something that is
//! not metered here. [`PriceFile::skipped`] says why. `"free": true` (our field, not LiteLLM's) says that a price of
//! zero is intended. An unknown cost field counts as such a charge, unless it is zero or on the reviewed list of costs
//! that no call here can cause (`costs.rs`).
//!
//! The list is third-party data, written by programs that compute with floats. So digits beyond the fifteenth are
//! rounded away, and a model with a faulty field is skipped, too. If more than half of the models have faults, the
//! whole file is an error.

mod costs;
mod draft;
mod entry;
mod own;
mod problem;
#[cfg(test)]
mod tests;

use std::{str::FromStr, sync::LazyLock};

use aws_lc_rs::digest;

use super::{
    ids::PriceId,
    json::{JsonError, Reader},
    price::{ModelPrice, PriceBook, Tier},
};
use entry::Entry;

pub use super::decimal::{DecimalError, usd, usd_per_million_tokens};
pub use draft::{ClassDraft, Free, PriceDraft, TierDraft};
pub use problem::{FieldFault, FieldProblem, PriceFileError};

/// The format of a price file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Ours.
    Tollgate,
    /// LiteLLM's `model_prices_and_context_window.json`.
    LiteLlm,
}

/// Not the name of a format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a format of price files: tollgate or litellm")]
pub struct UnknownFormat;

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(name: &str) -> Result<Self, UnknownFormat> {
        match name {
            "tollgate" => Ok(Self::Tollgate),
            "litellm" => Ok(Self::LiteLlm),
            _ => Err(UnknownFormat),
        }
    }
}

impl Format {
    /// The format of this file. Our format has the key `tollgate_prices`.
    pub fn of(json: &[u8]) -> Self {
        let mut ours = false;
        if let Ok(mut reader) = Reader::new(json) {
            let read = reader.object(|reader, key| {
                ours |= key == own::VERSION_KEY;
                reader.skip()
            });
            // Errors are ignored here: reading the file as prices reports them.
            drop(read);
        }
        if ours { Self::Tollgate } else { Self::LiteLlm }
    }
}

/// The content of a price file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PriceFile {
    /// The models with a price.
    pub prices: Vec<ModelPrice>,
    /// The models without a price. They stay unknown, and calls to unknown models are refused.
    pub skipped: Vec<Skipped>,
}

/// Whether more than half of the entries are wrong. A third-party list always has some wrong entries, which are left
/// out. If most are wrong, the whole list is a mistake.
pub(super) const fn is_most(wrong: usize, all: usize) -> bool {
    wrong.saturating_mul(2) > all
}

/// A model that a file names but does not price.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// The model's name.
    pub model: String,
    /// Why the model has no price.
    pub reason: SkipReason,
}

/// Why a model has no price.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SkipReason {
    /// No endpoint here serves the model's mode.
    #[error("its mode is not served here")]
    Mode,
    /// No price per input token.
    #[error("it has no price per input token")]
    NoInputPrice,
    /// No price per output token.
    #[error("it has no price per output token")]
    NoOutputPrice,
    /// A price of zero, without a mark that it is intended.
    #[error("its price is zero, and it is not marked as free")]
    Zero,
    /// The model charges for more than tokens and requests.
    #[error("it also charges for something that is not metered here: {field}")]
    Unmetered {
        /// The name of the field in the file.
        field: String,
    },
    /// A price that is too high to be right: usually the unit is wrong.
    #[error("it costs more than any model does")]
    Implausible,
    /// A field of the model is invalid.
    #[error("{field}: {problem}")]
    Field {
        /// The field's name.
        field: String,
        /// What is wrong with the field.
        problem: FieldProblem,
    },
}

impl PriceFile {
    /// Reads a file of either format.
    ///
    /// # Errors
    /// The file is not JSON, or has a duplicate key. One invalid field is an error in our format; in LiteLLM's, invalid
    /// fields in more than half of the models are.
    pub fn read(json: &[u8], format: Format) -> Result<Self, PriceFileError> {
        match format {
            Format::Tollgate => own::read(json),
            Format::LiteLlm => Self::parse(json),
        }
    }

    /// Reads a file of LiteLLM's.
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
        let mut faults = Vec::new();
        let mut entries = 0_usize;
        let mut reader = Reader::new(json)?;
        reader.object(|reader, model| {
            // LiteLLM documents its fields in an entry with this name, which is not a model.
            if model == "sample_spec" {
                return reader.skip();
            }
            entries = entries.saturating_add(1);
            let before = faults.len();
            let entry = Entry::read(reader, &model, &mut faults)?;
            match entry.price(&model) {
                Ok(Ok(price)) if faults.len() == before => file.prices.push(price),
                Ok(Err(reason)) if faults.len() == before => {
                    file.skipped.push(Skipped { model: model.into_owned(), reason });
                }
                Ok(_) => {}
                Err(fault) => faults.push(fault),
            }
            Ok::<(), JsonError>(())
        })?;
        reader.end()?;
        // The first fault of a model names it.
        let mut of_models: Vec<&FieldFault> = Vec::new();
        for fault in &faults {
            if of_models.last().is_none_or(|last| last.model != fault.model) {
                of_models.push(fault);
            }
        }
        if is_most(of_models.len(), entries) {
            return Err(PriceFileError::Fields(faults));
        }
        file.skipped.extend(of_models.into_iter().map(|fault| {
            let FieldFault { model, field, problem } = fault.clone();
            Skipped { model, reason: SkipReason::Field { field, problem } }
        }));
        Ok(file)
    }

    /// All prices of the file, by model.
    pub fn book(&self) -> PriceBook {
        PriceBook::new(self.prices.iter().cloned())
    }
}

/// The prices that this version ships: an extract of LiteLLM's table (MIT; see `src/domain/prices/`). The table is
/// edited by a community: check the prices before you bill by them.
pub fn built_in() -> &'static PriceFile {
    // A test makes sure that it can be read. Otherwise there would be no prices, and every call would be refused.
    static BUILT_IN: LazyLock<PriceFile> = LazyLock::new(|| {
        PriceFile::parse(include_bytes!("../prices/model_prices.json")).unwrap_or_default()
    });
    &BUILT_IN
}

/// The same price of the same model has the same id in every installation: a UUIDv8 of its digest.
fn id_of(price: &ModelPrice) -> PriceId {
    let ModelPrice {
        price_id: _,
        model,
        provider,
        mode,
        per_request,
        tiers,
        input_tokens_max: _,
        output_tokens_max: _,
    } = price;
    let mut text =
        format!("tollgate price 1\0{model}\0{provider}\0{mode}\0{}", per_request.nanos());
    for Tier { from_input_tokens, rates } in tiers {
        let rates = rates.by_class().map(|(_, rate)| rate.to_string());
        text.extend(["\0", &from_input_tokens.to_string(), ":", &rates.join(":")]);
    }
    let digest = digest::digest(&digest::SHA256, text.as_bytes());
    let bytes = digest.as_ref().first_chunk().copied().unwrap_or_default();
    PriceId::new(uuid::Builder::from_custom_bytes(bytes).into_uuid())
}
