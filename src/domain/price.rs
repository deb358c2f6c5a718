//! Prices per class of token, and the cost of a usage, computed in whole numbers only.

mod agreement;
#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "sums of small test data")]
mod bound_tests;

use std::{collections::HashMap, sync::Arc};

pub use agreement::{Agreement, MARKUP_BPS_MAX, Quote};

use super::{credits::Credits, ids::PriceId, usage::Usage};

/// Nano-dollars per **million** tokens for each class.
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

impl Rates {
    /// All rates with the names of their classes.
    pub const fn by_class(&self) -> [(&'static str, i64); 6] {
        let Self { input, cached_read, cache_write_5m, cache_write_1h, output, reasoning } = *self;
        [
            ("input", input),
            ("cached_read", cached_read),
            ("cache_write_5m", cache_write_5m),
            ("cache_write_1h", cache_write_1h),
            ("output", output),
            ("reasoning", reasoning),
        ]
    }

    /// Refuses a negative rate, which would turn usage into credit.
    fn check(&self) -> Result<(), CostOutOfRange> {
        if self.by_class().iter().all(|(_, rate)| *rate >= 0) {
            Ok(())
        } else {
            Err(CostOutOfRange)
        }
    }
}

/// The rates of calls with at least `from_input_tokens` input tokens, of all classes together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tier {
    /// The smallest input that this tier prices; 0 for the first.
    pub from_input_tokens: u64,
    /// The rates of this tier.
    pub rates: Rates,
}

/// One versioned price of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelPrice {
    /// The id of the price's row, stored with every settlement that it prices.
    pub price_id: PriceId,
    /// The model as callers name it.
    pub model: String,
    /// The provider that sells the model.
    pub provider: String,
    /// `chat`, `embedding`, … as the price file names it.
    pub mode: String,
    /// The price of each request, on top of its tokens.
    pub per_request: Credits,
    /// At least one tier, in ascending order; the first one begins at 0.
    pub tiers: Vec<Tier>,
    /// The most input tokens that the model accepts.
    pub input_tokens_max: Option<u64>,
    /// The most output tokens that the model writes in one answer.
    pub output_tokens_max: Option<u64>,
}

/// All prices in force, by model name.
#[derive(Clone, Debug, Default)]
pub struct PriceBook {
    by_model: HashMap<String, Arc<ModelPrice>>,
}

impl PriceBook {
    /// A book of these prices. If a model has two, the later one counts.
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
/// A hundred percent in basis points.
const WHOLE_BPS: i128 = 10_000;
/// A millionth of a nano-dollar with a mark-up in basis points, to nano-dollars.
const SCALE: i128 = TOKENS_PER_RATE * WHOLE_BPS;

impl ModelPrice {
    /// The cost of `usage`: each class at its rate in the tier of the total input, rounded up once.
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
        round_up(self.exact_cost(usage)?, 0)
    }

    /// An upper bound of a call's cost: its input bound at the highest rate of an input class, and its output bound at
    /// the highest rate of an output class, among all tiers that could apply.
    ///
    /// `may_write_cache` says whether the call can write to the provider's cache at all.
    pub fn upper_bound(
        &self,
        input_bound: u64,
        output_bound: u64,
        may_write_cache: bool,
    ) -> Result<Credits, CostOutOfRange> {
        round_up(self.exact_bound(input_bound, output_bound, may_write_cache)?, 0)
    }

    /// The rates of a call with this total input: those of the last tier that begins at or below it.
    pub fn rates_for(&self, input_total: u64) -> Result<&Rates, CostOutOfRange> {
        let tier = self.tiers.iter().rev().find(|tier| tier.from_input_tokens <= input_total);
        tier.map(|tier| &tier.rates).ok_or(CostOutOfRange)
    }

    /// In millionths of a nano-dollar: nothing is rounded yet.
    fn exact_cost(&self, usage: &Usage) -> Result<i128, CostOutOfRange> {
        let rates = self.rates_for(usage.input_total())?;
        rates.check()?;
        self.sum([
            (usage.input, rates.input),
            (usage.cached_read, rates.cached_read),
            (usage.cache_write_5m, rates.cache_write_5m),
            (usage.cache_write_1h, rates.cache_write_1h),
            (usage.output, rates.output),
            (usage.reasoning, rates.reasoning),
        ])
    }

    fn exact_bound(
        &self,
        input_bound: u64,
        output_bound: u64,
        may_write_cache: bool,
    ) -> Result<i128, CostOutOfRange> {
        // A model without tiers has no price; it is not free.
        self.rates_for(input_bound)?;
        let (mut input, mut output) = (0, 0);
        for Tier { rates, .. } in
            self.tiers.iter().filter(|tier| tier.from_input_tokens <= input_bound)
        {
            rates.check()?;
            input = input.max(rates.input).max(rates.cached_read);
            if may_write_cache {
                input = input.max(rates.cache_write_5m).max(rates.cache_write_1h);
            }
            output = output.max(rates.output).max(rates.reasoning);
        }
        self.sum([(input_bound, input), (output_bound, output)])
    }

    fn sum<const N: usize>(&self, classes: [(u64, i64); N]) -> Result<i128, CostOutOfRange> {
        if self.per_request < Credits::ZERO {
            return Err(CostOutOfRange);
        }
        let mut total = i128::from(self.per_request.nanos())
            .checked_mul(TOKENS_PER_RATE)
            .ok_or(CostOutOfRange)?;
        for (tokens, rate) in classes {
            let class = i128::from(tokens).checked_mul(i128::from(rate)).ok_or(CostOutOfRange)?;
            total = total.checked_add(class).ok_or(CostOutOfRange)?;
        }
        Ok(total)
    }
}

/// The exact sum with its mark-up, as an amount. This is the only place where a cost is rounded.
///
/// A sum that overflows an `i128` here is far beyond any amount.
fn round_up(exact: i128, markup_bps: u32) -> Result<Credits, CostOutOfRange> {
    let factor = WHOLE_BPS.saturating_add(i128::from(markup_bps));
    let scaled = exact.checked_mul(factor).ok_or(CostOutOfRange)?;
    let whole = scaled.checked_add(SCALE - 1).ok_or(CostOutOfRange)? / SCALE;
    i64::try_from(whole).map(Credits::from_nanos).map_err(|_| CostOutOfRange)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn model(per_request: i64, tiers: Vec<Tier>) -> ModelPrice {
        ModelPrice {
            price_id: PriceId::new(uuid::Uuid::nil()),
            model: "m".into(),
            provider: "p".into(),
            mode: "chat".into(),
            per_request: Credits::from_nanos(per_request),
            tiers,
            input_tokens_max: None,
            output_tokens_max: None,
        }
    }

    fn flat(rates: Rates) -> ModelPrice {
        model(0, vec![Tier { from_input_tokens: 0, rates }])
    }

    #[test]
    fn a_cost_is_rounded_up_once() {
        let price = flat(Rates { input: 1, cached_read: 1, output: 1, ..Rates::default() });
        let usage = Usage { input: 1, cached_read: 1, output: 1, ..Usage::default() };
        assert_eq!(price.cost(&usage), Ok(Credits::from_nanos(1)));
        assert_eq!(price.cost(&Usage::default()), Ok(Credits::ZERO));
        assert_eq!(price.cost(&Usage { input: 1_000_000, ..usage }), Ok(Credits::from_nanos(2)));
    }

    #[test]
    fn a_tier_prices_the_whole_call() {
        let rates = |input| Rates { input, ..Rates::default() };
        let price = model(
            7,
            vec![
                Tier { from_input_tokens: 0, rates: rates(1_000_000) },
                Tier { from_input_tokens: 101, rates: rates(2_000_000) },
            ],
        );
        let cost = |input| price.cost(&Usage { input, ..Usage::default() }).unwrap().nanos();
        assert_eq!((cost(100), cost(101)), (107, 209));
        assert_eq!(price.upper_bound(100, 0, false), Ok(Credits::from_nanos(107)));
        assert_eq!(price.upper_bound(101, 0, false), Ok(Credits::from_nanos(209)));
    }

    #[test]
    fn a_cost_beyond_the_edge_is_refused_and_never_wraps() {
        let price = flat(Rates { input: 1_000_000, output: i64::MAX, ..Rates::default() });
        let edge = u64::try_from(i64::MAX).unwrap();
        let input = |input| Usage { input, ..Usage::default() };
        assert_eq!(price.cost(&input(edge)), Ok(Credits::MAX));
        assert_eq!(price.cost(&input(edge.saturating_add(1))), Err(CostOutOfRange));
        assert_eq!(
            price.cost(&Usage { output: u64::MAX, reasoning: u64::MAX, ..Usage::default() }),
            Err(CostOutOfRange)
        );
        assert_eq!(price.upper_bound(u64::MAX, u64::MAX, true), Err(CostOutOfRange));
        let price = model(
            i64::MAX,
            vec![Tier { from_input_tokens: 0, rates: Rates { input: 1, ..Rates::default() } }],
        );
        assert_eq!(price.cost(&Usage::default()), Ok(Credits::MAX));
        assert_eq!(price.cost(&input(1)), Err(CostOutOfRange));
    }

    #[test]
    fn a_negative_or_missing_price_is_no_price() {
        let usage = Usage { output: 5, ..Usage::default() };
        for price in [
            flat(Rates { input: -1, output: 5, ..Rates::default() }),
            flat(Rates { output: -1, ..Rates::default() }),
            model(
                -1,
                vec![Tier {
                    from_input_tokens: 0,
                    rates: Rates { output: 5_000_000, ..Rates::default() },
                }],
            ),
            model(0, vec![]),
        ] {
            assert_eq!(price.cost(&usage), Err(CostOutOfRange));
            assert_eq!(price.upper_bound(5, 5, false), Err(CostOutOfRange));
        }
    }

    fn rates() -> impl Strategy<Value = Rates> {
        let rate = 0_i64..1_000_000_000_000;
        (rate.clone(), rate.clone(), rate.clone(), rate.clone(), rate.clone(), rate).prop_map(
            |(input, cached_read, cache_write_5m, cache_write_1h, output, reasoning)| Rates {
                input,
                cached_read,
                cache_write_5m,
                cache_write_1h,
                output,
                reasoning,
            },
        )
    }

    fn usages() -> impl Strategy<Value = Usage> {
        let count = 0_u64..300_000;
        (count.clone(), count.clone(), count.clone(), count.clone(), count.clone(), count).prop_map(
            |(input, cached_read, cache_write_5m, cache_write_1h, output, reasoning)| Usage {
                input,
                cached_read,
                cache_write_5m,
                cache_write_1h,
                output,
                reasoning,
            },
        )
    }

    proptest! {
        #[test]
        fn nothing_within_its_bounds_costs_more_than_the_upper_bound(
            first in rates(), second in rates(), from in 1_u64..1_000_000, per_request in 0_i64..1_000_000, usage in usages(),
            writes: bool, more_input in 0_u64..1_000_000, more_output in 0_u64..1_000_000,
        ) {
            let usage = if writes { usage } else { Usage { cache_write_5m: 0, cache_write_1h: 0, ..usage } };
            let price = model(per_request, vec![Tier { from_input_tokens: 0, rates: first }, Tier { from_input_tokens: from, rates: second }]);
            let input = usage.input_total().saturating_add(more_input);
            let output = usage.output_total().saturating_add(more_output);
            prop_assert!(price.upper_bound(input, output, writes).unwrap() >= price.cost(&usage).unwrap());
        }

        #[test]
        fn a_cost_is_exact_or_refused(
            rates in [rate(), rate(), rate(), rate(), rate(), rate()], counts in [count(), count(), count(), count(), count(), count()],
            per_request in rate(), markup_bps in prop_oneof![Just(0), 0_u32..20_000, any::<u32>()],
        ) {
            let [input, cached_read, cache_write_5m, cache_write_1h, output, reasoning] = rates;
            let price = model(per_request, vec![Tier { from_input_tokens: 0, rates: Rates { input, cached_read, cache_write_5m, cache_write_1h, output, reasoning } }]);
            let [input, cached_read, cache_write_5m, cache_write_1h, output, reasoning] = counts;
            let usage = Usage { input, cached_read, cache_write_5m, cache_write_1h, output, reasoning };
            let cost = price.exact_cost(&usage).and_then(|exact| round_up(exact, markup_bps));
            prop_assert_eq!(cost.ok().map(Credits::nanos), computed(&rates, &counts, per_request, markup_bps));
        }
    }

    /// A rate, often one at the edge of its range.
    fn rate() -> impl Strategy<Value = i64> {
        let largest = i64::MAX.saturating_sub(2)..=i64::MAX;
        prop_oneof![4 => 0_i64..1_000_000_000, 2 => Just(0), 1 => 0..=i64::MAX, 1 => largest, 1 => -2_i64..2]
    }

    /// A number of tokens, often one at the edge of its range, or one with a cost near the largest amount.
    fn count() -> impl Strategy<Value = u64> {
        let largest = u64::MAX.saturating_sub(2)..=u64::MAX;
        prop_oneof![4 => 0_u64..1_000_000, 2 => Just(0), 1 => any::<u64>(), 1 => largest, 1 => 0_u64..100_000_000_000_000]
    }

    /// The cost, computed in another way: whole nano-dollars and millionths are kept apart, so that nothing can
    /// overflow.
    fn computed(rates: &[i64; 6], counts: &[u64; 6], per_request: i64, bps: u32) -> Option<i64> {
        let (mut whole, mut millionths) = (u128::try_from(per_request).ok()?, 0_u128);
        for (rate, count) in rates.iter().zip(counts) {
            let product = u128::try_from(*rate).ok()?.checked_mul(u128::from(*count)).unwrap();
            whole = whole.checked_add(product / 1_000_000).unwrap();
            millionths = millionths.checked_add(product % 1_000_000).unwrap();
        }
        // With or without a mark-up it is beyond any amount.
        let whole = u128::from(u64::try_from(whole).ok()?);
        let exact = whole.checked_mul(1_000_000).unwrap().checked_add(millionths).unwrap();
        let marked_up = exact.checked_mul(u128::from(bps).checked_add(10_000).unwrap()).unwrap();
        i64::try_from(marked_up.div_ceil(10_000_000_000)).ok()
    }
}
