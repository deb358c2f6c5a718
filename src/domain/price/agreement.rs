//! The prices of an organization: those agreed with it, else the list prices with its mark-up.

use std::{collections::HashMap, sync::Arc};

use super::{CostOutOfRange, ModelPrice, PriceBook, round_up};
use crate::domain::{credits::Credits, ids::PriceId, usage::Usage};

/// The highest allowed mark-up, in basis points: a hundred times the list price is added to it.
pub const MARKUP_BPS_MAX: u32 = 1_000_000;

/// The prices that are agreed with one organization. The default is the list price.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Agreement {
    markup_bps: u32,
    agreed: HashMap<String, Arc<ModelPrice>>,
}

impl Agreement {
    /// These agreed prices, and for all other models the list price with this mark-up in basis points (hundredths of a
    /// percent).
    pub fn new(markup_bps: u32, agreed: impl IntoIterator<Item = ModelPrice>) -> Self {
        let agreed = agreed.into_iter().map(|price| (price.model.clone(), Arc::new(price)));
        Self { markup_bps, agreed: agreed.collect() }
    }

    /// The mark-up on list prices, in basis points.
    pub const fn markup_bps(&self) -> u32 {
        self.markup_bps
    }

    /// The agreed prices, in no particular order.
    pub fn agreed(&self) -> impl Iterator<Item = &Arc<ModelPrice>> {
        self.agreed.values()
    }

    /// The price of a call of `model`. `None` if neither the agreement nor the list has one: such a call is refused,
    /// never free.
    ///
    /// The mark-up is not added to an agreed price.
    ///
    /// ```
    /// # use tollgate::domain::{credits::Credits, ids::PriceId, usage::Usage};
    /// # use tollgate::domain::price::{Agreement, ModelPrice, PriceBook, Rates, Tier};
    /// # let price = |model: &str, input| ModelPrice {
    /// #     price_id: PriceId::new(uuid::Uuid::nil()), model: model.into(), provider: "acme".into(), mode: "chat".into(),
    /// #     per_request: Credits::ZERO, input_tokens_max: None, output_tokens_max: None,
    /// #     tiers: vec![Tier { from_input_tokens: 0, rates: Rates { input, ..Rates::default() } }],
    /// # };
    /// // Nano-dollars per million tokens.
    /// let list = PriceBook::new([price("small", 1_000_000), price("large", 9_000_000)]);
    /// let agreement = Agreement::new(2_000, [price("large", 7_000_000)]);
    ///
    /// let million = Usage { input: 1_000_000, ..Usage::default() };
    /// let cost = |model| agreement.quote(&list, model).map(|quote| quote.cost(&million));
    /// assert_eq!(cost("small"), Some(Ok(Credits::from_nanos(1_200_000))));
    /// assert_eq!(cost("large"), Some(Ok(Credits::from_nanos(7_000_000))));
    /// assert_eq!(cost("unheard-of"), None);
    /// ```
    pub fn quote(&self, list: &PriceBook, model: &str) -> Option<Quote> {
        let listed = list.get(model);
        let (price, markup_bps) = match (self.agreed.get(model), listed) {
            (Some(agreed), _) => (agreed, 0),
            (None, Some(listed)) => (listed, self.markup_bps),
            (None, None) => return None,
        };
        let mut quote = Quote::new(Arc::clone(price), markup_bps);
        if let Some(listed) = listed {
            // If the agreed price has no bounds, the list's apply: a model's bounds are the same for every
            // organization.
            quote.input_tokens_max = quote.input_tokens_max.or(listed.input_tokens_max);
            quote.output_tokens_max = quote.output_tokens_max.or(listed.output_tokens_max);
        }
        Some(quote)
    }
}

/// The price of a call, from its hold to its settlement: a price row, and a mark-up on it. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quote {
    price: Arc<ModelPrice>,
    markup_bps: u32,
    input_tokens_max: Option<u64>,
    output_tokens_max: Option<u64>,
}

impl Quote {
    /// This price with this mark-up, in basis points.
    pub fn new(price: Arc<ModelPrice>, markup_bps: u32) -> Self {
        let ModelPrice { input_tokens_max, output_tokens_max, .. } = *price;
        Self { price, markup_bps, input_tokens_max, output_tokens_max }
    }

    /// The price row.
    pub const fn price(&self) -> &Arc<ModelPrice> {
        &self.price
    }

    /// The price row's id, stored with the settlement.
    pub fn price_id(&self) -> PriceId {
        self.price.price_id
    }

    /// The mark-up on the price, in basis points; stored with the settlement.
    pub const fn markup_bps(&self) -> u32 {
        self.markup_bps
    }

    /// The most input tokens that the model accepts.
    pub const fn input_tokens_max(&self) -> Option<u64> {
        self.input_tokens_max
    }

    /// The most output tokens that the model writes in one answer.
    pub const fn output_tokens_max(&self) -> Option<u64> {
        self.output_tokens_max
    }

    /// The cost of `usage` with the mark-up: `⌈exact sum × (10,000 + mark-up) ÷ 10,000⌉`, rounded once.
    ///
    /// # Errors
    /// The cost does not fit an amount, a rate is negative, or no tier applies.
    pub fn cost(&self, usage: &Usage) -> Result<Credits, CostOutOfRange> {
        round_up(self.price.exact_cost(usage)?, self.markup_bps)
    }

    /// An upper bound of a call's cost with the mark-up; see [`ModelPrice::upper_bound`].
    ///
    /// # Errors
    /// As [`cost`](Self::cost).
    pub fn upper_bound(
        &self,
        input_bound: u64,
        output_bound: u64,
        may_write_cache: bool,
    ) -> Result<Credits, CostOutOfRange> {
        let exact = self.price.exact_bound(input_bound, output_bound, may_write_cache)?;
        round_up(exact, self.markup_bps)
    }
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "sums of small test data")]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::price::{Rates, Tier};

    fn price(model: &str, rates: Rates, per_request: i64) -> ModelPrice {
        ModelPrice {
            price_id: PriceId::new(uuid::Uuid::nil()),
            model: model.into(),
            provider: "acme".into(),
            mode: "chat".into(),
            per_request: Credits::from_nanos(per_request),
            tiers: vec![Tier { from_input_tokens: 0, rates }],
            input_tokens_max: None,
            output_tokens_max: None,
        }
    }

    fn quote(rates: Rates, per_request: i64, markup_bps: u32) -> Quote {
        Quote::new(Arc::new(price("m", rates, per_request)), markup_bps)
    }

    fn input(input: i64) -> Rates {
        Rates { input, ..Rates::default() }
    }

    #[test]
    fn a_mark_up_is_on_the_exact_sum_and_not_on_the_rounded_one() {
        let tokens = |input| Usage { input, ..Usage::default() };
        // 0.4 nano-dollars with a mark-up of 100 % are 0.8, rounded up to 1. Rounding first would make it 2.
        assert_eq!(quote(input(400_000), 0, 10_000).cost(&tokens(1)), Ok(Credits::from_nanos(1)));
        // 100 and a thousandth of a percent of a nano-dollar.
        assert_eq!(quote(input(100), 0, 1).cost(&tokens(1_000_000)), Ok(Credits::from_nanos(101)));
        assert_eq!(quote(input(100), 0, 0).cost(&tokens(1_000_000)), Ok(Credits::from_nanos(100)));
        // The mark-up applies to the price per request, too.
        assert_eq!(quote(input(0), 1_000, 2_500).cost(&tokens(7)), Ok(Credits::from_nanos(1_250)));
    }

    #[test]
    fn an_agreed_price_has_no_mark_up_and_keeps_the_bounds_of_the_list() {
        let (input_tokens_max, output_tokens_max) = (Some(99), Some(9));
        let listed = ModelPrice { input_tokens_max, output_tokens_max, ..price("m", input(10), 0) };
        let list = PriceBook::new([listed, price("n", input(10), 0)]);
        let agreement =
            Agreement::new(5_000, [price("m", input(3), 0), price("ours", input(1), 0)]);
        let quote = |model| agreement.quote(&list, model).unwrap();
        assert_eq!((quote("m").markup_bps(), quote("m").output_tokens_max()), (0, Some(9)));
        assert_eq!(quote("m").input_tokens_max(), Some(99));
        assert_eq!(quote("m").price().tiers[0].rates.input, 3);
        assert_eq!((quote("n").markup_bps(), quote("n").price().tiers[0].rates.input), (5_000, 10));
        // A model with an agreed price need not be in the list.
        assert_eq!(quote("ours").markup_bps(), 0);
        assert!(agreement.quote(&list, "unknown").is_none());
        assert!(Agreement::default().quote(&list, "ours").is_none());
    }

    #[test]
    fn a_cost_beyond_the_edge_is_refused_with_a_mark_up_too() {
        let edge = i64::MAX / 2;
        let usage = Usage { input: 1_000_000, ..Usage::default() };
        assert_eq!(
            quote(input(edge), 0, 10_000).cost(&usage),
            Ok(Credits::from_nanos(i64::MAX - 1))
        );
        assert_eq!(quote(input(edge), 0, 10_001).cost(&usage), Err(CostOutOfRange));
        assert_eq!(quote(input(edge), 1, 10_000).cost(&usage), Err(CostOutOfRange));
        let all = Usage { input: u64::MAX, output: u64::MAX, ..Usage::default() };
        let rates = Rates { input: i64::MAX, output: i64::MAX, ..Rates::default() };
        assert_eq!(quote(rates, i64::MAX, u32::MAX).cost(&all), Err(CostOutOfRange));
        assert_eq!(
            quote(rates, 0, MARKUP_BPS_MAX).upper_bound(u64::MAX, 1, true),
            Err(CostOutOfRange)
        );
        assert_eq!(quote(input(-1), 0, 1).cost(&usage), Err(CostOutOfRange));
    }

    proptest! {
        #[test]
        fn a_marked_up_cost_is_the_smallest_whole_amount_that_covers_it(
            rates in prop::array::uniform2(0_i64..1_000_000_000_000), tokens in prop::array::uniform2(0_u64..10_000_000),
            per_request in 0_i64..1_000_000_000, markup_bps in 0..=MARKUP_BPS_MAX,
        ) {
            let quote = quote(Rates { input: rates[0], output: rates[1], ..Rates::default() }, per_request, markup_bps);
            let usage = Usage { input: tokens[0], output: tokens[1], ..Usage::default() };
            let cost = i128::from(quote.cost(&usage).unwrap().nanos());
            let exact = i128::from(tokens[0]) * i128::from(rates[0]) + i128::from(tokens[1]) * i128::from(rates[1])
                + i128::from(per_request) * 1_000_000;
            let due = exact * (10_000 + i128::from(markup_bps));
            prop_assert!(cost * 10_000_000_000 >= due);
            prop_assert!((cost - 1) * 10_000_000_000 < due);
        }

        #[test]
        fn nothing_within_its_bounds_costs_more_than_is_held_for_it(
            rates in prop::array::uniform6(0_i64..1_000_000_000_000), tokens in prop::array::uniform6(0_u64..300_000),
            per_request in 0_i64..1_000_000, markup_bps in 0..=MARKUP_BPS_MAX,
        ) {
            let [input, cached_read, cache_write_5m, cache_write_1h, output, reasoning] = rates;
            let quote = quote(Rates { input, cached_read, cache_write_5m, cache_write_1h, output, reasoning }, per_request, markup_bps);
            let [input, cached_read, cache_write_5m, cache_write_1h, output, reasoning] = tokens;
            let usage = Usage { input, cached_read, cache_write_5m, cache_write_1h, output, reasoning };
            let held = quote.upper_bound(usage.input_total(), usage.output_total(), true).unwrap();
            prop_assert!(held >= quote.cost(&usage).unwrap());
            let dearer = Quote::new(Arc::clone(quote.price()), markup_bps.saturating_add(1));
            prop_assert!(dearer.cost(&usage).unwrap() >= quote.cost(&usage).unwrap());
        }
    }
}
