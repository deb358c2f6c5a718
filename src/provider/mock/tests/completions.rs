use super::*;

const COMPLETIONS: &str = "/v1/completions";

fn completion(fields: &Value) -> Value {
    let mut body = json!({"model": "gpt-3.5-turbo-instruct", "prompt": "one two"});
    for (name, value) in fields.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

#[tokio::test]
async fn an_answer_says_the_prompt_again_and_again_up_to_the_documented_default() {
    let options = [("x-mock-output-tokens", "50")];
    let answer = document(COMPLETIONS, &options, &completion(&json!({}))).await;
    assert_eq!(
        (&answer["object"], &answer["id"]),
        (&json!("text_completion"), &json!("cmpl-mock"))
    );
    let choice = &answer["choices"][0];
    assert_eq!(choice["text"], "one two ".repeat(8).trim_end());
    assert_eq!((&choice["index"], &choice["finish_reason"]), (&json!(0), &json!("length")));
    assert_eq!(answer["usage"]["completion_tokens"], 16);
    let answer = document(COMPLETIONS, &options, &completion(&json!({"max_tokens": 3}))).await;
    assert_eq!(answer["choices"][0]["text"], "one two one");
}

#[tokio::test]
async fn each_prompt_has_its_answers_and_all_that_is_written_is_paid_for() {
    for (fields, choices, output) in [
        (json!({"prompt": ["a", "b"], "n": 2}), 4, 20),
        (json!({"prompt": ["a", "b"], "n": 2, "best_of": 3}), 4, 30),
        (json!({"prompt": [1, 2, 3], "best_of": 2}), 1, 10),
        (json!({"prompt": [[1, 2], [3]]}), 2, 10),
    ] {
        let options = [("x-mock-output-tokens", "5")];
        let answer = document(COMPLETIONS, &options, &completion(&fields)).await;
        assert_eq!(answer["choices"].as_array().unwrap().len(), choices, "{fields}");
        assert_eq!(answer["usage"]["completion_tokens"], output, "{fields}");
    }
    for fields in [
        json!({"n": 3, "best_of": 2}),
        json!({"best_of": 21}),
        json!({"best_of": 2, "stream": true}),
    ] {
        let answer = ask(&MockProvider::new(), COMPLETIONS, &[], &completion(&fields)).await;
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{fields}");
    }
}

#[tokio::test]
async fn an_echo_begins_each_answer_with_its_prompt_and_is_no_output() {
    let fields = json!({"prompt": ["a", "b"], "n": 2, "echo": true, "max_tokens": 2});
    let answer = document(COMPLETIONS, &[], &completion(&fields)).await;
    let texts: Vec<&str> = answer["choices"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["text"].as_str().unwrap())
        .collect();
    assert_eq!(texts, ["aa b", "aa b", "ba b", "ba b"]);
    assert_eq!(answer["usage"]["completion_tokens"], 8);
}

#[tokio::test]
async fn a_stream_says_the_same_in_chunks_and_reports_usage_where_it_is_asked_for() {
    let fields = json!({"stream": true, "echo": true, "stream_options": {"include_usage": true}});
    let events = events(COMPLETIONS, &[], &completion(&fields)).await;
    let (last, chunks) = events.split_last().unwrap();
    assert_eq!((&last["choices"], &last["usage"]["completion_tokens"]), (&json!([]), &json!(16)));
    assert!(chunks.iter().all(|chunk| chunk["object"] == "text_completion"
        && chunk["usage"].is_null()
        && chunk.get("usage").is_some()));
    let said: String =
        chunks.iter().map(|one| one["choices"][0]["text"].as_str().unwrap()).collect();
    let whole = document(COMPLETIONS, &[], &completion(&json!({"echo": true}))).await;
    assert_eq!(json!(said), whole["choices"][0]["text"]);
    assert_eq!(chunks.last().unwrap()["choices"][0]["finish_reason"], "stop");
}
