#![expect(clippy::arithmetic_side_effects, reason = "sums of small test data")]

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::domain::{endpoint::Endpoint, request::CallFacts, sse::Splitter, tokens};

const CHAT: Endpoint = Endpoint::ChatCompletions;
const MESSAGES: Endpoint = Endpoint::Messages;

fn facts(endpoint: Endpoint) -> CallFacts {
    CallFacts {
        endpoint,
        model: "small".into(),
        stream: true,
        wants_usage: false,
        output_cap: None,
        output_added: 0,
        answers: 1,
        hidden_answers: 0,
        echoed_bytes: 0,
        input_bound: 100,
        input_estimate: 25,
        may_write_cache: false,
        newer_cap: None,
    }
}

/// Reads a stream that arrives in these chunks.
fn meter(endpoint: Endpoint, chunks: &[&[u8]]) -> (Meter, Vec<Seen>) {
    let (mut meter, mut splitter, mut seen) =
        (Meter::new(endpoint), Splitter::new(1 << 20), Vec::new());
    for chunk in chunks {
        splitter.push(Bytes::copy_from_slice(chunk));
        while let Some(event) = splitter.next_event().unwrap() {
            seen.push(meter.read_event(&event));
        }
    }
    (meter, seen)
}

fn read(endpoint: Endpoint, stream: &str) -> (Meter, Vec<Seen>) {
    meter(endpoint, &[stream.as_bytes()])
}

/// The usage of a whole OpenAI answer that reports this.
fn openai(usage: &serde_json::Value) -> Meter {
    let mut meter = Meter::new(CHAT);
    let answer = json!({"model": "m", "choices": [{"message": {"content": ""}, "finish_reason": "stop"}], "usage": usage});
    meter.read_document(&serde_json::to_vec(&answer).unwrap());
    meter
}

fn anthropic(usage: &serde_json::Value) -> Meter {
    let mut meter = Meter::new(MESSAGES);
    let answer =
        json!({"type": "message", "content": [], "stop_reason": "end_turn", "usage": usage});
    meter.read_document(&serde_json::to_vec(&answer).unwrap());
    meter
}

const CHAT_STREAM: &str = r#"data: {"model":"small-2","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}],"usage":null}

data: {"choices":[{"index":0,"delta":{"content":"Grüße"},"finish_reason":null}],"usage":null}

: keepalive

data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":null}

data: {"choices":[],"usage":{"prompt_tokens":20,"completion_tokens":9,"total_tokens":29,"prompt_tokens_details":{"cached_tokens":8},"completion_tokens_details":{"reasoning_tokens":5}}}

data: [DONE]

"#;

const MESSAGES_STREAM: &str = r#"event: message_start
data: {"type":"message_start","message":{"id":"x","model":"large-1","content":[],"stop_reason":null,"usage":{"input_tokens":25,"cache_read_input_tokens":3,"cache_creation_input_tokens":10,"cache_creation":{"ephemeral_5m_input_tokens":6,"ephemeral_1h_input_tokens":4},"output_tokens":1}}}

event: content_block_start
data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}

event: ping
data: {"type":"ping"}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hello, world"}}

event: message_delta
data: {"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":15}}

event: message_stop
data: {"type":"message_stop"}

"#;

fn chat_usage() -> Usage {
    Usage { input: 12, cached_read: 8, output: 4, reasoning: 5, ..Usage::default() }
}

fn messages_usage() -> Usage {
    Usage {
        input: 25,
        cached_read: 3,
        cache_write_5m: 6,
        cache_write_1h: 4,
        output: 15,
        reasoning: 0,
    }
}

#[test]
fn a_chat_stream_is_metered_by_its_last_chunk() {
    let (meter, seen) = read(CHAT, CHAT_STREAM);
    assert_eq!(
        seen,
        [Seen::Content, Seen::Content, Seen::Other, Seen::Content, Seen::Usage, Seen::Terminal]
    );
    assert_eq!(meter.usage(), Some(chat_usage()));
    assert_eq!(meter.answered_by(), Some("small-2"));
    assert!(meter.finished() && !meter.absurd());
}

#[test]
fn a_message_stream_is_metered_by_its_cumulative_figures() {
    let (meter, seen) = read(MESSAGES, MESSAGES_STREAM);
    assert_eq!(
        seen,
        [Seen::Other, Seen::Content, Seen::Other, Seen::Content, Seen::Other, Seen::Terminal]
    );
    assert_eq!(meter.usage(), Some(messages_usage()));
    assert_eq!(meter.answered_by(), Some("large-1"));
    assert!(meter.finished());
}

#[test]
fn a_message_stream_may_report_everything_at_its_end() {
    let stream = r#"data: {"type":"message_start","message":{"usage":{"input_tokens":0,"output_tokens":0}}}

data: {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"input_tokens":7,"output_tokens":2}}

data: {"type":"message_delta","delta":{},"usage":{"input_tokens":0,"output_tokens":5}}

"#;
    assert_eq!(
        read(MESSAGES, stream).0.usage(),
        Some(Usage { input: 7, output: 5, ..Usage::default() })
    );
}

#[test]
fn usage_on_every_chunk_is_cumulative_and_the_chunks_are_content() {
    let chunk = |tokens: u64| {
        format!(
            "data: {{\"choices\":[{{\"delta\":{{\"content\":\"x\"}}}}],\"usage\":{{\"prompt_tokens\":5,\"completion_tokens\":{tokens}}}}}\n\n"
        )
    };
    let (meter, seen) = read(CHAT, &format!("{}{}{}", chunk(1), chunk(2), chunk(3)));
    assert_eq!(seen, [Seen::Content; 3]);
    assert_eq!(meter.usage(), Some(Usage { input: 5, output: 3, ..Usage::default() }));
    assert!(!meter.finished());
}

#[test]
fn no_class_is_counted_twice() {
    let meter = openai(
        &json!({"prompt_tokens": 100, "completion_tokens": 50, "prompt_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 30}, "completion_tokens_details": {"reasoning_tokens": 40}}),
    );
    let usage = meter.usage().unwrap();
    assert_eq!(
        usage,
        Usage {
            input: 10,
            cached_read: 60,
            cache_write_5m: 30,
            cache_write_1h: 0,
            output: 10,
            reasoning: 40
        }
    );
    assert_eq!(usage.total(), 150);

    let meter = anthropic(
        &json!({"input_tokens": 10, "cache_creation_input_tokens": 30, "cache_creation": {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20}, "cache_read_input_tokens": 5, "output_tokens": 7}),
    );
    let usage = meter.usage().unwrap();
    assert_eq!(
        usage,
        Usage {
            input: 10,
            cached_read: 5,
            cache_write_5m: 10,
            cache_write_1h: 20,
            output: 7,
            reasoning: 0
        }
    );
    assert_eq!(usage.input_total(), 45);

    let meter = anthropic(
        &json!({"input_tokens": 10, "cache_creation_input_tokens": 30, "output_tokens": 7}),
    );
    assert_eq!(
        meter.usage().unwrap().cache_write_5m,
        30,
        "without a split all of it is the default kind"
    );
}

#[test]
fn reasoning_beside_the_completion_is_told_by_the_total() {
    let usage = openai(&json!({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 115, "completion_tokens_details": {"reasoning_tokens": 100}})).usage();
    assert_eq!(usage, Some(Usage { input: 10, output: 5, reasoning: 100, ..Usage::default() }));
}

#[test]
fn an_output_that_can_not_be_is_not_believed_and_nothing_beside_it() {
    for usage in [
        json!({"prompt_tokens": 10, "completion_tokens": 1e30}),
        json!({"prompt_tokens": 10, "completion_tokens": -5}),
        json!({"prompt_tokens": 10, "completion_tokens": "many"}),
        json!({"prompt_tokens": 10, "completion_tokens": 9_999_999_999_u64}),
    ] {
        let meter = openai(&usage);
        assert!(meter.absurd() && meter.usage().is_none(), "{usage}");
        let counted = Usage { input: 25, output: 1, ..Usage::default() };
        assert_eq!(meter.estimate(&facts(CHAT)), counted, "{usage}");
    }
    let meter = anthropic(&json!({"input_tokens": 1, "output_tokens": -5}));
    assert!(meter.absurd() && meter.usage().is_none());
}

#[test]
fn an_odd_figure_does_not_throw_the_good_ones_away() {
    let details = |cached: i64, written: i64, reasoning: i64| {
        json!({"prompt_tokens": 10, "completion_tokens": 5,
            "prompt_tokens_details": {"cached_tokens": cached, "cache_write_tokens": written},
            "completion_tokens_details": {"reasoning_tokens": reasoning}})
    };
    let plain = Usage { input: 10, output: 5, ..Usage::default() };
    for (usage, expected) in [
        // As servers write them that compute with floats, or print.
        (json!({"prompt_tokens": 10.0, "completion_tokens": "5", "total_tokens": "15.0"}), plain),
        (json!({"prompt_tokens": 9.2, "completion_tokens": 5}), plain),
        // A total below its parts, or none at all.
        (json!({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": -1}), plain),
        (json!({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 3}), plain),
        (json!({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": {}}), plain),
        // Parts above their whole.
        (details(11, 0, 0), plain),
        (details(4, 7, 0), Usage { input: 0, cached_read: 4, cache_write_5m: 6, ..plain }),
        (details(-1, 0, 0), plain),
        (details(0, 0, 6), plain),
        // The same at the top.
        (
            json!({"prompt_tokens": 10, "completion_tokens": 5, "cached_tokens": 4, "reasoning_tokens": 2}),
            Usage { input: 6, cached_read: 4, output: 3, reasoning: 2, ..Usage::default() },
        ),
        // What was read from the cache beside the prompt, as its total says.
        (
            json!({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 115, "prompt_cache_hit_tokens": 100}),
            Usage { cached_read: 100, ..plain },
        ),
    ] {
        let meter = openai(&usage);
        assert_eq!((meter.usage(), meter.absurd()), (Some(expected), false), "{usage}");
    }
    assert!(openai(&details(11, 0, 0)).corrected() && !openai(&details(4, 0, 0)).corrected());
    // The split of what was written to the cache is cut to its total.
    for (split, five_minutes, one_hour) in
        [("ephemeral_1h_input_tokens", 0, 5), ("ephemeral_5m_input_tokens", 5, 0)]
    {
        let meter = anthropic(
            &json!({"input_tokens": 1, "output_tokens": 5, "cache_creation_input_tokens": 5, "cache_creation": {split: 6}}),
        );
        let expected = Usage {
            input: 1,
            output: 5,
            cache_write_5m: five_minutes,
            cache_write_1h: one_hour,
            ..Usage::default()
        };
        assert_eq!((meter.usage(), meter.corrected()), (Some(expected), true));
    }
    // An input that cannot be is counted here.
    for meter in [
        openai(&json!({"prompt_tokens": -1, "completion_tokens": 5})),
        anthropic(&json!({"input_tokens": -1, "output_tokens": 5})),
    ] {
        assert_eq!((meter.usage(), meter.absurd()), (None, false));
        let counted = Usage { input: 25, output: 5, ..Usage::default() };
        assert_eq!(meter.estimate(&facts(CHAT)), counted);
    }
}

#[test]
fn tokens_that_only_the_total_has_are_thoughts() {
    let meter =
        openai(&json!({"prompt_tokens": 20, "completion_tokens": 424, "total_tokens": 1016}));
    let parts = Usage { input: 20, output: 424, ..Usage::default() };
    assert_eq!(meter.usage(), Some(Usage { reasoning: 572, ..parts }));
    assert_eq!(meter.usage_of_parts(), Some(parts));
    let one_above =
        openai(&json!({"prompt_tokens": 951, "completion_tokens": 6_000, "total_tokens": 6_952,
        "completion_tokens_details": {"reasoning_tokens": 6_001}}));
    assert_eq!(one_above.usage().unwrap().output_total(), 6_001);
}

#[test]
fn a_good_last_word_makes_up_for_an_earlier_bad_one() {
    let chunk = |usage: &str| format!("data: {{\"choices\":[],\"usage\":{usage}}}\n\n");
    let (bad, good) = (
        r#"{"prompt_tokens":10,"completion_tokens":-1}"#,
        r#"{"prompt_tokens":10,"completion_tokens":5}"#,
    );
    let (meter, _) = read(CHAT, &format!("{}{}", chunk(bad), chunk(good)));
    assert_eq!(meter.usage(), Some(Usage { input: 10, output: 5, ..Usage::default() }));
    // And a bad last one leaves what was said before it, which may not have been the end.
    let (meter, _) = read(CHAT, &format!("{}{}", chunk(good), chunk(bad)));
    assert_eq!((meter.usage(), meter.absurd(), meter.corrected()), (None, false, true));
    assert_eq!(meter.estimate(&facts(CHAT)), Usage { input: 10, output: 5, ..Usage::default() });
}

#[test]
fn usage_within_the_choice_is_read() {
    let stream = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\",\"usage\":{\"prompt_tokens\":1200,\"completion_tokens\":77}}]}\n\n";
    let usage = read(CHAT, stream).0.usage();
    assert_eq!(usage, Some(Usage { input: 1_200, output: 77, ..Usage::default() }));
}

#[test]
fn without_usage_the_delivered_text_counts_and_never_as_nothing() {
    let stream = |delta: &str| format!("data: {{\"choices\":[{{\"delta\":{delta}}}]}}\n\n");
    let output = |stream: &str| read(CHAT, stream).0.estimate(&facts(CHAT));
    assert_eq!(output(&stream(r#"{"content":"twelve bytes"}"#)).output, 3);
    assert_eq!(output(&stream(r#"{"tool_calls":[{"id":"call_1","type":"function","function":{"name":"look","arguments":"{\"a\":1}"}}]}"#)).output, 3);
    assert_eq!(
        output(&stream(r#"{"reasoning_content":"twelve bytes","reasoning":"twelve bytes"}"#))
            .reasoning,
        3
    );
    assert_eq!(output(&stream(r#"{"content":null}"#)).output, 1);
    assert_eq!(output(": nothing yet\n\n"), Usage { input: 25, ..Usage::default() });
    assert_eq!(openai(&json!({"prompt_tokens": 0, "completion_tokens": 0})).usage(), None);
}

#[test]
fn a_message_broken_off_is_charged_its_reported_input_and_what_was_delivered() {
    let until = MESSAGES_STREAM.find("event: message_delta").unwrap();
    let (meter, _) = read(MESSAGES, &MESSAGES_STREAM[..until]);
    assert_eq!(meter.usage(), None);
    assert!(!meter.finished());
    assert_eq!(meter.estimate(&facts(MESSAGES)), Usage { output: 3, ..messages_usage() });
    let until = MESSAGES_STREAM.find("event: content_block_start").unwrap();
    assert_eq!(read(MESSAGES, &MESSAGES_STREAM[..until]).0.estimate(&facts(MESSAGES)).output, 1);
}

#[test]
fn no_output_is_not_believed_of_an_answer_with_text() {
    let stream = r#"data: {"choices":[{"delta":{"content":"twelve bytes"},"finish_reason":"stop"}],"usage":{"prompt_tokens":5,"completion_tokens":0}}

"#;
    let (meter, _) = read(CHAT, stream);
    assert_eq!(meter.usage(), None);
    assert_eq!(meter.estimate(&facts(CHAT)), Usage { input: 5, output: 3, ..Usage::default() });
}

#[test]
fn an_error_in_a_stream_is_seen_in_both_dialects() {
    for (endpoint, event) in [
        (CHAT, "data: {\"error\":{\"message\":\"overloaded\"}}\n\n"),
        (CHAT, "event: error\ndata: gone\n\n"),
        (
            MESSAGES,
            "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\"}}\n\n",
        ),
    ] {
        assert_eq!(read(endpoint, event).1, [Seen::Error], "{event}");
    }
    assert_eq!(read(CHAT, "data: {\"error\":null,\"choices\":[{}]}\n\n").1, [Seen::Content]);
}

#[test]
fn what_is_unknown_or_empty_passes_as_other() {
    for event in [
        "data:\n\n",
        "data: \n\n",
        "event: ping\n\n",
        "data: {\"type\":\"new_thing\"}\n\n",
        "data: 7\n\n",
        "data: {\"choices\":\n\n",
    ] {
        for endpoint in [CHAT, MESSAGES] {
            assert_eq!(read(endpoint, event).1, [Seen::Other], "{event}");
        }
    }
    let filtered = "data: {\"choices\":[],\"prompt_filter_results\":[{}]}\n\n";
    assert_eq!(read(CHAT, filtered).1, [Seen::Other]);
}

/// What one event of a stream comes to, behind these.
fn after(endpoint: Endpoint, events: &[&str]) -> Meter {
    let stream: Vec<String> = events.iter().map(|event| format!("data: {event}\n\n")).collect();
    read(endpoint, &stream.concat()).0
}

#[test]
fn what_is_of_another_kind_than_expected_is_passed_over() {
    let usage = Some(Usage { input: 10, output: 3, ..Usage::default() });
    for answer in [
        r#"{"model":7,"choices":[{"message":null,"delta":"x","text":"","finish_reason":"stop"}],"usage":{"prompt_tokens":10,"completion_tokens":3}}"#,
        r#"{"choices":null,"usage":{"prompt_tokens":10,"completion_tokens":3}}"#,
        r#"{"choices":{},"usage":{"prompt_tokens":10,"completion_tokens":3,"prompt_tokens_details":null}}"#,
        r#"{"choices":[],"usage":{"prompt_tokens":10,"completion_tokens":3,"completion_tokens_details":null}}"#,
    ] {
        assert_eq!(after(CHAT, &[answer]).usage(), usage, "{answer}");
    }
    for answer in [
        r#"{"type":"message_delta","delta":null,"usage":{"input_tokens":10,"output_tokens":3}}"#,
        r#"{"type":"message_delta","message":"x","usage":{"input_tokens":10,"output_tokens":3}}"#,
        r#"{"type":"message_delta","usage":{"input_tokens":10,"output_tokens":3,"cache_creation":null}}"#,
    ] {
        assert_eq!(after(MESSAGES, &[answer]).usage(), usage, "{answer}");
    }
    let odd = after(MESSAGES, &[r#"{"type":7,"usage":{"input_tokens":10,"output_tokens":3}}"#]);
    assert_eq!(odd.usage(), None);
    // It was read: only what cannot be read counts by its bytes.
    let counted = odd.count(&facts(MESSAGES));
    assert_eq!((counted.output, odd.estimate(&facts(MESSAGES)).output), (0, 3));
}

#[test]
fn the_first_model_with_a_name_is_the_one_that_answered() {
    let longest = "m".repeat(256);
    for (endpoint, of) in [
        (CHAT, r#"{"model":"NAME","choices":[]}"#),
        (MESSAGES, r#"{"type":"message_start","message":{"model":"NAME"}}"#),
        (MESSAGES, r#"{"type":"message","model":"NAME"}"#),
    ] {
        let says = |name: &str| of.replace("NAME", name);
        let events = [says(""), says(&"m".repeat(1_000)), says("first"), says("second")];
        let events: Vec<&str> = events.iter().map(String::as_str).collect();
        assert_eq!(after(endpoint, &events).answered_by(), Some("first"), "{of}");
        assert_eq!(after(endpoint, &[&says(&longest)]).answered_by(), Some(&*longest), "{of}");
    }
}

#[test]
fn text_is_counted_wherever_it_stands() {
    let text = "hi there, hi there";
    let tokens = tokens::count(u64::try_from(text.len()).unwrap());
    assert!(tokens > 1);
    for (endpoint, event) in [
        (CHAT, json!({"choices": [{"text": text}]})),
        (CHAT, json!({"choices": [{"delta": {"content": text}}]})),
        (CHAT, json!({"choices": [{"delta": {"refusal": text}}]})),
        (MESSAGES, json!({"type": "message", "content": [{"type": "text", "text": text}]})),
        (
            MESSAGES,
            json!({"type": "content_block_start", "content_block": {"type": "text", "text": text}}),
        ),
        (
            MESSAGES,
            json!({"type": "content_block_delta", "delta": {"type": "text_delta", "text": text}}),
        ),
        (
            MESSAGES,
            json!({"type": "content_block_delta", "delta": {"type": "input_json_delta", "partial_json": text}}),
        ),
        (
            MESSAGES,
            json!({"type": "content_block_delta", "delta": {"type": "thinking_delta", "thinking": text}}),
        ),
    ] {
        let event = event.to_string();
        let counted = after(endpoint, &[&event]).estimate(&facts(endpoint));
        assert!((tokens..tokens + 4).contains(&counted.output), "{event}: {counted:?}");
    }
}

#[test]
fn an_answer_is_over_when_it_says_why_it_stopped() {
    for (over, endpoint, event) in [
        (true, MESSAGES, r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"}}"#),
        (false, MESSAGES, r#"{"type":"message_delta","delta":{"stop_reason":null}}"#),
        (true, MESSAGES, r#"{"type":"message_delta","stop_reason":"end_turn"}"#),
        (true, MESSAGES, r#"{"type":"message_stop"}"#),
        (false, MESSAGES, r#"{"type":"message_start","message":{"stop_reason":null}}"#),
        (true, CHAT, r#"{"choices":[{"finish_reason":"stop"}]}"#),
        (false, CHAT, r#"{"choices":[{"finish_reason":null}]}"#),
    ] {
        assert_eq!(after(endpoint, &[event]).finished(), over, "{event}");
    }
}

#[test]
fn figures_from_before_the_answer_are_not_its_usage() {
    const START: &str =
        r#"{"type":"message_start","message":{"usage":{"input_tokens":10,"output_tokens":1}}}"#;
    assert_eq!(after(MESSAGES, &[START]).usage(), None);
    assert_eq!(after(MESSAGES, &[START, r#"{"type":"message_delta","delta":{}}"#]).usage(), None);
    let last = r#"{"type":"message_delta","usage":{"output_tokens":7}}"#;
    let usage = Usage { input: 10, output: 7, ..Usage::default() };
    assert_eq!(after(MESSAGES, &[START, last]).usage(), Some(usage));
}

#[test]
fn a_figure_of_nothing_is_one_and_does_not_erase_an_earlier_one() {
    let nothing = Usage { input: 10, ..Usage::default() };
    assert_eq!(anthropic(&json!({"input_tokens": 10, "output_tokens": 0})).usage(), Some(nothing));
    // The split stands where the total of it says nothing.
    let split = json!({"input_tokens": 10, "output_tokens": 3, "cache_creation_input_tokens": 0, "cache_creation": {"ephemeral_5m_input_tokens": 7}});
    let usage = Usage { input: 10, cache_write_5m: 7, output: 3, ..Usage::default() };
    assert_eq!(anthropic(&split).usage(), Some(usage));
    // DeepSeek's word for what was read from the cache.
    let hit = json!({"prompt_tokens": 10, "completion_tokens": 3, "prompt_cache_hit_tokens": 4});
    let usage = Usage { input: 6, cached_read: 4, output: 3, ..Usage::default() };
    assert_eq!(openai(&hit).usage(), Some(usage));
}

#[test]
fn an_error_of_a_message_stream_is_one_by_its_type() {
    let (_, seen) = read(MESSAGES, "data: {\"type\":\"error\",\"error\":{\"type\":\"x\"}}\n\n");
    assert_eq!(seen, [Seen::Error]);
}

#[test]
fn an_embedding_has_no_output() {
    let mut meter = Meter::new(Endpoint::Embeddings);
    let seen = meter.read_document(br#"{"object":"list","data":[{"embedding":[0.1,-0.2]}],"model":"e","usage":{"prompt_tokens":8,"total_tokens":8}}"#);
    assert_eq!(seen, Seen::Content);
    assert!(meter.finished());
    assert_eq!(meter.usage(), Some(Usage { input: 8, ..Usage::default() }));
    let mut meter = Meter::new(Endpoint::Embeddings);
    meter.read_document(br#"{"data":[],"usage":{"total_tokens":8}}"#);
    assert_eq!(meter.usage(), Some(Usage { input: 8, ..Usage::default() }));
    assert_eq!(
        Meter::new(Endpoint::Embeddings).estimate(&facts(Endpoint::Embeddings)),
        Usage { input: 25, ..Usage::default() }
    );
}

#[test]
fn an_answer_that_can_not_be_read_counts_by_its_bytes() {
    let mut meter = Meter::new(CHAT);
    assert_eq!(meter.read_document(br#"{"choices":[{"message":{}}]"#), Seen::Other);
    assert!(!meter.finished() && meter.usage().is_none());
    assert!(meter.estimate(&facts(CHAT)).output >= 6);
}

proptest! {
    #[test]
    fn a_stream_cut_anywhere_gives_the_same_usage(cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8)) {
        for (endpoint, stream, usage) in [(CHAT, CHAT_STREAM, chat_usage()), (MESSAGES, MESSAGES_STREAM, messages_usage())] {
            let bytes = stream.as_bytes();
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            cuts.sort_unstable();
            let (mut chunks, mut from) = (Vec::new(), 0);
            for to in cuts.into_iter().chain([bytes.len()]) {
                chunks.push(&bytes[from..to]);
                from = to;
            }
            prop_assert_eq!(meter(endpoint, &chunks).0.usage(), Some(usage));
        }
    }

    #[test]
    fn no_figures_make_it_panic_or_count_a_token_twice(
        prompt in prop_oneof![9 => any::<i64>(), 1 => Just(0)], completion in 0_i64..1000, total in prop::option::of(any::<i64>()), cached in -5_i64..1000, reasoning in -5_i64..1000,
    ) {
        let meter = openai(&json!({
            "prompt_tokens": prompt.rem_euclid(1000), "completion_tokens": completion, "total_tokens": total.map(|total| total.rem_euclid(2000)),
            "prompt_tokens_details": {"cached_tokens": cached}, "completion_tokens_details": {"reasoning_tokens": reasoning},
        }));
        match meter.usage_of_parts() {
            Some(usage) => {
                // No prompt beside a total is a prompt that was not told of.
                let (prompt, total) = (prompt.rem_euclid(1000), total.map(|total| total.rem_euclid(2000)));
                let prompt = match total {
                    Some(total) if prompt == 0 && total >= completion => total - completion,
                    _ => prompt,
                };
                let (input, output) = (i64::try_from(usage.input_total()).unwrap(), i64::try_from(usage.output_total()).unwrap());
                prop_assert!(input == prompt || input == prompt + cached);
                prop_assert!(output == completion || output == completion + reasoning);
                // No more than the larger of the total and its parts.
                let all = i64::try_from(meter.usage().unwrap().total()).unwrap();
                prop_assert!(all <= total.unwrap_or(0).max(input + output));
            }
            None => prop_assert!(meter.reports() || meter.absurd() || prompt.rem_euclid(1000) == 0),
        }
        prop_assert!(meter.estimate(&facts(CHAT)).total() > 0);
        let _ = openai(&json!({"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": total})).usage();
    }

    #[test]
    fn no_bytes_make_it_panic(data in prop::collection::vec(any::<u8>(), 0..200), text in r#"[\[\]{}:,"a-z0-9\\]{0,60}"#) {
        for &endpoint in Endpoint::ALL {
            for data in [&data[..], text.as_bytes()] {
                let mut meter = Meter::new(endpoint);
                meter.read_document(data);
                prop_assert!(meter.estimate(&facts(endpoint)).total() > 0);
            }
        }
    }
}

#[test]
fn cache_writes_of_two_lifetimes_are_two_classes_and_what_is_in_neither_is_the_dearer() {
    for (details, short, long) in [
        (json!(null), 30, 0),
        (json!({"ttl_30m_tokens": 10, "ttl_12h_tokens": 20}), 10, 20),
        (json!({"ttl_30m_tokens": 10}), 10, 20),
        (json!({"ttl_12h_tokens": 5}), 0, 30),
        (json!({"ttl_30m_tokens": 99, "ttl_12h_tokens": 0}), 30, 0),
    ] {
        let usage = json!({"prompt_tokens": 100, "completion_tokens": 5, "prompt_tokens_details": {
            "cache_write_tokens": 30, "cache_write_tokens_details": details,
        }});
        let found = openai(&usage).usage().unwrap();
        assert_eq!((found.cache_write_5m, found.cache_write_1h), (short, long), "{usage}");
        assert_eq!(found.input, 70);
    }
}
