#![expect(clippy::arithmetic_side_effects, reason = "sums of small test data")]

use proptest::prelude::*;

use super::*;
use crate::domain::dialect::Dialect;

const KNOWN: [Tokenizer; 2] = [Tokenizer::O200k, Tokenizer::Cl100k];

/// The count by another library.
fn true_count(tokenizer: Tokenizer, text: &str) -> u64 {
    let table = match tokenizer {
        Tokenizer::O200k => bpe_openai::o200k_base(),
        Tokenizer::Cl100k => bpe_openai::cl100k_base(),
        Tokenizer::Unknown => panic!("it has no table"),
    };
    u64::try_from(table.count(text)).unwrap()
}

/// Checks that the bound is never below the count, and is exact if all of the text was counted.
fn holds(text: &str) {
    for tokenizer in KNOWN {
        let (count, truth) = (Counter::new(tokenizer).count(text), true_count(tokenizer, text));
        assert!(count.bound >= truth, "{tokenizer:?}: {} < {truth} of {text:?}", count.bound);
        assert!(count.bound >= count.estimate());
        if count.bytes == 0 {
            assert_eq!(count.bound, truth, "{tokenizer:?} of {text:?}");
        }
        assert!(count.estimate() > 0 || text.is_empty());
    }
    let unknown = Counter::new(Tokenizer::Unknown).count(text);
    assert!(unknown.bound >= u64::try_from(text.len()).unwrap());
}

#[test]
fn any_text_counts_at_least_one_token_and_never_more_than_its_bytes() {
    assert_eq!(count(0), 0);
    for bytes in [1, 2, 3, 4, 5, 4096, u64::MAX] {
        assert!(count(bytes) >= 1 && count(bytes) <= bytes, "{bytes}");
    }
    assert_eq!((count(4), count(5)), (1, 2));
}

#[test]
fn a_model_is_known_by_its_name_whoever_sells_it() {
    for (model, tokenizer) in [
        ("gpt-4o", Tokenizer::O200k),
        ("gpt-4o-mini-2024-07-18", Tokenizer::O200k),
        ("chatgpt-4o-latest", Tokenizer::O200k),
        ("ft:gpt-4o-mini-2024-07-18:acme:suffix:abc", Tokenizer::O200k),
        ("azure/eu/gpt-5-mini-2025-08-07", Tokenizer::O200k),
        ("gpt-4.1-nano", Tokenizer::O200k),
        ("gpt-5.4-mini", Tokenizer::O200k),
        ("o1", Tokenizer::O200k),
        ("o3-pro", Tokenizer::O200k),
        ("o4-mini", Tokenizer::O200k),
        ("us-gov.openai.gpt-oss-120b-1:0", Tokenizer::O200k),
        ("ollama/gpt-oss:20b-cloud", Tokenizer::O200k),
        ("gpt-4", Tokenizer::Cl100k),
        ("gpt-4-turbo-2024-04-09", Tokenizer::Cl100k),
        ("gpt-3.5-turbo", Tokenizer::Cl100k),
        ("azure/gpt-35-turbo-16k", Tokenizer::Cl100k),
        ("text-embedding-3-small", Tokenizer::Cl100k),
        ("text-embedding-ada-002-v2", Tokenizer::Cl100k),
        ("", Tokenizer::Unknown),
        ("small", Tokenizer::Unknown),
        ("gpt-4.7", Tokenizer::Unknown),
        ("gpt-6-sol", Tokenizer::Unknown),
        ("gpt-40", Tokenizer::Unknown),
        ("o10", Tokenizer::Unknown),
        ("GPT-4o", Tokenizer::Unknown),
        ("claude-sonnet-5", Tokenizer::Unknown),
        ("gemini-3-pro", Tokenizer::Unknown),
        ("text-embedding-004", Tokenizer::Unknown),
    ] {
        assert_eq!(Tokenizer::of_model(model), tokenizer, "{model}");
    }
}

#[test]
fn only_models_of_openai_are_counted_by_its_tables() {
    let makers = ["openai", "azure", "gpt-oss", "openai/", "openai."];
    let file = crate::domain::price_file::built_in();
    let known = file.prices.iter().filter(|price| Tokenizer::of_model(&price.model).is_known());
    let mut models = 0;
    for price in known {
        let says = |maker: &&str| price.provider.contains(*maker) || price.model.contains(*maker);
        assert!(makers.iter().any(says), "{} of {}", price.model, price.provider);
        models += 1;
    }
    assert!(models > 100, "{models}");
}

#[test]
fn text_that_was_made_to_cost_much_is_bounded_and_not_counted() {
    let megabyte = 1_usize << 20;
    let random = |alphabet: &str| -> String {
        let alphabet: Vec<char> = alphabet.chars().collect();
        let mut state = 7_u64;
        let mut text = String::new();
        while text.len() < 2 * megabyte {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let at = usize::try_from(state >> 33).unwrap() % alphabet.len();
            text.push(alphabet[at]);
        }
        text
    };
    for text in [
        "a".repeat(megabyte),
        " ".repeat(megabyte),
        "=".repeat(megabyte),
        "\n".repeat(megabyte),
        random("abcdefghijklmnopqrstuvwxyz"),
        random("aЖعअกあ中가α"),
        random("ab ЖД عد अन กา"),
        random("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"),
    ] {
        // Only a part, because the other library is slow for some of these texts.
        holds(&text[..text.floor_char_boundary(megabyte / 16)]);
        let count = Counter::new(Tokenizer::O200k).count(&text);
        assert!(count.bytes > 0, "{:?}", &text.chars().take(20).collect::<String>());
    }
    // The allowance is for a whole body, not for each of its texts.
    let mut counter = Counter::new(Tokenizer::O200k);
    let word = "pneumonoultramicroscopicsilicovolcanoconiosis";
    let counts = (0..megabyte / 20).map(|_| counter.count(word));
    assert!(counts.fold(0, |bytes, count| bytes + count.bytes) > 0);
}

#[test]
fn a_table_that_has_been_counted_by_is_ready() {
    assert!(Tokenizer::Unknown.is_ready());
    for tokenizer in KNOWN {
        assert_eq!(Counter::new(tokenizer).count("hi").bound, 1);
        assert!(tokenizer.is_ready());
    }
    prepare();
    assert!(are_ready());
}

#[test]
fn special_tokens_in_a_text_are_text() {
    for text in ["<|endoftext|>", "<|im_start|>system", "a<|fim_prefix|>b", "<EOT>"] {
        holds(text);
        assert!(Counter::new(Tokenizer::O200k).count(text).bound > 1);
    }
}

#[test]
fn an_image_is_bound_by_its_familys_rule_and_detail() {
    let chat = |model, detail| image_bound(Dialect::OpenAi, model, detail);
    for (model, low, high) in [
        ("gpt-4o", 85, 1_445),
        ("gpt-4o-2024-11-20", 85, 1_445),
        ("azure/gpt-4o", 85, 1_445),
        ("gpt-4.1", 85, 1_445),
        ("ft:gpt-4.1-2025-04-14:acme", 85, 1_445),
        ("gpt-4o-mini", 2_833, 48_169),
        ("gpt-5", 70, 1_190),
        ("gpt-5-chat-latest", 70, 1_190),
        ("o1", 75, 1_275),
        ("o3", 75, 1_275),
        // Patches: the detail makes no documented difference.
        ("gpt-4.1-mini", 2_489, 2_489),
        ("gpt-5-nano", 3_779, 3_779),
        ("o4-mini", 2_642, 2_642),
        // Models without a documented rule.
        ("gpt-5.2", 48_169, 48_169),
        ("gpt-5-pro", 48_169, 48_169),
        ("gpt-6-sol", 48_169, 48_169),
        ("claude-sonnet-5", 48_169, 48_169),
    ] {
        assert_eq!(chat(model, Some("low")), low, "{model}");
        for detail in [None, Some("auto"), Some("high")] {
            assert_eq!(chat(model, detail), high, "{model}");
        }
    }
    assert_eq!(chat("gpt-4o", Some("original")), 48_169);
    let message = |model| image_bound(Dialect::Anthropic, model, None);
    assert_eq!(message("claude-haiku-4-5-20251001"), 1_600);
    assert_eq!((message("claude-opus-4-8"), message("claude-opus-5")), (4_784, 4_784));
}

/// Texts of many kinds: words of many scripts, code, numbers, runs, and anything at all.
fn texts() -> impl Strategy<Value = String> {
    let words = prop::sample::select(
        "the quick Fox isn't getUserById snake_case_name Überraschung naïve señor \
         привет мир 你好世界 人工智能 こんにちは データベース 안녕하세요 مرحبا שלום नमस्ते สวัสดี \
         😀 👩‍💻 🏳️‍🌈 🇩🇪 1234567 3.14159 0xDEADBEEF {\"type\":\"object\"} fn(x)=>{} // --- \u{0} \u{200b} \u{301} ﷺ ℡ ½"
            .split(' ')
            .collect::<Vec<_>>(),
    );
    let between = prop::sample::select(vec![
        "", " ", " ", "\n", "\n\n  ", "\t", ", ", ".\r\n", "'", "\u{a0}", "、",
    ]);
    let phrase = prop::collection::vec((words, between), 0..40)
        .prop_map(|parts| parts.into_iter().flat_map(|(word, between)| [word, between]).collect());
    let run = (any::<char>(), 0_usize..700)
        .prop_map(|(character, times)| std::iter::repeat_n(character, times).collect::<String>());
    let code = "[ -~\n\t]{0,300}";
    prop_oneof![4 => phrase, 1 => any::<String>(), 1 => run, 2 => code, 1 => r"\PC{0,200}", 1 => r"[a-zA-Z]{0,600}"]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_bound_is_never_below_the_count(texts in prop::collection::vec(texts(), 1..4)) {
        for text in &texts {
            holds(text);
        }
        holds(&texts.concat());
    }

    #[test]
    fn texts_that_are_joined_are_bound_by_their_counts_and_their_edges(texts in prop::collection::vec(texts(), 1..5), at in any::<prop::sample::Index>()) {
        let whole = texts.concat();
        let (left, right) = whole.split_at(whole.floor_char_boundary(at.index(whole.len() + 1)));
        for parts in [texts.iter().map(String::as_str).collect::<Vec<_>>(), vec![left, right]] {
            for tokenizer in KNOWN {
                let mut counter = Counter::new(tokenizer);
                let counts = parts.iter().map(|part| counter.count(part).bound).sum::<u64>();
                let seams: u64 = parts.windows(2).map(|pair| edges(pair[0]).1 + edges(pair[1]).0).sum();
                prop_assert!(counts + seams >= true_count(tokenizer, &whole), "{parts:?}");
            }
        }
    }
}
