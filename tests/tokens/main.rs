//! The upper bound of a call's input, compared with the count by the vendor's rules and a third-party tokenizer. The
//! bound is never below that count, and not far above. The texts in `tests/data/tokens/` were written for these tests.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod truth;

use proptest::prelude::*;
use serde_json::{Value, json};
use tollgate::domain::{
    endpoint::Endpoint,
    request::{self, CallFacts},
};
use truth::Truth;

/// A model of each family that has a table, and what its calls really count.
const FAMILIES: [(&str, Truth); 2] = [("gpt-4o", Truth::O200K), ("gpt-4", Truth::CL100K)];

const TEXTS: &[(&str, &str)] = &[
    ("english", include_str!("../data/tokens/english.txt")),
    ("german", include_str!("../data/tokens/german.txt")),
    ("french", include_str!("../data/tokens/french.txt")),
    ("spanish", include_str!("../data/tokens/spanish.txt")),
    ("russian", include_str!("../data/tokens/russian.txt")),
    ("arabic", include_str!("../data/tokens/arabic.txt")),
    ("hindi", include_str!("../data/tokens/hindi.txt")),
    ("chinese", include_str!("../data/tokens/chinese.txt")),
    ("japanese", include_str!("../data/tokens/japanese.txt")),
    ("korean", include_str!("../data/tokens/korean.txt")),
    ("thai", include_str!("../data/tokens/thai.txt")),
    ("emoji", include_str!("../data/tokens/emoji.txt")),
    ("rust", include_str!("../data/tokens/rust.rs.txt")),
    ("python", include_str!("../data/tokens/python.py.txt")),
    ("log", include_str!("../data/tokens/log.txt")),
    ("json", include_str!("../data/tokens/json.txt")),
];

fn tools() -> Value {
    serde_json::from_str(include_str!("../data/tokens/tools.json")).unwrap()
}

fn facts(endpoint: Endpoint, body: &Value) -> CallFacts {
    request::read(endpoint, &serde_json::to_vec(body).unwrap()).unwrap()
}

fn chat(model: &str, messages: &Value) -> Value {
    json!({"messages": messages, "model": model, "max_tokens": 500, "temperature": 0.2,
        "user": "someone", "metadata": {"trace": "0195a3c2-7f1e-7cc0-9d1b-2b6f4e0a9c11"}})
}

/// The calls of the corpus: each text as a question, all of them as one conversation, the lines of each as
/// messages of a chat, and tools with a short question.
fn calls(model: &str) -> Vec<(String, Value)> {
    let mut calls = Vec::new();
    let system = json!({"role": "system", "content": "You are a helpful assistant."});
    for (name, text) in TEXTS {
        let question = json!({"role": "user", "content": text});
        calls.push((format!("{name}, one question"), chat(model, &json!([system, question]))));
        let lines: Vec<Value> = text
            .lines()
            .filter(|line| !line.is_empty())
            .zip(["user", "assistant"].into_iter().cycle())
            .map(|(line, role)| json!({"role": role, "content": line}))
            .collect();
        calls.push((format!("{name}, line by line"), chat(model, &json!(lines))));
        let parts = json!([{"type": "text", "text": text}]);
        let message = json!({"role": "user", "content": parts});
        calls.push((format!("{name}, a part"), chat(model, &json!([message]))));
    }
    let all: Vec<Value> =
        TEXTS.iter().map(|(_, text)| json!({"role": "user", "content": text})).collect();
    calls.push(("all texts".into(), chat(model, &json!(all))));
    for count in 1..=3 {
        let question =
            json!({"role": "user", "content": "Is it raining in Porto, and where is ord_20931?"});
        let mut call = chat(model, &json!([system, question]));
        call["tools"] = tools().as_array().unwrap()[..count].into();
        calls.push((format!("{count} tools"), call));
    }
    calls
}

#[test]
fn the_bound_is_never_below_the_count_and_its_median_is_below_twice_of_it() {
    for (model, truth) in &FAMILIES {
        let mut ratios = Vec::new();
        for (name, call) in calls(model) {
            let facts = facts(Endpoint::ChatCompletions, &call);
            let count = truth.chat(&call);
            assert!(facts.input_bound >= count, "{model}, {name}: {} < {count}", facts.input_bound);
            let thousandths = facts.input_bound * 1_000 / count;
            let estimate = facts.input_estimate * 1_000 / count;
            // Close, also where tools are told of in a way that is the vendor's.
            assert!((700..1_500).contains(&estimate), "{model}, {name}: {estimate} ‰");
            ratios.push((thousandths, name, count));
        }
        ratios.sort();
        let (median, dearest) = (ratios[ratios.len() / 2].0, ratios.last().unwrap());
        println!("{model}: {} calls, median over-hold {median} ‰ of the count", ratios.len());
        println!("{model}: the dearest, {} ‰: {} of {} tokens", dearest.0, dearest.1, dearest.2);
        assert!(median < 1_200, "{model}: {median} ‰");
        assert!(dearest.0 < 2_000, "{model}: {dearest:?}");
    }
}

#[test]
fn an_embeddings_bound_is_its_count() {
    let truth = Truth::CL100K;
    for (name, text) in TEXTS {
        let lines: Vec<&str> = text.lines().collect();
        let inputs = json!({"input": lines, "model": "text-embedding-3-small"});
        let facts = facts(Endpoint::Embeddings, &inputs);
        let count: u64 = lines.iter().map(|line| truth.count(line)).sum();
        assert_eq!((facts.input_bound, facts.input_estimate), (count + 1, count), "{name}");
    }
}

#[test]
fn a_completions_bound_is_its_count_and_what_stands_around_each_prompt() {
    let truth = Truth::CL100K;
    for (name, text) in TEXTS {
        let lines: Vec<&str> = text.lines().collect();
        let prompts = json!({"prompt": lines, "suffix": text, "model": "gpt-3.5-turbo-instruct"});
        let facts = facts(Endpoint::Completions, &prompts);
        let suffixes = truth.count(text) * u64::try_from(lines.len()).unwrap();
        let count = lines.iter().map(|line| truth.count(line)).sum::<u64>() + suffixes;
        let around = 12 * facts.answers;
        assert_eq!((facts.input_bound, facts.input_estimate), (count + around, count), "{name}");
    }
}

#[test]
fn where_the_table_is_not_known_the_bytes_bound_any_count_and_are_mostly_three_to_eight_times_it() {
    let mut ratios = Vec::new();
    for model in ["claude-sonnet-5", "gemini-3-pro", "gpt-6-sol", "small"] {
        for (name, call) in calls(model) {
            let bound = facts(Endpoint::ChatCompletions, &call).input_bound;
            for (_, truth) in &FAMILIES {
                assert!(bound >= truth.chat(&call), "{model}, {name}");
            }
            let thousandths = bound * 1_000 / FAMILIES[0].1.chat(&call);
            // A short question, whose tools are most of it.
            let range = if name.ends_with(" tools") { 8_000..16_000 } else { 2_500..8_500 };
            assert!(range.contains(&thousandths), "{model}, {name}: {thousandths} ‰");
            ratios.push(thousandths);
        }
    }
    ratios.sort_unstable();
    let median = ratios[ratios.len() / 2];
    println!("by bytes: median {median} ‰ of what o200k_base counts");
    assert!((4_500..5_500).contains(&median), "{median} ‰");
}

#[test]
fn tools_are_bound_however_the_vendor_writes_them_out() {
    for (model, truth) in &FAMILIES {
        let tools = tools();
        let call = |tools: Option<&Value>| {
            let mut call = chat(model, &json!([{"role": "user", "content": "hi"}]));
            if let Some(tools) = tools {
                call["tools"] = tools.clone();
            }
            call
        };
        let without = facts(Endpoint::ChatCompletions, &call(None)).input_bound;
        for one in tools.as_array().unwrap() {
            let one = json!([one]);
            let bound = facts(Endpoint::ChatCompletions, &call(Some(&one))).input_bound - without;
            let renderings = [
                ("the documented formula", truth.tools(&one)),
                ("TypeScript", truth.count(&truth::typescript(&one))),
                ("compact JSON", truth.count(&one.to_string())),
            ];
            for (name, count) in renderings {
                assert!(bound >= count, "{model}, {name}: {bound} < {count} of {one}");
            }
        }
    }
}

fn contents() -> impl Strategy<Value = String> {
    let words = TEXTS.iter().flat_map(|(_, text)| text.split_inclusive(' ')).collect::<Vec<_>>();
    let phrase =
        prop::collection::vec(prop::sample::select(words), 0..30).prop_map(|words| words.concat());
    prop_oneof![3 => phrase, 1 => any::<String>(), 1 => "[ -~\n]{0,120}", 1 => r"\PC{0,60}"]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_conversation_counts_more_than_its_bound(
        contents in prop::collection::vec((prop::sample::select(vec!["system", "user", "assistant"]), prop::collection::vec(contents(), 1..4)), 1..6),
        name in prop::option::of("[a-zA-Z0-9_-]{1,64}"),
        with_tools: bool,
    ) {
        for (model, truth) in &FAMILIES {
            let mut messages: Vec<Value> = contents.iter().map(|(role, texts)| match &texts[..] {
                [text] => json!({"role": role, "content": text}),
                texts => {
                    let parts: Vec<Value> = texts.iter().map(|text| json!({"type": "text", "text": text})).collect();
                    json!({"role": role, "content": parts})
                }
            }).collect();
            if let Some(name) = &name {
                messages[0]["name"] = json!(name);
            }
            let mut call = chat(model, &json!(messages));
            if with_tools {
                call["tools"] = tools();
            }
            let facts = facts(Endpoint::ChatCompletions, &call);
            prop_assert!(facts.input_bound >= truth.chat(&call));
            prop_assert!(facts.input_bound >= facts.input_estimate && facts.input_estimate > 0);
        }
    }

    #[test]
    fn a_call_of_tools_is_bound_by_its_text(name in "[a-z_]{1,40}", arguments in contents(), result in contents()) {
        for (model, truth) in &FAMILIES {
            let arguments = json!({"query": arguments}).to_string();
            let call = chat(model, &json!([
                {"role": "user", "content": "hi"},
                {"role": "assistant", "content": null, "tool_calls": [
                    {"id": "call_abc123", "type": "function", "function": {"name": name, "arguments": arguments}}]},
                {"role": "tool", "tool_call_id": "call_abc123", "content": result},
            ]));
            let bound = facts(Endpoint::ChatCompletions, &call).input_bound;
            let told = truth.count(&format!("functions.{name} {arguments}")) + truth.count(&result);
            prop_assert!(bound >= told + 3 * 4);
        }
    }
}
