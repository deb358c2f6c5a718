//! The lower and the upper bound of a call's charge. They follow from the provider's own count. If the provider gave no
//! count, they follow from the delivered text and the hold.

use serde_json::Value;
use tollgate::domain::usage::Usage;

use super::{MODEL, Row, cost};

/// What the audit log has kept of a call.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    pub(crate) request: String,
    pub(crate) response: String,
    pub(crate) truncated: bool,
}

/// A row of the books against what the provider did, and what the client got.
pub(crate) fn hold_for(row: &Row, kept: Option<&Kept>) {
    if row.released {
        is_free(row, kept.unwrap());
    } else if !row.estimated && !row.clamped {
        is_exact(row);
    } else {
        is_between(row, kept.unwrap());
    }
}

/// Nothing is owed, because nothing was delivered.
fn is_free(row: &Row, kept: &Kept) {
    assert_eq!((row.charged, row.debt, row.usage), (0, 0, Usage::default()), "{row:?}");
    assert!(row.status >= 400, "free, and answered: {row:?}");
    assert_eq!(delivered(&kept.response), 0, "free, and delivered: {row:?} {kept:?}");
    assert_eq!(row.served.completed, 0, "free, and served: {row:?}");
    // What was to come in one piece and broke off was not passed on.
    assert!(row.served.output_tokens == 0 || !row.stream, "free, and served: {row:?}");
}

/// Each class is the provider's own figure.
fn is_exact(row: &Row) {
    let served = row.served;
    assert_eq!(served.completed, 1, "believed before its end: {row:?}");
    assert_eq!(row.charged + row.debt, cost(&served), "its true usage: {row:?}");
    let usage = Usage {
        input: served.input_tokens - served.cached_tokens - served.cache_write_tokens,
        cached_read: served.cached_tokens,
        cache_write_5m: served.cache_write_tokens,
        cache_write_1h: 0,
        output: served.output_tokens - served.reasoning_tokens,
        reasoning: served.reasoning_tokens,
    };
    assert_eq!(row.usage, usage, "{row:?}");
}

/// At least what was delivered; at most what was held, or what was delivered beyond it.
fn is_between(row: &Row, kept: &Kept) {
    let Row { usage, served, .. } = row;
    let told = format!("{row:?}");
    assert!(row.estimated, "{told}");
    let by_text = delivered(&kept.response).div_ceil(4);
    let output = usage.output_total();
    assert!(output >= by_text, "{by_text} tokens were delivered: {told}");
    if !kept.truncated {
        // Four bytes a token, or the provider's own figure on the way.
        let most = by_text.max(served.output_tokens).max(1);
        assert!(output <= most, "no more than {most} tokens were delivered: {told}");
    }
    let request: Value = serde_json::from_str(&kept.request).unwrap_or_default();
    assert!(usage.input_total() >= least_input(row, &request), "{told}");
    if row.clamped {
        assert_eq!(row.charged + row.debt, row.held, "the hold: {told}");
        return;
    }
    // A provider that pays no heed to the cap is paid for what it delivered all the same.
    let cap = request["max_tokens"].as_u64();
    let beyond = cap.is_some_and(|cap| output > cap);
    assert!(row.charged + row.debt <= row.held || beyond, "more than was held: {told}");
}

/// The input that nobody needs to report: a token for four bytes of text, where the tokenizer is not known.
fn least_input(row: &Row, request: &Value) -> u64 {
    if request["model"] != MODEL {
        return 1;
    }
    let texts = request["messages"].as_array().into_iter().flatten();
    let bytes: usize = texts.filter_map(|message| message["content"].as_str()).map(str::len).sum();
    let counted = u64::try_from(bytes).unwrap().div_ceil(4).max(1);
    // The provider may have said less.
    if row.served.input_tokens > 0 { counted.min(row.served.input_tokens) } else { counted }
}

/// The bytes of text in an answer, whole or as far as it was streamed.
fn delivered(response: &str) -> u64 {
    let text = match serde_json::from_str::<Value>(response) {
        Ok(document) => text_of(&document, "message"),
        Err(_) => response
            .lines()
            .filter_map(|line| line.strip_prefix("data: "))
            .filter_map(|data| serde_json::from_str::<Value>(data).ok())
            .map(|event| text_of(&event, "delta"))
            .sum(),
    };
    u64::try_from(text).unwrap()
}

/// The text of a document, or of an event whose part is named so.
fn text_of(document: &Value, part: &str) -> usize {
    let length = |text: &Value| text.as_str().map_or(0, str::len);
    let choices = document["choices"].as_array().into_iter().flatten();
    let openai: usize =
        choices.map(|choice| length(&choice[part]["content"]) + length(&choice["text"])).sum();
    let blocks = document["content"].as_array().into_iter().flatten();
    let anthropic: usize = blocks.map(|block| length(&block["text"])).sum();
    openai + anthropic + length(&document["delta"]["text"])
}
