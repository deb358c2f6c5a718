#![expect(clippy::arithmetic_side_effects, reason = "sums of small test data")]

use std::collections::HashSet;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::domain::decimal::{scaled, scaled_float};
use crate::domain::{credits::Credits, price::Rates, usage::Usage};

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
fn a_format_is_named_by_one_word() {
    assert_eq!("tollgate".parse(), Ok(Format::Tollgate));
    assert_eq!("litellm".parse(), Ok(Format::LiteLlm));
    assert_eq!("LiteLLM".parse::<Format>(), Err(UnknownFormat));
}

#[test]
fn the_prices_that_come_with_this_version_are_read() {
    let file = built_in();
    assert_eq!(file.prices.len() + file.skipped.len(), 1823);
    assert!(file.prices.len() > 1_680);
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
fn a_model_with_a_bad_price_is_left_out_and_the_others_are_taken() {
    for (field, value, problem) in [
        ("input_cost_per_token", "-1e-06", DecimalError::Negative),
        ("output_cost_per_token", "cheap", DecimalError::Malformed),
        ("cache_read_input_token_cost_above_200k_tokens", "1e-16", DecimalError::TooFine),
        ("input_cost_per_request", "1e30", DecimalError::TooLarge),
        ("max_input_tokens", "1.5", DecimalError::TooFine),
    ] {
        let mut file = json!({"good": chat("1e-06", "1e-06"), "bad": chat("1e-06", "1e-06")});
        file["bad"][field] = json!(value);
        let read = PriceFile::parse(&serde_json::to_vec(&file).unwrap()).unwrap();
        let priced: Vec<_> = read.prices.iter().map(|price| price.model.as_str()).collect();
        assert_eq!(priced, ["good"], "{field}");
        let (field, problem) = (field.to_owned(), FieldProblem::Number(problem));
        let reason = SkipReason::Field { field, problem };
        assert_eq!(read.skipped, [Skipped { model: "bad".into(), reason }]);
    }
}

#[test]
fn what_is_wrong_as_a_whole_is_an_error() {
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
    let huge = parse("claude", &chat("9000", "1")).unwrap_err();
    let too_large = FieldProblem::Number(DecimalError::TooLarge);
    assert_eq!(huge, one_fault("claude", "input_cost_per_token", too_large));
    // Two of three models have faults.
    let file = json!({"a": chat("1e-06", "x"), "b": chat("x", "x"), "c": chat("1e-06", "1e-06")});
    let error = PriceFile::parse(&serde_json::to_vec(&file).unwrap()).unwrap_err();
    assert!(matches!(error, PriceFileError::Fields(faults) if faults.len() == 3));
}

#[test]
fn a_price_that_floats_have_computed_is_read_by_the_digits_that_they_keep() {
    for (text, expected) in [
        ("2.9999900000000002e-06", Ok(2_999_990_000)),
        ("1.0000000000000001e-07", Ok(100_000_000)),
        ("0.00000026999999999999996", Ok(270_000_000)),
        ("9.99999999999999999e-07", Ok(1_000_000_000)),
        ("4.123456789e-06", Ok(4_123_456_789)),
        ("0.0", Ok(0)),
        ("1.5e-15", Err(DecimalError::TooFine)),
        ("3.3333333333333335e-08", Err(DecimalError::TooFine)),
        ("99999999999999999999999", Err(DecimalError::TooLarge)),
        ("-2e-06", Err(DecimalError::Negative)),
        ("2e-06x", Err(DecimalError::Malformed)),
    ] {
        assert_eq!(scaled_float(text, 15), expected, "{text}");
    }
    // In our format, digits are not rounded away.
    assert_eq!(scaled("2.9999900000000002e-06", 15), Err(DecimalError::TooFine));
}

fn one_fault(model: &str, field: &str, problem: FieldProblem) -> PriceFileError {
    PriceFileError::Fields(vec![FieldFault { model: model.into(), field: field.into(), problem }])
}

#[test]
fn a_bad_file_says_all_that_is_wrong_with_it() {
    let mut file = json!({"one": chat("-1", "1e-06"), "two": chat("1e-06", "1e-06"), "three": chat("1e-06", "?")});
    file["two"]["cache_read_input_token_cost"] = json!([1]);
    let error = PriceFile::parse(&serde_json::to_vec(&file).unwrap()).unwrap_err();
    let PriceFileError::Fields(faults) = &error else { panic!("{error}") };
    let mut said: Vec<String> = faults.iter().map(ToString::to_string).collect();
    said.sort_unstable();
    assert_eq!(
        said,
        [
            "cache_read_input_token_cost of two: it is not a number",
            "input_cost_per_token of one: it is negative",
            "output_cost_per_token of three: it is not a number",
        ]
    );
    assert!(error.to_string().ends_with("and 2 more faults"), "{error}");
    // A field that is not a cost may have any value.
    let mut other = chat("1e-06", "1e-06");
    other["supported_regions"] = json!([{"range": [0, 1]}]);
    other["metadata"] = json!({"low": 0.01});
    other["cache_read_input_token_cost"] = json!(null);
    assert_eq!(price("m", &other).tiers.len(), 1);
}

#[test]
fn a_price_beyond_belief_is_no_price() {
    // LiteLLM's entry for one model has prices per thousand tokens instead of per token.
    assert_eq!(skipped(&chat("0.0032", "0.00971")), SkipReason::Implausible);
    let skipped: Vec<_> = built_in()
        .skipped
        .iter()
        .filter(|skipped| skipped.reason == SkipReason::Implausible)
        .map(|skipped| skipped.model.as_str())
        .collect();
    assert_eq!(skipped, ["azure_ai/jais-30b-chat"]);
}

/// A file of ours with one model.
fn own(fields: &Value) -> Result<PriceFile, PriceFileError> {
    let file = json!({"tollgate_prices": 1, "models": {"m": fields}});
    PriceFile::read(&serde_json::to_vec(&file).unwrap(), Format::Tollgate)
}

fn own_faults(fields: &Value) -> Vec<String> {
    match own(fields) {
        Err(PriceFileError::Fields(faults)) => faults.iter().map(ToString::to_string).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_file_of_ours_is_read_to_the_last_digit() {
    let text = br#"{
        "tollgate_prices": 1,
        "comment": "as of today",
        "models": {"acme-large": {
            "provider": "acme", "mode": "responses", "comment": "negotiated",
            "usd_per_million_tokens": {"input": 3, "output": "15.000000001", "cached_read": 0.30, "reasoning": 0},
            "tiers": [{"from_input_tokens": 200001, "usd_per_million_tokens": {"input": 6, "cache_write_5m": 7.5, "output": 22.5}}],
            "usd_per_request": "0.01", "input_tokens_max": 1000000, "output_tokens_max": 64000,
            "free": ["reasoning"]
        }}
    }"#;
    assert_eq!(Format::of(text), Format::Tollgate);
    let file = PriceFile::read(text, Format::Tollgate).unwrap();
    let price = &file.prices[0];
    assert_eq!(
        (price.model.as_str(), price.provider.as_str(), price.mode.as_str()),
        ("acme-large", "acme", "responses")
    );
    let first = Rates {
        input: 3_000_000_000,
        cached_read: 300_000_000,
        cache_write_5m: 3_000_000_000,
        cache_write_1h: 3_000_000_000,
        output: 15_000_000_001,
        reasoning: 0,
    };
    let second = Rates {
        input: 6_000_000_000,
        cached_read: 6_000_000_000,
        cache_write_5m: 7_500_000_000,
        cache_write_1h: 7_500_000_000,
        output: 22_500_000_000,
        reasoning: 22_500_000_000,
    };
    let tiers = price.tiers.iter().map(|tier| (tier.from_input_tokens, tier.rates));
    assert_eq!(tiers.collect::<Vec<_>>(), [(0, first), (200_001, second)]);
    assert_eq!(price.per_request.nanos(), 10_000_000);
    assert_eq!((price.input_tokens_max, price.output_tokens_max), (Some(1_000_000), Some(64_000)));
    assert_eq!(Format::of(br#"{"gpt-4o":{}}"#), Format::LiteLlm);
    assert_eq!(Format::of(br#"{"tollgate_prices""#), Format::LiteLlm);
}

#[test]
fn a_file_of_ours_guesses_nothing() {
    for (fields, faults) in [
        (json!({}), &["input of m: it is missing", "output of m: it is missing"][..]),
        (
            json!({"usd_per_million_tokens": {"input": 1, "output": 2, "cached": 1}}),
            &["cached of m: there is no such field"],
        ),
        (
            json!({"usd_per_million_tokens": {"input": "-1", "output": true}}),
            &[
                "input of m: it is negative",
                "output of m: it is not of the kind that is expected there",
            ],
        ),
        (
            json!({"usd_per_million_tokens": {"input": 1, "output": "1e-10"}}),
            &["output of m: it is finer than can be kept"],
        ),
        (
            json!({"usd_per_million_tokens": {"input": 0, "output": "0.0"}}),
            &[
                "input of m: it is zero, and not marked as free",
                "output of m: it is zero, and not marked as free",
            ],
        ),
        (
            json!({"usd_per_million_tokens": {"input": 1, "output": 0}, "free": ["input"]}),
            &["output of m: it is zero, and not marked as free"],
        ),
        (
            json!({"usd_per_million_tokens": {"input": 1, "output": 1}, "free": ["inputs"]}),
            &["free of m: there is no such field"],
        ),
        (
            json!({"usd_per_million_tokens": {"input": 1, "output": 1}, "mode": "image_generation"}),
            &["mode of m: it is none of chat, responses, completion and embedding"],
        ),
        (
            json!({"usd_per_million_tokens": {"input": 1, "output": 1}, "tiers": [
                {"from_input_tokens": 10, "usd_per_million_tokens": {"input": 1, "output": 1}},
                {"from_input_tokens": 10, "usd_per_million_tokens": {"input": 1}}]}),
            &[
                "tiers[1].from_input_tokens of m: it is not above the tier before it",
                "tiers[1].output of m: it is missing",
            ],
        ),
        (
            json!({"usd_per_million_tokens": {"input": 1, "output": 1}, "tiers": {}, "price": 1}),
            &[
                "price of m: there is no such field",
                "tiers of m: it is not of the kind that is expected there",
            ],
        ),
    ] {
        assert_eq!(own_faults(&fields), faults, "{fields}");
    }
    for file in
        [r#"{"models":{}}"#, r#"{"tollgate_prices":2}"#, r#"{"tollgate_prices":1,"model":{}}"#]
    {
        let read = PriceFile::read(file.as_bytes(), Format::Tollgate);
        assert!(matches!(read, Err(PriceFileError::Fields(_))), "{file}");
    }
    let twice = br#"{"tollgate_prices":1,"models":{"m":{"free":true},"\u006d":{"free":true}}}"#;
    let twice = PriceFile::read(twice, Format::Tollgate).unwrap_err();
    assert!(twice.to_string().contains("\"m\" appears twice"), "{twice}");
}

#[test]
fn zero_is_a_price_only_where_it_is_said_to_be_free() {
    let free = own(&json!({"usd_per_million_tokens": {"input": 0, "output": 0}, "free": true}));
    assert_eq!(free.unwrap().prices[0].tiers[0].rates, Rates::default());
    let embeds = json!({"mode": "embedding", "usd_per_million_tokens": {"input": "0.02"}});
    assert_eq!(own(&embeds).unwrap().prices[0].tiers[0].rates.output, 0);
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
    for field in
        ["citation_cost_per_token", "output_cost_per_image_token", "output_cost_per_video_token"]
    {
        let mut more = chat("1e-06", "1e-06");
        more[field] = json!("2e-06");
        assert!(matches!(skipped(&more), SkipReason::Unmetered { .. }));
    }
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
fn a_cost_that_nobody_has_reviewed_makes_its_model_unpriced() {
    let with = |field: &str, value: Value| {
        let mut fields = chat("1e-06", "2e-06");
        fields[field] = value;
        fields
    };
    for (field, value) in [
        ("input_cost_per_token_balanced", json!("1e-06")),
        ("output_cost_per_image", json!(0.04)),
        ("input_cost_per_character", json!("1e-07")),
        ("cost_per_second", json!(0.001)),
        ("tiered_pricing", json!([{"range": [0, 1], "input_cost_per_token": 1e-06}])),
        ("some_new_fee", json!({"per_call": 1})),
        ("monthly_price", json!("on request")),
        ("input_cost_per_image_token", json!("1.1e-06")),
    ] {
        let reason = SkipReason::Unmetered { field: field.to_owned() };
        assert_eq!(skipped(&with(field, value)), reason);
    }
    for (field, value) in [
        ("some_new_fee", json!(0)),
        ("some_new_fee", json!("0.0")),
        ("some_new_fee", json!(null)),
        ("input_cost_per_image_token", json!("1e-06")),
        // Other tiers, tools that the provider runs, audio and video: such calls are refused.
        ("input_cost_per_token_above_272k_tokens_ultrafast", json!(1)),
        ("google_maps_grounding_cost_per_query", json!(0.014)),
        ("code_interpreter_cost_per_session", json!(0.03)),
        ("input_cost_per_audio_token", json!("3.2e-05")),
        ("input_cost_per_video_per_second", json!(0.002)),
        // Calls that ask for a search are refused, too.
        ("search_context_cost_per_query", json!({"search_context_size_high": 0.05})),
    ] {
        let price = price("m", &with(field, value));
        assert_eq!(price.per_request, Credits::ZERO, "{field}");
    }
}

#[test]
fn a_model_that_searches_on_every_call_is_sold_with_its_dearest_search() {
    let mut fields = chat("1e-06", "2e-06");
    fields["search_context_cost_per_query"] =
        json!({"search_context_size_low": 0.03, "search_context_size_high": "0.05"});
    for model in ["gpt-4o-search-preview", "gpt-5-search-api", "perplexity/sonar"] {
        assert_eq!(price(model, &fields).per_request, Credits::from_nanos(50_000_000), "{model}");
    }
    fields["input_cost_per_request"] = json!("0.001");
    fields["input_cost_per_query"] = json!(0.002);
    assert_eq!(price("sonar", &fields).per_request, Credits::from_nanos(53_000_000));
    // The number of searches of a research model has no bound.
    let reason = &parse("sonar-deep-research", &fields).unwrap().skipped[0].reason;
    let field = "search_context_cost_per_query".to_owned();
    assert_eq!(*reason, SkipReason::Unmetered { field });
    fields["search_context_cost_per_query"] = json!({"search_context_size_low": "dear"});
    assert!(parse("sonar", &fields).is_err());
    let sold: Vec<_> = built_in()
        .prices
        .iter()
        .filter(|price| {
            price.model.contains("search-preview") || price.model.contains("search-api")
        })
        .collect();
    assert!(
        sold.len() >= 6 && sold.iter().all(|price| price.per_request > Credits::ZERO),
        "{sold:?}"
    );
}

#[test]
fn prices_at_certain_hours_are_of_no_account_where_they_are_not_dearer() {
    let with = |cost: &str| {
        let mut fields = chat("3e-07", "1e-06");
        fields["off_peak_pricing"] =
            json!({"input_cost_per_token": cost, "windows": [{"hours_utc": "00:00-06:00"}]});
        parse("m", &fields).unwrap()
    };
    assert_eq!(with("3e-07").prices[0].tiers[0].rates.input, 300_000_000);
    assert_eq!(with("4e-07").prices, []);
    // A cost of these hours that is not a price of tokens is not known to be less.
    for field in ["some_new_fee", "input_cost_per_request", "search_context_cost_per_query"] {
        let mut fields = chat("3e-07", "1e-06");
        fields["off_peak_pricing"] = json!({"input_cost_per_token": "1e-07", field: "0.01"});
        assert_eq!(parse("m", &fields).unwrap().prices, [], "{field}");
    }
}

#[test]
fn a_cache_write_for_longer_than_an_hour_is_held_for_by_the_dearer_price() {
    let mut fields = chat("1e-06", "2e-06");
    fields["cache_creation_input_token_cost_above_1hr"] = json!("2e-06");
    fields["cache_creation_input_token_cost_above_12hr"] = json!("2.5e-06");
    assert_eq!(price("m", &fields).tiers[0].rates.cache_write_1h, 2_500_000_000);
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

#[test]
fn every_class_of_a_foreign_file_goes_where_it_belongs() {
    let fields = json!({
        "litellm_provider": "acme", "mode": "chat",
        "input_cost_per_token": 1e-06, "cache_read_input_token_cost": 2e-06,
        "cache_creation_input_token_cost": 3e-06, "cache_creation_input_token_cost_above_1hr": 4e-06,
        "output_cost_per_token": 5e-06, "output_cost_per_reasoning_token": 6e-06,
        "max_tokens": 7,
    });
    let price = price("m", &fields);
    let [tier] = price.tiers.as_slice() else { panic!("{price:?}") };
    let expected = Rates {
        input: 1_000_000_000,
        cached_read: 2_000_000_000,
        cache_write_5m: 3_000_000_000,
        cache_write_1h: 4_000_000_000,
        output: 5_000_000_000,
        reasoning: 6_000_000_000,
    };
    assert_eq!((tier.rates, price.output_tokens_max), (expected, Some(7)));
    // A maximum of zero tokens counts as none.
    let mut none = fields.clone();
    none["max_tokens"] = json!(0);
    assert_eq!(self::price("m", &none).output_tokens_max, None);
    // A further cost of zero does not keep a model from having a price; a cost above zero does.
    for (cost, has_price) in [(0.0, true), (1e-06, false)] {
        let mut pictures = fields.clone();
        pictures["output_cost_per_image_token"] = json!(cost);
        assert_eq!(parse("m", &pictures).unwrap().prices.len(), usize::from(has_price), "{cost}");
    }
}

#[test]
fn every_class_of_our_own_file_has_its_name() {
    let mut draft = ClassDraft::default();
    for (value, name) in
        ["input", "cached_read", "cache_write_5m", "cache_write_1h", "output", "reasoning"]
            .into_iter()
            .enumerate()
    {
        *draft.class(name).unwrap() = i64::try_from(value).ok();
    }
    let ClassDraft { input, cached_read, cache_write_5m, cache_write_1h, output, reasoning } =
        draft;
    let all = [input, cached_read, cache_write_5m, cache_write_1h, output, reasoning];
    assert_eq!(all, [0, 1, 2, 3, 4, 5].map(Some));
    assert!(ClassDraft::default().class("pictures").is_none());
}
