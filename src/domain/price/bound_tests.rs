//! The upper bound is exactly the highest possible cost. A bound that is too high would refuse calls.

use proptest::prelude::*;

use super::*;

fn rates_of(rates: [i64; 6]) -> Rates {
    Rates {
        input: rates[0],
        cached_read: rates[1],
        cache_write_5m: rates[2],
        cache_write_1h: rates[3],
        output: rates[4],
        reasoning: rates[5],
    }
}

fn model(per_request: i64, tiers: &[(u64, [i64; 6])]) -> ModelPrice {
    let tiers = tiers.iter().map(|(from_input_tokens, rates)| Tier {
        from_input_tokens: *from_input_tokens,
        rates: rates_of(*rates),
    });
    ModelPrice {
        price_id: PriceId::new(uuid::Uuid::nil()),
        model: "m".into(),
        provider: "p".into(),
        mode: "chat".into(),
        per_request: Credits::from_nanos(per_request),
        tiers: tiers.collect(),
        input_tokens_max: None,
        output_tokens_max: None,
    }
}

/// One token of each class, in the order of [`rates_of`].
const CLASSES: [Usage; 6] = {
    let none = Usage {
        input: 0,
        cached_read: 0,
        cache_write_5m: 0,
        cache_write_1h: 0,
        output: 0,
        reasoning: 0,
    };
    [
        Usage { input: 1, ..none },
        Usage { cached_read: 1, ..none },
        Usage { cache_write_5m: 1, ..none },
        Usage { cache_write_1h: 1, ..none },
        Usage { output: 1, ..none },
        Usage { reasoning: 1, ..none },
    ]
};

#[test]
fn each_class_of_tokens_has_its_own_rate() {
    let price =
        model(0, &[(0, [1_000_000, 2_000_000, 4_000_000, 8_000_000, 16_000_000, 32_000_000])]);
    let costs = CLASSES.map(|usage| price.cost(&usage).unwrap().nanos());
    assert_eq!(costs, [1, 2, 4, 8, 16, 32]);
    let Tier { rates, .. } = price.tiers[0];
    let named = [
        ("input", 1_000_000),
        ("cached_read", 2_000_000),
        ("cache_write_5m", 4_000_000),
        ("cache_write_1h", 8_000_000),
        ("output", 16_000_000),
        ("reasoning", 32_000_000),
    ];
    assert_eq!(rates.by_class(), named);
}

#[test]
fn the_dearest_class_of_each_side_is_what_the_bound_takes() {
    let nanos = |price: &ModelPrice, writes| price.upper_bound(10, 1, writes).unwrap().nanos();
    for (dearest, expected) in [
        (0, [92, 92]),
        (1, [92, 92]),
        // A call that cannot write to a cache is not bounded by the rates of cache writes.
        (2, [12, 92]),
        (3, [12, 92]),
        (4, [19, 19]),
        (5, [19, 19]),
    ] {
        let mut rates = [1_000_000; 6];
        rates[dearest] = if dearest < 4 { 9_000_000 } else { 8_000_000 };
        let price = model(1, &[(0, rates)]);
        let expected = expected.map(|nanos| nanos);
        assert_eq!([nanos(&price, false), nanos(&price, true)], expected, "{dearest}");
    }
}

#[test]
fn only_tiers_that_could_apply_are_in_the_bound_and_each_of_them_is() {
    let tiers = [(0, [5_000_000; 6]), (100, [1_000_000; 6]), (200, [9_000_000; 6])];
    let price = model(0, &tiers);
    let bound = |input| price.upper_bound(input, 0, false).unwrap().nanos();
    assert_eq!((bound(1), bound(99), bound(100), bound(199), bound(200)), (5, 495, 500, 995, 1800));
    let rates = |input| price.rates_for(input).unwrap().input;
    assert_eq!(
        (rates(0), rates(99), rates(100), rates(199), rates(200)),
        (5_000_000, 5_000_000, 1_000_000, 1_000_000, 9_000_000)
    );
    // If the first tier begins above the input, the call has no price.
    let late = model(0, &tiers[1..]);
    assert_eq!(late.rates_for(99), Err(CostOutOfRange));
    assert_eq!(late.upper_bound(99, 1, false), Err(CostOutOfRange));
    assert_eq!(late.cost(&Usage { input: 99, ..Usage::default() }), Err(CostOutOfRange));
}

#[test]
fn any_rate_below_nothing_is_no_price_and_nothing_is_a_price() {
    for class in 0..6 {
        let mut rates = [0; 6];
        let usage = Usage { input: 3, output: 3, ..Usage::default() };
        let price = model(0, &[(0, rates)]);
        assert_eq!(
            (price.cost(&usage), price.upper_bound(3, 3, true)),
            (Ok(Credits::ZERO), Ok(Credits::ZERO))
        );
        rates[class] = -1;
        let price = model(0, &[(0, rates)]);
        assert_eq!(price.cost(&usage), Err(CostOutOfRange), "{class}");
        assert_eq!(price.upper_bound(3, 3, true), Err(CostOutOfRange), "{class}");
    }
}

#[test]
fn a_mark_up_is_in_the_cost_and_in_the_bound_and_rounded_up_with_it() {
    let quote = |input, bps| Quote::new(Arc::new(model(0, &[(0, [input, 0, 0, 0, 0, 0])])), bps);
    let cost = |input, bps| {
        let quote = quote(input, bps);
        let cost = quote.cost(&Usage { input: 1, ..Usage::default() }).unwrap();
        assert_eq!(quote.upper_bound(1, 0, false), Ok(cost));
        cost.nanos()
    };
    // A nano-dollar with the smallest mark-up is more than a nano-dollar, so it is rounded up.
    assert_eq!((cost(1_000_000, 0), cost(1_000_000, 1), cost(1_000_000, 10_000)), (1, 2, 2));
    assert_eq!((cost(1, 0), cost(1, 1), cost(0, 10_000)), (1, 1, 0));
    assert_eq!(cost(10_000_000_000, 1), 10_001);
}

#[test]
fn a_book_has_the_later_of_two_prices_for_a_model_and_counts_models() {
    assert!(PriceBook::default().is_empty());
    let named =
        |name: &str, per_request| ModelPrice { model: name.into(), ..model(per_request, &[]) };
    let book = PriceBook::new([named("a", 1), named("b", 2), named("a", 3)]);
    assert_eq!((book.len(), book.is_empty(), book.get("c")), (2, false, None));
    assert_eq!(book.get("a").unwrap().per_request.nanos(), 3);
    let mut all: Vec<_> = book.iter().map(|price| price.per_request.nanos()).collect();
    all.sort_unstable();
    assert_eq!(all, [2, 3]);
}

proptest! {
    #[test]
    fn the_upper_bound_is_reached_by_some_call_within_it(
        tiers in [proptest::array::uniform6(0_i64..10_000_000), proptest::array::uniform6(0_i64..10_000_000)],
        from in 1_u64..500, input in 0_u64..1_000, output in 0_u64..1_000, per_request in 0_i64..1_000, writes: bool,
    ) {
        let price = model(per_request, &[(0, tiers[0]), (from, tiers[1])]);
        let met = &tiers[..if input >= from { 2 } else { 1 }];
        let inputs = if writes { 0..4 } else { 0..2 };
        let dearest = |classes: std::ops::Range<usize>| {
            met.iter().flat_map(|rates| rates[classes.clone()].iter()).copied().max().unwrap()
        };
        let exact = i128::from(per_request) * 1_000_000
            + i128::from(input) * i128::from(dearest(inputs))
            + i128::from(output) * i128::from(dearest(4..6));
        let expected = i64::try_from(exact.unsigned_abs().div_ceil(1_000_000)).unwrap();
        prop_assert_eq!(price.upper_bound(input, output, writes), Ok(Credits::from_nanos(expected)));
    }
}
