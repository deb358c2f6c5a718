//! List prices and agreements.

use serde_json::json;
use tollgate::domain::usage::Usage;

use super::{Desk, own, text};

#[tokio::test]
async fn prices_come_from_a_file_and_are_shown() {
    let desk = Desk::open().await;
    let file =
        desk.file("prices.json", &own(&[("small", "0.15", "0.6"), ("large", "3", "\"15\"")]));
    let looked = desk.json(&format!("prices import {file} --dry-run"));
    assert_eq!((looked["added"].as_u64(), looked["changes"].as_array().unwrap().len()), (None, 2));
    let taken = desk.json(&format!("prices import {file}"));
    assert_eq!((taken["ok"].as_bool(), taken["added"].as_u64()), (Some(true), Some(2)));
    let again = desk.json(&format!("prices import {file}"));
    assert_eq!((again["added"].as_u64(), again["unchanged"].as_u64()), (Some(0), Some(2)));
    let shown = desk.json("prices show --model small");
    assert_eq!(shown["prices"][0]["tiers"][0]["input"].as_i64(), Some(150_000_000), "{shown}");
    let people = text(&desk.run("prices show"));
    assert!(
        people.contains("large (acme): input 3, output 15 dollars per million tokens"),
        "{people}"
    );
    assert!(text(&desk.run("prices show --model nothing")).contains("calls for it are refused"));

    // LiteLLM's words, told apart by themselves; what has no price is named.
    let litellm = r#"{"sample_spec": {}, "tiny": {"mode": "chat", "input_cost_per_token": 1e-08, "output_cost_per_token": 2e-08},
        "gratis": {"mode": "chat", "input_cost_per_token": 0, "output_cost_per_token": 0}}"#;
    let litellm = desk.file("litellm.json", litellm);
    let taken = desk.json(&format!("prices import {litellm}"));
    assert_eq!(taken["added"].as_u64(), Some(1));
    assert_eq!(taken["skipped"][0]["model"].as_str(), Some("gratis"));
    assert!(taken["skipped"][0]["reason"].as_str().unwrap().contains("not marked as free"));
    // What it does not name, it leaves alone.
    assert_eq!(taken["missing"].as_array().unwrap().len(), 2);

    // A price of tomorrow.
    let dearer = desk.file("dearer.json", &own(&[("small", "0.3", "0.6")]));
    desk.json(&format!("prices import {dearer} --effective-from 2999-01-01"));
    let shown = desk.json("prices show --model small");
    assert_eq!(shown["prices"][0]["tiers"][0]["input"].as_i64(), Some(150_000_000));
    assert_eq!(shown["scheduled"][0]["effective_from"].as_str(), Some("2999-01-01T00:00:00Z"));
    let then = desk.json("prices show --model small --at 2999-01-01T00:00:00Z");
    assert_eq!(then["prices"][0]["tiers"][0]["input"].as_i64(), Some(300_000_000));
}

#[tokio::test]
async fn the_prices_that_come_with_the_program_are_a_beginning() {
    let desk = Desk::open().await;
    let taken = desk.json("prices import --built-in");
    assert!(taken["added"].as_u64().unwrap() > 1_690);
    let shown = desk.json("prices show --model gpt-4o-mini");
    assert_eq!(shown["prices"][0]["provider"].as_str(), Some("openai"));
}

#[tokio::test]
async fn an_entry_of_litellms_list_that_cannot_be_meant_is_left_out_and_named() {
    let desk = Desk::open().await;
    let before = desk.file("prices.json", &own(&[("small", "0.15", "0.6"), ("large", "3", "15")]));
    desk.json(&format!("prices import {before}"));
    let chat = |input: &str, output: &str| json!({"mode": "chat", "input_cost_per_token": input, "output_cost_per_token": output});
    let mut list = json!({
        "small": chat("1.5e-07", "6.01e-06"),
        "large": chat("3.1000000000000002e-06", "1.6e-05"),
        "new": chat("1e-06", "2e-06"), "newer": chat("1e-06", "2e-06"),
        "bad": chat("cheap", "1e-06"), "feed": chat("1e-06", "1e-06"),
    });
    list["feed"]["some_new_fee"] = json!(0.01);
    let file = desk.file("litellm.json", &list.to_string());
    let taken = desk.json(&format!("prices import {file}"));
    let models = |kind: &str| -> Vec<String> {
        let entries = taken[kind].as_array().unwrap().iter();
        let mut models: Vec<_> =
            entries.map(|entry| entry["model"].as_str().unwrap().to_owned()).collect();
        models.sort();
        models.dedup();
        models
    };
    assert_eq!(taken["added"], 3, "{taken}");
    assert_eq!(
        (models("left_out"), models("skipped")),
        (vec!["small".into()], vec!["bad".into(), "feed".into()])
    );
    let reasons = taken.to_string();
    for reason in ["jumps from 0.6 to 6.01", "not a number", "not metered here: some_new_fee"] {
        assert!(reasons.contains(reason), "{taken}");
    }
    let text = desk.run(&format!("prices import {file} --dry-run"));
    let text = String::from_utf8_lossy(&text.stdout).into_owned();
    assert!(text.contains("small: output jumps") && text.contains("feed: "), "{text}");
    let now = desk.json("prices show --model small");
    assert!(now.to_string().contains("600000000"), "the price in force stays: {now}");
    // All of them in the wrong unit are a mistake as a whole.
    let list = json!({"small": chat("1.5e-05", "6e-05"), "large": chat("3e-04", "9e-04")});
    let file = desk.file("unit.json", &list.to_string());
    assert_eq!(desk.refused(&format!("prices import {file}"))["ok"], false);
}

#[tokio::test]
async fn a_file_that_looks_like_a_mistake_is_refused_with_its_entries() {
    let desk = Desk::open().await;
    let before = desk.file("prices.json", &own(&[("small", "0.15", "0.6"), ("large", "3", "15")]));
    desk.json(&format!("prices import {before}"));
    let in_force = desk.json("prices show");
    let ann = desk.organization("UTC", 1_000_000_000).await;
    desk.call(&ann, "large", Usage { input: 10, ..Usage::default() }).await;

    for (name, file, models, reason) in [
        ("truncated", own(&[("small", "1", "1")]).replace("}}}", ""), vec![], "not valid JSON"),
        ("twice", own(&[("small", "1", "1"), ("small", "2", "2")]), vec![], "appears twice"),
        ("negative", own(&[("small", "-1", "1"), ("large", "3", "15")]), vec!["small"], "negative"),
        (
            "zero",
            own(&[("small", "0.15", "0"), ("large", "0", "15")]),
            vec!["small", "large"],
            "not marked as free",
        ),
        (
            "jump",
            own(&[("small", "0.15", "6.01"), ("large", "3", "15")]),
            vec!["small"],
            "jumps from 0.6 to 6.01",
        ),
        (
            "unit",
            own(&[("new", "1000.1", "1"), ("large", "3", "15")]),
            vec!["new"],
            "is the unit right",
        ),
        ("dropped", own(&[("small", "0.15", "0.6")]), vec!["large"], "in use"),
        (
            "text",
            own(&[("small", "\"cheap\"", "1"), ("large", "3", "15")]),
            vec!["small"],
            "not a number",
        ),
        ("empty", String::new(), vec![], "not valid JSON"),
    ] {
        let file = desk.file(name, &file);
        let refused = desk.refused(&format!("prices import {file} --from tollgate"));
        assert_eq!(refused["ok"].as_bool(), Some(false));
        let entries = refused["refused"].as_array().unwrap();
        assert!(
            entries.iter().all(|entry| entry["reason"].as_str().unwrap().contains(reason)),
            "{name}: {refused}"
        );
        let mut named: Vec<_> =
            entries.iter().filter_map(|entry| entry["model"].as_str()).collect();
        named.dedup();
        assert_eq!(named, models, "{name}: {refused}");
        assert_eq!(desk.json("prices show"), in_force, "{name}");
        // People are told the same.
        let people = desk.run(&format!("prices import {file} --from tollgate"));
        let said = text(&people);
        assert_eq!(people.status.code(), Some(1));
        assert!(
            said.contains("the prices in force stay as they are") && said.contains(reason),
            "{said}"
        );
    }

    // What is meant can be said.
    let jump = desk.file("jump", &own(&[("small", "0.15", "6.01"), ("large", "3", "15")]));
    assert_eq!(
        desk.json(&format!("prices import {jump} --accept-jumps"))["added"].as_u64(),
        Some(1)
    );
    let some = desk.file("part", &own(&[("small", "0.2", "6")]));
    assert_eq!(desk.json(&format!("prices import {some} --partial"))["added"].as_u64(), Some(1));
    let past = desk.run(&format!("prices import {some} --partial --effective-from 2020-01-01"));
    assert!(past.status.code() == Some(1) && text(&past).contains("is past"), "{}", text(&past));
    let missing = desk.run("prices import nowhere.json");
    assert!(missing.status.code() == Some(1) && text(&missing).contains("nowhere.json"));
}

#[tokio::test]
async fn an_operator_agrees_on_prices_with_one_organization() {
    let desk = Desk::open().await;
    let list = desk.file("prices.json", &own(&[("small", "0.15", "0.6"), ("large", "3", "15")]));
    desk.json(&format!("prices import {list}"));
    let (ann, bob) =
        (desk.organization("Europe/Berlin", 1).await, desk.organization("UTC", 1).await);
    let [ann, bob] = [&ann, &bob].map(|tenant| tenant.organization_id().to_string());
    let input_of = |org: &str, model: &str| {
        let shown = desk.json(&format!("prices show --org {org} --model {model}"));
        let price = &shown["prices"][0];
        let input = price["tiers"][0]["input"].as_i64().unwrap();
        (input, price["markup_bps"].as_u64().unwrap(), price["agreed"].as_bool().unwrap())
    };
    let set = format!("prices set-override --org {ann} --model large --input 2 --output 12.5");
    let agreed = desk.json(&set);
    assert_eq!(agreed["prices"][0]["tiers"][0]["output"].as_i64(), Some(12_500_000_000));
    desk.json(&format!("prices markup --org {ann} --bps 2500"));
    assert_eq!(input_of(&ann, "large"), (2_000_000_000, 0, true));
    assert_eq!(input_of(&ann, "small"), (150_000_000, 2_500, false));
    assert_eq!(input_of(&bob, "large"), (3_000_000_000, 0, false));
    let people = text(&desk.run(&format!("prices show --org {ann}")));
    assert!(
        people.contains("25 % are added") && people.contains("large (agreed): input 2"),
        "{people}"
    );

    let file = desk.file("ours.json", &own(&[("small", "0.1", "0.5"), ("private", "7", "7")]));
    desk.json(&format!("prices set-override --org {ann} --file {file} --unlisted"));
    assert_eq!((input_of(&ann, "small").0, input_of(&ann, "private").2), (100_000_000, true));
    assert!(
        text(&desk.run(&format!("prices show --org {bob} --model private"))).contains("no price")
    );
    desk.json(&format!("prices end-override --org {ann} --model small"));
    assert_eq!(input_of(&ann, "small"), (150_000_000, 2_500, false));
    let later =
        desk.json(&format!("prices markup --org {ann} --bps 0 --effective-from 2999-07-01"));
    assert_eq!(later["effective_from"].as_str(), Some("2999-06-30T22:00:00Z"));
}

#[tokio::test]
async fn an_agreement_that_looks_like_a_mistake_is_not_made() {
    let desk = Desk::open().await;
    let list = desk.file("prices.json", &own(&[("large", "3", "15")]));
    desk.json(&format!("prices import {list}"));
    let ann = desk.organization("UTC", 1).await.organization_id();
    let set = format!("prices set-override --org {ann} --model");
    desk.json(&format!("{set} large --input 2 --output 12.5"));
    let before = desk.json(&format!("prices show --org {ann}"));
    for (price, reason) in [
        ("large --input 0.1 --output 12.5", "input jumps from 2 to 0.1"),
        ("larg --input 2 --output 12.5", "--unlisted"),
    ] {
        let refused = desk.refused(&format!("{set} {price}"));
        assert!(refused["refused"].to_string().contains(reason), "{refused}");
    }
    for (price, reason) in [
        ("large --input 0 --output 1", "not marked as free"),
        ("large --input 1", "output of large: it is missing"),
        ("large --input 1 --output 1 --effective-from 2020-01-01", "is past"),
    ] {
        let refused = desk.run(&format!("{set} {price} --accept-jumps"));
        assert_eq!(refused.status.code(), Some(1));
        assert!(text(&refused).contains(reason), "{}", text(&refused));
    }
    assert_eq!(desk.json(&format!("prices show --org {ann}")), before);
    let nobody = uuid::Uuid::now_v7().to_string();
    for command in [
        &format!("prices markup --org {nobody} --bps 1"),
        &format!("prices set-override --org {nobody} --model large --input 2 --output 12.5"),
        &format!("prices end-override --org {nobody} --model large"),
        &format!("prices show --org {nobody}"),
        &format!("prices rebill --org {nobody} --from 2026-01-01"),
        &format!("statement --org {nobody} --from 2026-01-01"),
    ] {
        let unknown = desk.run(command);
        assert_eq!(unknown.status.code(), Some(1));
        assert!(text(&unknown).contains("there is no organization"), "{}", text(&unknown));
    }
}

#[tokio::test]
async fn only_the_operator_sets_prices() {
    let desk = Desk::open().await;
    let list = desk.file("prices.json", &own(&[("small", "0.15", "0.6")]));
    desk.json(&format!("prices import {list}"));
    let ann = desk.organization("UTC", 1).await.organization_id().to_string();
    // Roles are the cluster's, and other tests run beside this one.
    let make = "do $$ begin
        create role an_owner login in role tollgate_owner, tollgate_admin, tollgate_member, tollgate_viewer;
        exception when duplicate_object then null; end $$";
    desk.database.connect().await.unwrap().batch_execute(make).await.unwrap();
    let (user, host) = (desk.database.config().get_user().unwrap().to_owned(), desk.database.url());
    let theirs = host.replacen(&format!("//{user}@"), "//an_owner@", 1);
    assert_ne!(theirs, host);
    let before = desk.json(&format!("prices show --org {ann}"));
    let dearer = desk.file("dearer.json", &own(&[("small", "0.2", "0.6")]));
    for command in [
        &format!("prices import {dearer}"),
        &format!("prices set-override --org {ann} --model small --input 0.1 --output 0.6"),
        &format!("prices end-override --org {ann} --model small"),
        &format!("prices markup --org {ann} --bps 1"),
        &format!("prices show --org {ann}"),
        &format!("prices rebill --org {ann} --from 2026-01-01"),
        "prices rebill --all --from 2026-01-01",
        &format!("statement --org {ann} --from 2026-01-01"),
    ] {
        let refused = desk.run_on(&theirs, command);
        assert_eq!(refused.status.code(), Some(1), "{command:?}: {}", text(&refused));
    }
    assert_eq!(desk.json(&format!("prices show --org {ann}")), before);
}
