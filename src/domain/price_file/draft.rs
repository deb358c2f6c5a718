//! A price as people write it, and its conversion to a complete price.

use super::{FieldFault, FieldProblem, id_of};
use crate::domain::{
    credits::Credits,
    ids::PriceId,
    price::{ModelPrice, Rates, Tier},
};

/// A price as it is written in our own file or on the command line. Missing optional prices are filled in, and probable
/// mistakes are refused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PriceDraft {
    /// The provider that sells the model.
    pub provider: String,
    /// The model's mode; `chat` by default.
    pub mode: Option<String>,
    /// The price per request, in nano-dollars.
    pub per_request: i64,
    /// The prices from the first token on.
    pub first: ClassDraft,
    /// The prices from further context lengths on, in ascending order.
    pub further: Vec<TierDraft>,
    /// Which prices may be zero.
    pub free: Free,
    /// The most input tokens that the model accepts.
    pub input_tokens_max: Option<u64>,
    /// The most output tokens that the model writes in one answer.
    pub output_tokens_max: Option<u64>,
}

/// The prices from a context length on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TierDraft {
    /// The smallest input that this tier prices.
    pub from_input_tokens: u64,
    /// The prices of this tier.
    pub classes: ClassDraft,
}

/// Nano-dollars per million tokens of each class; `None` for a class that is not given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClassDraft {
    /// Plain input. Required.
    pub input: Option<i64>,
    /// Input read from the provider's cache. Default: as input.
    pub cached_read: Option<i64>,
    /// Input written to the five-minute cache. Default: as input.
    pub cache_write_5m: Option<i64>,
    /// Input written to the one-hour cache. Default: as input written to the five-minute cache.
    pub cache_write_1h: Option<i64>,
    /// Output. Required, except for embeddings.
    pub output: Option<i64>,
    /// Reasoning. Default: as output.
    pub reasoning: Option<i64>,
}

/// Which prices may be zero. By default none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Free {
    /// None.
    #[default]
    Nothing,
    /// These classes.
    Classes(Vec<String>),
    /// All classes.
    Everything,
}

impl Free {
    fn covers(&self, class: &str) -> bool {
        match self {
            Self::Nothing => false,
            Self::Classes(classes) => classes.iter().any(|free| free == class),
            Self::Everything => true,
        }
    }
}

impl ClassDraft {
    /// The field of a class, by its name.
    pub fn class(&mut self, name: &str) -> Option<&mut Option<i64>> {
        Some(match name {
            "input" => &mut self.input,
            "cached_read" => &mut self.cached_read,
            "cache_write_5m" => &mut self.cache_write_5m,
            "cache_write_1h" => &mut self.cache_write_1h,
            "output" => &mut self.output,
            "reasoning" => &mut self.reasoning,
            _ => return None,
        })
    }

    fn said(&self) -> [(&'static str, Option<i64>); 6] {
        [
            ("input", self.input),
            ("cached_read", self.cached_read),
            ("cache_write_5m", self.cache_write_5m),
            ("cache_write_1h", self.cache_write_1h),
            ("output", self.output),
            ("reasoning", self.reasoning),
        ]
    }

    /// The rates of all classes, or the classes that are missing or zero without being free.
    fn rates(&self, free: &Free, embeds: bool) -> Result<Rates, Vec<(&'static str, FieldProblem)>> {
        let mut faults: Vec<_> = self
            .said()
            .into_iter()
            .filter(|(class, rate)| {
                let writes = matches!(*class, "output" | "reasoning");
                *rate == Some(0) && !free.covers(class) && !(embeds && writes)
            })
            .map(|(class, _)| (class, FieldProblem::Zero))
            .collect();
        faults.extend(
            self.said()
                .into_iter()
                .filter(|(_, rate)| rate.is_some_and(|rate| rate < 0))
                .map(|(class, _)| (class, FieldProblem::Number(super::DecimalError::Negative))),
        );
        let output = self.output.or(if embeds { Some(0) } else { None });
        let (Some(input), Some(output)) = (self.input, output) else {
            let missing = [("input", self.input), ("output", output)];
            let missing = missing.into_iter().filter(|(_, rate)| rate.is_none());
            faults.extend(missing.map(|(class, _)| (class, FieldProblem::Missing)));
            return Err(faults);
        };
        if !faults.is_empty() {
            return Err(faults);
        }
        let cache_write_5m = self.cache_write_5m.unwrap_or(input);
        Ok(Rates {
            input,
            cached_read: self.cached_read.unwrap_or(input),
            cache_write_5m,
            cache_write_1h: self.cache_write_1h.unwrap_or(cache_write_5m),
            output,
            reasoning: self.reasoning.unwrap_or(output),
        })
    }
}

impl PriceDraft {
    /// The price of `model`.
    ///
    /// # Errors
    /// The fields that are missing, zero without being free, or out of order.
    pub fn price(self, model: &str) -> Result<ModelPrice, Vec<FieldFault>> {
        let mut faults = Vec::new();
        let mode = self.mode.unwrap_or_else(|| "chat".to_owned());
        if !matches!(mode.as_str(), "chat" | "responses" | "completion" | "embedding") {
            faults.push(FieldFault::new(model, "mode", FieldProblem::Mode));
        }
        if self.per_request < 0 {
            let negative = FieldProblem::Number(super::DecimalError::Negative);
            faults.push(FieldFault::new(model, "usd_per_request", negative));
        }
        let first = TierDraft { from_input_tokens: 0, classes: self.first };
        let mut tiers: Vec<Tier> = Vec::new();
        for (number, draft) in std::iter::once(&first).chain(&self.further).enumerate() {
            let place = match number.checked_sub(1) {
                Some(number) => format!("tiers[{number}]."),
                None => String::new(),
            };
            let after = tiers.last().map(|last| last.from_input_tokens);
            if after.is_some_and(|after| draft.from_input_tokens <= after) {
                let field = format!("{place}from_input_tokens");
                faults.push(FieldFault::new(model, &field, FieldProblem::Order));
            }
            let rates = draft.classes.rates(&self.free, mode == "embedding");
            let rates = rates.unwrap_or_else(|wrong| {
                faults.extend(wrong.into_iter().map(|(class, problem)| {
                    FieldFault::new(model, &format!("{place}{class}"), problem)
                }));
                Rates::default()
            });
            tiers.push(Tier { from_input_tokens: draft.from_input_tokens, rates });
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        let mut price = ModelPrice {
            price_id: PriceId::new(uuid::Uuid::nil()),
            model: model.into(),
            provider: self.provider,
            mode,
            per_request: Credits::from_nanos(self.per_request),
            tiers,
            input_tokens_max: self.input_tokens_max,
            output_tokens_max: self.output_tokens_max,
        };
        price.price_id = id_of(&price);
        Ok(price)
    }
}
