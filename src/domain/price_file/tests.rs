#![expect(clippy::arithmetic_side_effects, reason = "sums of small test data")]

use std::collections::HashSet;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{decimal::scaled, *};
use crate::domain::{price::Rates, usage::Usage};

fn parse(model: &str, fields: &Value) -> Result<PriceFile, PriceFileError> {
    PriceFile::parse(&serde_json::to_vec(&json!({ model: fields })).unwrap())
}

fn price(model: &str, fields: &Value) -> ModelPrice {
    parse(model, fields).unwrap().prices.remove(0)
}

fn skipped(fields: &Value) -> SkipReason {
    parse("m", fields).unwrap().skipped.remove(0).reason
}

fn chat(input: &str, output: &str) -> Value {
    json!({"mode": "chat", "provider": "openai", "input_cost_per_token": input, "output_cost_per_token": output})
}

#[test]
fn a_decimal_becomes_a_whole_number_exactly_or_not_at_all() {
    for (text, expected) in [
        ("1.25e-05", Ok(12_500_000_000)),
        ("0.0000000125", Ok(12_500_000)),
        ("1E-15", Ok(1)),
        ("10e-16", Ok(1)),
        ("0", Ok(0)),
        ("0.0", Ok(0)),
        ("0e-99", Ok(0)),
        ("1e-16", Err(DecimalError::TooFine)),
        ("1.5e-15", Err(DecimalError::TooFine)),
        ("9223.372036854775807", Ok(i64::MAX)),
        ("9223.372036854775808", Err(DecimalError::TooLarge)),
        ("1e9999", Err(DecimalError::TooLarge)),
        ("-1", Err(DecimalError::Negative)),
        ("-0.0", Err(DecimalError::Negative)),
    ] {
        assert_eq!(scaled(text, 15), expected, "{text}");
    }
    for text in [
        "", ".", "1.", ".5", "1e", "1e+", "+1", "1,5", "NaN", "inf", "1e99999", "1e--1", "0x1",
        " 1", "1 ", "1e1.0", "1.2.3",
    ] {
        assert_eq!(scaled(text, 15), Err(DecimalError::Malformed), "{text:?}");
    }
}

#[test]
fn the_prices_that_come_with_this_version_are_read() {
    let file = built_in();
    assert_eq!(file.prices.len() + file.skipped.len(), 1823);
    assert!(file.prices.len() > 1_700);
    let book = file.book();
    let small = book.get("gpt-4o-mini").unwrap();
    assert_eq!(small.tiers.len(), 1);
    let rates = Rates {
        input: 150_000_000,
        cached_read: 75_000_000,
        cache_write_5m: 150_000_000,
        cache_write_1h: 150_000_000,
        output: 600_000_000,
        reasoning: 600_000_000,
    };
    assert_eq!(small.tiers[0].rates, rates);
    assert_eq!((small.input_tokens_max, small.output_tokens_max), (Some(128_000), Some(16_384)));

    let tiered = book.get("claude-haiku-5-5").unwrap();
    assert_eq!(
        tiered.tiers.iter().map(|tier| tier.from_input_tokens).collect::<Vec<_>>(),
        [0, 100_001]
    );
    let rates = Rates {
        input: 500_000_000,
        cached_read: 50_000_000,
        cache_write_5m: 625_000_000,
        cache_write_1h: 1_000_000_000,
        output: 2_500_000_000,
        reasoning: 2_500_000_000,
    };
    assert_eq!(tiered.tiers[1].rates, rates);
}

#[test]
fn no_price_that_comes_with_this_version_is_free_negative_or_out_of_order() {
    for price in &built_in().prices {
        assert_eq!(
            price.tiers.first().map(|tier| tier.from_input_tokens),
            Some(0),
            "{}",
            price.model
        );
        assert!(
            price.tiers.is_sorted_by(|a, b| a.from_input_tokens < b.from_input_tokens),
            "{}",
            price.model
        );
        for tier in &price.tiers {
            let Rates { input, cached_read, cache_write_5m, cache_write_1h, output, reasoning } =
                tier.rates;
            assert!(
                input > 0
                    && cached_read > 0
                    && cache_write_5m >= input
                    && cache_write_1h >= cache_write_5m,
                "{}",
                price.model
            );
            assert!(price.mode == "embedding" || (output > 0 && reasoning > 0), "{}", price.model);
        }
        assert!(price.cost(&Usage { input: 1, ..Usage::default() }).unwrap().nanos() > 0);
    }
    let ids: HashSet<_> = built_in().prices.iter().map(|price| price.price_id).collect();
    assert_eq!(ids.len(), built_in().prices.len());
}

#[test]
fn one_bad_price_makes_the_whole_file_an_error() {
    for (field, value, problem) in [
        ("input_cost_per_token", "-1e-06", DecimalError::Negative),
        ("output_cost_per_token", "cheap", DecimalError::Malformed),
        ("cache_read_input_token_cost_above_200k_tokens", "1e-16", DecimalError::TooFine),
        ("input_cost_per_request", "1e30", DecimalError::TooLarge),
        ("max_input_tokens", "1.5", DecimalError::TooFine),
    ] {
        let mut file = json!({"good": chat("1e-06", "1e-06"), "bad": chat("1e-06", "1e-06")});
        file["bad"][field] = json!(value);
        let error = PriceFile::parse(&serde_json::to_vec(&file).unwrap()).unwrap_err();
        assert_eq!(
            error,
            PriceFileError::Field { model: "bad".into(), field: field.into(), problem }
        );
    }
    for file in [
        "",
        "[]",
        "{\"m\":7}",
        "{\"m\":{}",
        "{\"m\":{},\"m\":{}}",
        "{\"m\":{\"mode\":\"a\",\"mode\":\"b\"}}",
    ] {
        assert!(
            matches!(PriceFile::parse(file.as_bytes()), Err(PriceFileError::Json(_))),
            "{file}"
        );
    }
    let huge = parse("claude", &chat("9000", "1"));
    assert!(matches!(huge, Err(PriceFileError::Field { problem: DecimalError::TooLarge, .. })));
}

#[test]
fn a_missing_or_zero_price_is_no_price() {
    assert_eq!(
        skipped(&json!({"mode": "chat", "output_cost_per_token": "1e-06"})),
        SkipReason::NoInputPrice
    );
    assert_eq!(
        skipped(&json!({"mode": "chat", "input_cost_per_token": "1e-06"})),
        SkipReason::NoOutputPrice
    );
    assert_eq!(
        skipped(&json!({"mode": "chat", "input_cost_per_token_above_200k_tokens": "1e-06"})),
        SkipReason::NoInputPrice
    );
    assert_eq!(skipped(&chat("0", "0")), SkipReason::Zero);
    assert_eq!(skipped(&chat("0.0", "1e-06")), SkipReason::Zero);
    assert_eq!(skipped(&chat("1e-06", "0")), SkipReason::Zero);
    assert_eq!(skipped(&json!({"mode": "image_generation"})), SkipReason::Mode);
    let mut cites = chat("1e-06", "1e-06");
    cites["citation_cost_per_token"] = json!("2e-06");
    assert_eq!(skipped(&cites), SkipReason::Unmetered);
    let mut free = chat("0", "0");
    free["free"] = json!(true);
    assert_eq!(price("m", &free).tiers[0].rates, Rates::default());
    let embeds = json!({"mode": "embedding", "input_cost_per_token": "2e-08"});
    assert_eq!(price("m", &embeds).tiers[0].rates.output, 0);
    assert!(parse("sample_spec", &json!({"max_tokens": "LEGACY"})).unwrap().skipped.is_empty());
}

#[test]
fn a_class_without_a_price_takes_the_dearer_known_one() {
    let rates = price("claude-x", &chat("3e-06", "15e-06")).tiers[0].rates;
    assert_eq!(
        (rates.cached_read, rates.cache_write_5m, rates.cache_write_1h),
        (3_000_000_000, 3_750_000_000, 6_000_000_000)
    );
    assert_eq!(rates.reasoning, rates.output);
    let rates = price("claude-x", &chat("1e-15", "1e-15")).tiers[0].rates;
    assert_eq!(rates.cache_write_5m, 2, "a quarter is rounded up");
    let mut zeros = chat("2e-06", "3e-06");
    for field in [
        "cache_read_input_token_cost",
        "cache_creation_input_token_cost",
        "output_cost_per_reasoning_token",
    ] {
        zeros[field] = json!("0.0");
    }
    let rates = price("m", &zeros).tiers[0].rates;
    assert_eq!(
        (rates.cached_read, rates.cache_write_5m, rates.cache_write_1h),
        (2_000_000_000, 2_000_000_000, 2_000_000_000)
    );
    assert_eq!(rates.reasoning, 3_000_000_000);
}

#[test]
fn a_price_for_another_service_tier_is_not_read() {
    let mut fields = chat("1e-06", "1e-06");
    for field in [
        "input_cost_per_token_batches",
        "input_cost_per_token_above_200k_tokens_priority",
        "output_cost_per_token_flex",
    ] {
        fields[field] = json!("9e-06");
    }
    let price = price("m", &fields);
    assert_eq!(price.tiers.len(), 1);
    assert_eq!(price.tiers[0].rates.input, 1_000_000_000);
}

#[test]
fn an_id_is_the_same_for_the_same_price_and_changes_with_it() {
    let id = |input: &str, output: &str| price("m", &chat(input, output)).price_id;
    assert_eq!(id("1e-06", "2e-06"), id("0.000001", "2.0e-6"));
    assert_ne!(id("1e-06", "2e-06"), id("2e-06", "1e-06"));
    assert_ne!(
        price("a", &chat("1e-06", "2e-06")).price_id,
        price("b", &chat("1e-06", "2e-06")).price_id
    );
    assert_eq!(id("1e-06", "2e-06").as_uuid().get_version_num(), 8);
}

proptest! {
    #[test]
    fn any_way_to_write_a_number_reads_the_same(units in 0_i64.., zeros in 0_usize..4) {
        let plain = units.to_string();
        let padded = format!("{units:020}");
        let (whole, decimals) = padded.split_at(20 - 15);
        let trailing = "0".repeat(zeros);
        prop_assert_eq!(scaled(&format!("{plain}e-15"), 15), Ok(units));
        prop_assert_eq!(scaled(&format!("{whole}.{decimals}{trailing}"), 15), Ok(units));
        prop_assert_eq!(scaled(&format!("{plain}{trailing}E-{}", 15 + zeros), 15), Ok(units));
    }

    #[test]
    fn no_text_makes_it_panic(text in r"[0-9eE.+\-]{0,24}") {
        if let Ok(number) = scaled(&text, 15) {
            prop_assert!(number >= 0);
        }
    }
}
