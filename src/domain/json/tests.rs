use proptest::prelude::*;
use serde_json::Value;

use super::*;

fn check(text: &[u8]) -> Result<(), JsonError> {
    let mut reader = Reader::new(text)?;
    reader.skip()?;
    reader.end()
}

#[test]
fn a_key_that_appears_twice_is_refused_at_any_depth_and_in_any_spelling() {
    let twice = |key: &str| Err(JsonError::DuplicateKey(key.into()));
    assert_eq!(check(br#"{"model":"a","model":"b"}"#), twice("model"));
    assert_eq!(check(br#"{"model":"a","mod\u0065l":"b"}"#), twice("model"));
    assert_eq!(check(br#"[{"a":[{"b":{"n":1,"x":{"n":1},"n":2}}]}]"#), twice("n"));
    assert_eq!(check("{\"\u{1F600}\":1,\"\\ud83d\\ude00\":2}".as_bytes()), twice("\u{1F600}"));
    assert_eq!(check(br#"{"":1,"":2}"#), twice(""));
    assert_eq!(check(br#"{"a":{"a":{"a":1}},"b":{"a":1},"A":1}"#), Ok(()));
}

#[test]
fn a_key_that_appears_twice_is_found_among_many() {
    for count in [1_usize, 23, 24, 25, 26, 5_000] {
        let keys: Vec<String> = (0..count).map(|key| format!("\"k{key}\":{{\"k1\":0}}")).collect();
        let keys = keys.join(",");
        assert_eq!(check(format!("{{{keys}}}").as_bytes()), Ok(()), "{count}");
        for twice in [0, count.saturating_sub(1)] {
            let text = format!("{{{keys},\"k{twice}\":1}}");
            assert_eq!(
                check(text.as_bytes()),
                Err(JsonError::DuplicateKey(format!("k{twice}"))),
                "{count}"
            );
        }
    }
}

#[test]
fn a_very_long_key_is_named_by_its_beginning() {
    let key = "k".repeat(10_000);
    let text = format!(r#"{{"{key}":1,"{key}":2}}"#);
    assert_eq!(check(text.as_bytes()), Err(JsonError::DuplicateKey("k".repeat(64))));
}

#[test]
fn nesting_is_bounded_where_serde_json_bounds_it() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let nested = |depth: usize| format!("{}1{}", open.repeat(depth), close.repeat(depth));
        assert_eq!(check(nested(DEPTH_MAX).as_bytes()), Ok(()));
        assert_eq!(check(nested(DEPTH_MAX.saturating_add(1)).as_bytes()), Err(JsonError::TooDeep));
        assert_eq!(check(open.repeat(1_000_000).as_bytes()), Err(JsonError::TooDeep));
    }
}

#[test]
fn what_is_not_json_is_refused_with_its_place() {
    for text in [
        "",
        " ",
        "{",
        "[",
        "[1",
        "[1,",
        "[1,]",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{a:1}",
        "{1:1}",
        "nul",
        "nulL",
        "tru",
        "01",
        "-",
        "1.",
        ".5",
        "1e",
        "1e+",
        "+1",
        "NaN",
        "Infinity",
        "'a'",
        "\"a",
        "\"\\",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\u+123\"",
        "\"\t\"",
        "1 2",
        "{} x",
        "\u{FEFF}{}",
        "[1 2]",
        "{\"a\" 1}",
        "\"\\u00zz\"",
    ] {
        assert!(matches!(check(text.as_bytes()), Err(JsonError::Syntax { .. })), "{text:?}");
        assert!(serde_json::from_str::<Value>(text).is_err(), "{text:?}");
    }
    assert_eq!(check(b"[1, x]"), Err(JsonError::Syntax { at: 4 }));
    assert_eq!(check(b"\"\xff\""), Err(JsonError::NotUtf8));
    assert_eq!(check(b"\"\xed\xa0\x80\""), Err(JsonError::NotUtf8));
}

#[test]
fn a_value_of_another_kind_is_an_error_of_its_own() {
    let mut reader = Reader::new(b" 7").unwrap();
    assert_eq!(reader.string().unwrap_err(), JsonError::Unexpected { at: 1 });
    assert!(!reader.null().unwrap());
    assert_eq!(reader.number(), Ok("7"));
}

#[test]
fn a_string_knows_its_decoded_length() {
    for (text, decoded) in [
        (r#""""#, ""),
        (r#""plain""#, "plain"),
        (r#""\"\\\/\b\f\n\r\t""#, "\"\\/\u{8}\u{c}\n\r\t"),
        (r#""\u0041\u00e9\u20ac""#, "Aé€"),
        (r#""\ud83d\ude00""#, "\u{1F600}"),
        (r#""\ud83d""#, "\u{FFFD}"),
        (r#""\ude00\ud83d""#, "\u{FFFD}\u{FFFD}"),
        (r#""\ud83d\ud83d\ude00""#, "\u{FFFD}\u{1F600}"),
        (r#""\ud83d\u0041""#, "\u{FFFD}A"),
        (r#""\ud83d \ude00""#, "\u{FFFD} \u{FFFD}"),
    ] {
        let string = Reader::new(text.as_bytes()).unwrap().string().unwrap();
        assert_eq!(string.decoded(), decoded, "{text}");
        assert_eq!(string.len(), decoded.len(), "{text}");
    }
}

#[test]
fn a_string_knows_how_many_bytes_its_escapes_add() {
    for (json, escapes) in [(r#""plain""#, 0), (r#""a\nb""#, 1), (r#""\u0041\t""#, 6)] {
        let mut reader = Reader::new(json.as_bytes()).unwrap();
        assert_eq!(reader.string().unwrap().escapes(), escapes, "{json}");
    }
}

#[test]
fn an_exponent_may_have_either_sign_and_not_both() {
    for number in ["1e5", "1e+5", "1e-5", "1E-5", "-0.5e-10"] {
        assert_eq!(Reader::new(number.as_bytes()).unwrap().number(), Ok(number));
    }
    assert!(check(b"1e+-5").is_err() && check(b"1e").is_err() && check(b"1e+").is_err());
}

#[test]
fn a_string_without_escapes_is_not_copied() {
    let text = format!("\"{}\"", "a€".repeat(100));
    let string = Reader::new(text.as_bytes()).unwrap().string().unwrap();
    assert!(matches!(string.decoded(), std::borrow::Cow::Borrowed(_)));
}

#[test]
fn each_escaped_key_is_decoded_once_however_many_keys_there_are_of_its_length() {
    for (objects, keys) in [(1, 2), (1, 24), (1, 25), (50, 24), (2, 500)] {
        let object: Vec<String> =
            (0..keys).map(|index| format!("\"\\u0061{index:05}\":0")).collect();
        let object = format!("{{{}}}", object.join(","));
        let text = format!("[{}]", vec![object; objects].join(","));
        let decoded = counted::while_reading(|| check(text.as_bytes()).unwrap());
        assert_eq!(decoded, objects * keys, "{objects} objects of {keys} keys");
    }
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,80}".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 64, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
            prop::collection::hash_map(".{0,8}", inner, 0..8)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn what_serde_json_writes_is_read(value in values()) {
        prop_assert_eq!(check(&serde_json::to_vec(&value).unwrap()), Ok(()));
        prop_assert_eq!(check(&serde_json::to_vec_pretty(&value).unwrap()), Ok(()));
    }

    #[test]
    fn what_is_read_can_be_read_by_serde_json(text in r#"[\[\]{}:,"0-9eE.+\-\\ntrufalse \x00-\x20a\u{20ac}]{0,12}"#) {
        if check(text.as_bytes()).is_ok() {
            prop_assert!(serde_json::from_str::<&serde_json::value::RawValue>(&text).is_ok(), "{}", text);
        } else if let Ok(value) = serde_json::from_str::<Value>(&text) {
            // Only this reader refuses duplicate keys; all other decisions must agree with `serde_json`.
            prop_assert!(text.contains('{'), "{} {}", text, value);
        }
    }

    #[test]
    fn a_string_decodes_as_serde_json_decodes_it(string in any::<String>()) {
        let units: Vec<String> = string.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
        let escaped = format!("\"{}\"", units.concat());
        for text in [serde_json::to_string(&string).unwrap(), escaped] {
            let read = Reader::new(text.as_bytes()).unwrap().string().unwrap();
            prop_assert_eq!(read.decoded(), string.as_str());
            prop_assert_eq!(read.len(), string.len());
        }
    }
}
