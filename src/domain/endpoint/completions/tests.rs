//! Text completions: what a body asks for, its bounds, and its usage.
#![expect(clippy::arithmetic_side_effects, reason = "sums of small test data")]

use std::num::NonZeroU32;

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::domain::{
    dialect::Dialect,
    endpoint::Endpoint,
    output,
    policy::AllowList,
    request::{AllowedFields, CallFacts, Edits, InvalidBody, apply_edits, read, read_with},
    sse::Splitter,
    tokens,
    usage::{Meter, Seen, Usage},
};

const COMPLETIONS: Endpoint = Endpoint::Completions;
/// A model whose tokenizer is public.
const KNOWN: &str = "gpt-3.5-turbo-instruct";
const ADDED: u64 = tokens::CHAT_CALL_TOKENS_MAX + tokens::CHAT_MESSAGE_TOKENS_MAX;
const FALLBACK: NonZeroU32 = NonZeroU32::new(4096).unwrap();

fn of(model: &str, fields: &Value) -> Result<CallFacts, InvalidBody> {
    let mut body = json!({"model": model});
    for (name, value) in fields.as_object().unwrap() {
        body[name] = value.clone();
    }
    read(COMPLETIONS, body.to_string().as_bytes())
}

fn known(fields: &Value) -> CallFacts {
    of(KNOWN, fields).unwrap()
}

fn refused_field(fields: &Value) -> String {
    of("m", fields).unwrap_err().field.unwrap()
}

#[test]
fn a_completion_is_read() {
    let facts = known(&json!({
        "prompt": "hello", "max_tokens": 7, "n": 2, "best_of": 2, "echo": true, "suffix": null,
        "logprobs": 5, "stop": ["x"], "stream": true, "stream_options": {"include_usage": true},
    }));
    let expected = CallFacts {
        endpoint: COMPLETIONS,
        model: KNOWN.into(),
        stream: true,
        wants_usage: true,
        output_cap: Some(7),
        output_added: 0,
        answers: 2,
        hidden_answers: 0,
        echoed_bytes: 10,
        input_bound: 1 + ADDED,
        input_estimate: 1,
        may_write_cache: true,
        newer_cap: None,
    };
    assert_eq!(facts, expected);
}

#[test]
fn each_form_of_a_prompt_is_bound_to_the_token_and_each_prompt_is_answered() {
    for (prompt, tokens, prompts) in [
        (json!("hello"), 1, 1),
        (json!(""), 0, 1),
        (Value::Null, 0, 1),
        (json!([]), 0, 1),
        (json!(["hello", "hello world"]), 3, 2),
        (json!([1, 200_000, 3]), 3, 1),
        (json!([[1, 2], [3], []]), 3, 3),
        // No provider accepts a mix like this; if one did, each element would be a prompt.
        (json!(["hello", [1, 2], 3, 4]), 5, 3),
    ] {
        let facts = known(&json!({"prompt": prompt, "n": 3}));
        let bound = tokens + prompts * ADDED;
        assert_eq!((facts.input_bound, facts.answers), (bound, 3 * prompts), "{prompt}");
        assert_eq!(facts.input_estimate, tokens.max(1), "{prompt}");
    }
    // If the tokenizer is not known, the bound of a text is its bytes.
    let facts = of("m", &json!({"prompt": ["hello", [1, 2]]})).unwrap();
    assert_eq!(facts.input_bound, 5 + 3 + 2 + 2 * tokens::CALL_TOKENS_MAX);
    for wrong in [json!(7), json!(true), json!({}), json!([null]), json!([["a"]]), json!([[[1]]])] {
        assert_eq!(refused_field(&json!({"prompt": wrong})), "prompt");
    }
    assert_eq!(refused_field(&json!({})), "prompt");
    assert_eq!(refused_field(&json!({"input": "x"})), "input");
}

#[test]
fn a_suffix_is_told_to_the_model_with_each_prompt_wherever_in_the_body_it_stands() {
    for body in [
        r#"{"model":"gpt-3.5-turbo-instruct","suffix":"hello world","prompt":["a","b","c"]}"#,
        r#"{"prompt":["a","b","c"],"suffix":"hello world","model":"gpt-3.5-turbo-instruct"}"#,
    ] {
        let facts = read(COMPLETIONS, body.as_bytes()).unwrap();
        assert_eq!((facts.input_bound, facts.input_estimate), (9 + 3 * ADDED, 9), "{body}");
    }
    assert_eq!(refused_field(&json!({"prompt": "x", "suffix": ["x"]})), "suffix");
}

#[test]
fn the_larger_of_n_and_best_of_is_written_to_each_prompt() {
    for (n, best_of, answers, hidden) in [
        (Value::Null, Value::Null, 2, 0),
        (json!(3), Value::Null, 6, 0),
        (Value::Null, json!(5), 10, 8),
        (json!(3), json!(5), 10, 4),
        (json!(5), json!(5), 10, 0),
        (json!(5), json!(3), 10, 0),
    ] {
        let facts = known(&json!({"prompt": ["a", "b"], "n": n, "best_of": best_of}));
        assert_eq!((facts.answers, facts.hidden_answers), (answers, hidden), "{n} {best_of}");
    }
    for name in ["n", "best_of"] {
        for wrong in [json!(0), json!(-1), json!(1.5), json!("2"), json!(129)] {
            assert_eq!(refused_field(&json!({"prompt": "x", name: wrong})), name);
        }
    }
}

#[test]
fn only_its_own_cap_counts_and_without_one_the_documented_default_is_sent() {
    let bound = |facts: &CallFacts, policy, model_max| {
        let bound = output::bound(facts, NonZeroU32::new(policy), model_max, FALLBACK);
        (bound.per_answer, bound.send.map(NonZeroU32::get))
    };
    let without = known(&json!({"prompt": "x"}));
    assert_eq!(bound(&without, 0, None), (16, Some(16)));
    assert_eq!(bound(&without, 100, Some(4096)), (16, Some(16)));
    assert_eq!(bound(&without, 9, Some(4096)), (9, Some(9)));
    assert_eq!(bound(&without, 100, Some(8)), (8, Some(8)));
    let with = known(&json!({"prompt": "x", "max_tokens": 100}));
    assert_eq!(bound(&with, 9, Some(8)), (100, None));
    for name in ["max_completion_tokens", "max_output_tokens"] {
        assert_eq!(refused_field(&json!({"prompt": "x", name: 9})), name);
    }
    for wrong in [json!(0), json!(-1), json!("9")] {
        assert_eq!(refused_field(&json!({"prompt": "x", "max_tokens": wrong})), "max_tokens");
    }
}

#[test]
fn what_every_endpoint_refuses_is_refused_and_a_prompt_of_vectors_too() {
    for (name, value) in [
        ("prompt_embeds", json!("AAAA")),
        ("prompt_embeds", json!(["AAAA", "AAAA"])),
        ("store", json!(true)),
        ("models", json!(["a"])),
        ("service_tier", json!("priority")),
    ] {
        assert_eq!(refused_field(&json!({"prompt": "x", name: value})), name);
    }
    assert_eq!(refused_field(&json!({"prompt": "x", "tools": [{"type": "function"}]})), "tools");
    assert!(of("m", &json!({"prompt": "x", "prompt_embeds": null})).is_ok());
    assert_eq!(refused_field(&json!({"prompt": "x", "echo": "yes"})), "echo");
}

#[test]
fn a_field_that_nobody_here_knows_is_refused_and_one_that_the_operator_allows_counts_as_input() {
    let without = known(&json!({"prompt": "x"})).input_bound;
    assert_eq!(known(&json!({"prompt": "x", "temperature": 0.5, "seed": 7})).input_bound, without);
    let messages = json!({"prompt": "x", "messages": [{"content": "hi"}]});
    assert_eq!(refused_field(&messages), "messages");
    let body = json!({"model": KNOWN, "prompt": "x", "guided_regex": "a+b"});
    assert_eq!(refused_field(&body), "guided_regex");
    let allowed = AllowedFields::default().route(
        Dialect::OpenAi,
        AllowList::All,
        vec!["guided_regex".to_owned()],
    );
    let facts = read_with(COMPLETIONS, body.to_string().as_bytes(), &allowed).unwrap();
    assert!(facts.input_bound > without);
}

#[test]
fn usage_is_asked_for_and_the_cap_is_sent_under_its_own_name() {
    let edits = Edits { include_usage: true, output_cap: NonZeroU32::new(16), ..Edits::default() };
    for (before, after) in [
        (
            r#"{"model":"m","prompt":"x"}"#,
            r#"{"stream_options":{"include_usage":true},"max_tokens":16,"model":"m","prompt":"x"}"#,
        ),
        (
            r#"{"prompt":"max_tokens","max_tokens":null,"stream_options":{}}"#,
            r#"{"prompt":"max_tokens","max_tokens":16,"stream_options":{"include_usage":true}}"#,
        ),
    ] {
        let edited = apply_edits(&Bytes::from_static(before.as_bytes()), COMPLETIONS, edits);
        assert_eq!(edited, after);
    }
}

fn answered(usage: &Value) -> Meter {
    let mut meter = Meter::new(COMPLETIONS);
    let answer = json!({"id": "cmpl-1", "object": "text_completion", "model": "m-2",
        "choices": [{"index": 0, "text": "hello world", "logprobs": null, "finish_reason": "stop"}],
        "usage": usage});
    assert_eq!(meter.read_document(answer.to_string().as_bytes()), Seen::Content);
    meter
}

#[test]
fn a_whole_answer_is_metered_by_what_it_reports() {
    let meter = answered(&json!({"prompt_tokens": 20, "completion_tokens": 9, "total_tokens": 29,
        "prompt_tokens_details": {"cached_tokens": 8}}));
    let expected = Usage { input: 12, cached_read: 8, output: 9, ..Usage::default() };
    assert_eq!(meter.usage(), Some(expected));
    assert_eq!(meter.answered_by(), Some("m-2"));
    for impossible in [-1, 1_000_000_000_000_i64] {
        let meter = answered(&json!({"prompt_tokens": 20, "completion_tokens": impossible}));
        assert!(meter.absurd() && meter.usage().is_none());
    }
}

#[test]
fn without_usage_the_text_counts_and_the_prompt_that_comes_back_does_not() {
    let count = |fields: Value| answered(&Value::Null).estimate(&known(&fields));
    // Eleven bytes are three tokens; the six bytes after "hello" are two.
    assert_eq!(count(json!({"prompt": "hello"})).output, 3);
    assert_eq!(count(json!({"prompt": "hello", "echo": true})).output, 2);
    // At least one token is charged for an answer, even if all of it is the echoed prompt.
    assert_eq!(count(json!({"prompt": "hello world, and more", "echo": true})).output, 1);
    assert_eq!(count(json!({"prompt": [1, 2, 3], "echo": true})).output, 1);
    assert_eq!(count(json!({"prompt": "hello", "n": 2, "echo": true})).output, 1);
}

const STREAM: &str = r#"data: {"id":"cmpl-1","object":"text_completion","model":"m-2","choices":[{"index":0,"text":"Grüße","logprobs":null,"finish_reason":null}],"usage":null}

data: {"object":"text_completion","choices":[{"index":0,"text":" an alle","logprobs":null,"finish_reason":null}],"usage":null}

data: {"object":"text_completion","choices":[{"index":0,"text":"","logprobs":null,"finish_reason":"length"}],"usage":null}

data: {"object":"text_completion","choices":[],"usage":{"prompt_tokens":20,"completion_tokens":9,"total_tokens":29}}

data: [DONE]

"#;

fn metered(chunks: &[&[u8]]) -> (Meter, Vec<Seen>) {
    let (mut meter, mut splitter, mut seen) =
        (Meter::new(COMPLETIONS), Splitter::new(1 << 20), Vec::new());
    for chunk in chunks {
        splitter.push(Bytes::copy_from_slice(chunk));
        while let Some(event) = splitter.next_event().unwrap() {
            seen.push(meter.read_event(&event));
        }
    }
    (meter, seen)
}

#[test]
fn a_stream_is_metered_by_its_last_chunk() {
    let (meter, seen) = metered(&[STREAM.as_bytes()]);
    assert_eq!(seen, [Seen::Content, Seen::Content, Seen::Content, Seen::Usage, Seen::Terminal]);
    assert_eq!(meter.usage(), Some(Usage { input: 20, output: 9, ..Usage::default() }));
    assert!(meter.finished() && !meter.absurd());
}

#[test]
fn a_stream_that_breaks_off_is_counted_by_what_came() {
    let (part, _) = STREAM.split_at(STREAM.find(r#"data: {"object""#).unwrap());
    let (meter, seen) = metered(&[part.as_bytes()]);
    assert_eq!(seen, [Seen::Content]);
    assert_eq!((meter.usage(), meter.finished()), (None, false));
    let expected = Usage { input: 1, output: 2, ..Usage::default() };
    assert_eq!(meter.estimate(&known(&json!({"prompt": "hello"}))), expected);
}

proptest! {
    #[test]
    fn a_stream_cut_anywhere_gives_the_same_usage(cut in any::<prop::sample::Index>()) {
        let (first, second) = STREAM.as_bytes().split_at(cut.index(STREAM.len()));
        let (meter, _) = metered(&[first, second]);
        prop_assert_eq!(meter.usage(), metered(&[STREAM.as_bytes()]).0.usage());
    }

    #[test]
    fn the_bound_covers_every_byte_of_text_for_each_prompt_and_the_estimate(texts in prop::collection::vec(any::<String>(), 0..6), suffix in any::<String>()) {
        let facts = of("m", &json!({"prompt": texts, "suffix": suffix})).unwrap();
        let bytes = texts.iter().map(String::len).sum::<usize>() + suffix.len() * texts.len();
        prop_assert!(facts.input_bound >= u64::try_from(bytes).unwrap());
        prop_assert!(facts.input_bound >= facts.input_estimate);
    }
}
