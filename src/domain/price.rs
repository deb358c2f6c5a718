//! Prices per class of token, and the cost of a usage: whole numbers all the way.

use std::{collections::HashMap, sync::Arc};

use super::{credits::Credits, ids::PriceId, usage::Usage};

/// Nano-dollars per **million** tokens for each class, from some context length on.
///
/// 1.25e-6 USD a token is 1,250,000,000 here; the resolution is 1e-15 USD a token, finer than any
/// published price.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rates {
    /// Plain input.
    pub input: i64,
    /// Input read from the provider's cache.
    pub cached_read: i64,
    /// Input written to the five-minute cache.
    pub cache_write_5m: i64,
    /// Input written to the one-hour cache.
    pub cache_write_1h: i64,
    /// Output.
    pub output: i64,
    /// Reasoning.
    pub reasoning: i64,
}

/// The rates that hold from `from_input_tokens` on, counting all input tokens of the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tier {
    /// The smallest input that this tier prices; 0 for the first.
    pub from_input_tokens: u64,
    /// Its rates.
    pub rates: Rates,
}

/// One versioned price of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelPrice {
    /// The row, stored with every settlement it prices.
    pub price_id: PriceId,
    /// The model as callers name it.
    pub model: String,
    /// Who sells it.
    pub provider: String,
    /// `chat`, `embedding`, …: the source's word.
    pub mode: String,
    /// Per request, in nano-dollars, besides the tokens.
    pub per_request: Credits,
    /// At least one, the first from 0, in ascending order.
    pub tiers: Vec<Tier>,
    /// The largest context the model takes.
    pub input_tokens_max: Option<u64>,
    /// The most it writes in one answer.
    pub output_tokens_max: Option<u64>,
}

/// All prices in force, by model name.
#[derive(Clone, Debug, Default)]
pub struct PriceBook {
    by_model: HashMap<String, Arc<ModelPrice>>,
}

impl PriceBook {
    /// A book of these prices; of two for one model the later one stays.
    pub fn new(prices: impl IntoIterator<Item = ModelPrice>) -> Self {
        Self {
            by_model: prices
                .into_iter()
                .map(|price| (price.model.clone(), Arc::new(price)))
                .collect(),
        }
    }

    /// The price of `model`; a model without one is refused, never free.
    pub fn get(&self, model: &str) -> Option<&Arc<ModelPrice>> {
        self.by_model.get(model)
    }

    /// All prices, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<ModelPrice>> {
        self.by_model.values()
    }

    /// How many models have a price.
    pub fn len(&self) -> usize {
        self.by_model.len()
    }

    /// Whether no model has a price.
    pub fn is_empty(&self) -> bool {
        self.by_model.is_empty()
    }
}

/// The cost does not fit an `i64` of nano-dollars, or a rate is negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the cost is out of range")]
pub struct CostOutOfRange;

const TOKENS_PER_RATE: i128 = 1_000_000;

impl ModelPrice {
    /// What `usage` costs: each class at its rate in the tier of the whole input, rounded up once.
    ///
    /// ```
    /// # use tollgate::domain::{credits::Credits, ids::PriceId, price::{ModelPrice, Rates, Tier}, usage::Usage};
    /// let price = ModelPrice {
    ///     price_id: PriceId::new(uuid::Uuid::nil()),
    ///     model: "small".into(), provider: "mock".into(), mode: "chat".into(),
    ///     per_request: Credits::ZERO,
    ///     tiers: vec![Tier { from_input_tokens: 0, rates: Rates { input: 150_000_000, output: 600_000_000, ..Rates::default() } }],
    ///     input_tokens_max: None, output_tokens_max: None,
    /// };
    /// let usage = Usage { input: 10, output: 3, ..Usage::default() };
    /// // 10 × 150 + 3 × 600 nano-dollars
    /// assert_eq!(price.cost(&usage), Ok(Credits::from_nanos(3_300)));
    /// ```
    pub fn cost(&self, usage: &Usage) -> Result<Credits, CostOutOfRange> {
        let rates = self.rates_for(usage.input_total())?;
        let classes = [
            (usage.input, rates.input),
            (usage.cached_read, rates.cached_read),
            (usage.cache_write_5m, rates.cache_write_5m),
            (usage.cache_write_1h, rates.cache_write_1h),
            (usage.output, rates.output),
            (usage.reasoning, rates.reasoning),
        ];
        self.round_up(classes)
    }

    /// The dearest that a call can cost: its input bound at the dearest input class, its output
    /// bound at the dearest output class, each at the dearest tier that could apply.
    ///
    /// `may_write_cache` says whether the call can write to the provider's cache at all.
    pub fn upper_bound(
        &self,
        input_bound: u64,
        output_bound: u64,
        may_write_cache: bool,
    ) -> Result<Credits, CostOutOfRange> {
        let applicable = self.tiers.iter().filter(|tier| tier.from_input_tokens <= input_bound);
        let (mut input, mut output) = (0, 0);
        for Tier { rates, .. } in applicable {
            input = input.max(rates.input).max(rates.cached_read);
            if may_write_cache {
                input = input.max(rates.cache_write_5m).max(rates.cache_write_1h);
            }
            output = output.max(rates.output).max(rates.reasoning);
        }
        self.round_up([(input_bound, input), (output_bound, output)])
    }

    fn rates_for(&self, input_total: u64) -> Result<&Rates, CostOutOfRange> {
        let tier = self.tiers.iter().rev().find(|tier| tier.from_input_tokens <= input_total);
        tier.map(|tier| &tier.rates).ok_or(CostOutOfRange)
    }

    fn round_up<const N: usize>(
        &self,
        classes: [(u64, i64); N],
    ) -> Result<Credits, CostOutOfRange> {
        let mut total = i128::from(self.per_request.nanos())
            .checked_mul(TOKENS_PER_RATE)
            .ok_or(CostOutOfRange)?;
        for (tokens, rate) in classes {
            if rate < 0 {
                return Err(CostOutOfRange);
            }
            let class = i128::from(tokens).checked_mul(i128::from(rate)).ok_or(CostOutOfRange)?;
            total = total.checked_add(class).ok_or(CostOutOfRange)?;
        }
        if total < 0 {
            return Err(CostOutOfRange);
        }
        let whole = total.checked_add(TOKENS_PER_RATE - 1).ok_or(CostOutOfRange)? / TOKENS_PER_RATE;
        i64::try_from(whole).map(Credits::from_nanos).map_err(|_| CostOutOfRange)
    }
}
