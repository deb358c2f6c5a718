use super::*;

#[tokio::test]
async fn more_cached_than_input_tokens_are_refused() {
    let options = [("x-mock-input-tokens", "1"), ("x-mock-cached-tokens", "2")];
    let answer = ask(&MockProvider::new(), CHAT, &options, &chat()).await;
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
    assert!(text(answer).await.contains("x-mock-cached-tokens"));
}

#[tokio::test]
async fn an_error_is_in_the_dialect_of_its_path() {
    let answer = ask(&MockProvider::new(), CHAT, &[("x-mock-status", "429")], &chat()).await;
    assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(answer.headers()[header::RETRY_AFTER], "1");
    let answer: Value = serde_json::from_str(&text(answer).await).unwrap();
    assert_eq!(answer["error"]["type"], "rate_limit_error");

    let options = [("x-mock-status", "529"), ("x-mock-retry-after", "7")];
    let answer = ask(&MockProvider::new(), MESSAGES, &options, &message(false)).await;
    assert_eq!(answer.headers()[header::RETRY_AFTER], "7");
    let answer: Value = serde_json::from_str(&text(answer).await).unwrap();
    assert_eq!(answer["error"]["type"], "overloaded_error");
}

#[tokio::test]
async fn a_document_breaks_off_in_its_middle_and_promises_no_length() {
    let answer = ask(&MockProvider::new(), CHAT, &[("x-mock-break-after", "0")], &chat()).await;
    assert_eq!(answer.body().size_hint().exact(), None);
    assert_eq!(frames(answer.into_body()).await.1, Some(MockBroke));
}

#[tokio::test]
async fn garbage_has_the_right_content_type_and_the_wrong_content() {
    for body in [chat(), chat_stream()] {
        let answer = ask(&MockProvider::new(), CHAT, &[("x-mock-garbage", "true")], &body).await;
        assert_ne!(answer.headers()[header::CONTENT_TYPE], "text/html; charset=utf-8");
        let bytes = answer.into_body().collect().await.unwrap().to_bytes();
        assert!(
            serde_json::from_slice::<Value>(&bytes).is_err()
                && std::str::from_utf8(&bytes).is_err()
        );
    }
    let options = [("x-mock-garbage", "html"), ("x-mock-status", "502")];
    let answer = ask(&MockProvider::new(), CHAT, &options, &chat()).await;
    assert_eq!(answer.headers()[header::CONTENT_TYPE], "text/html; charset=utf-8");
    assert_eq!(answer.status(), StatusCode::BAD_GATEWAY);
}

#[tokio::test(start_paused = true)]
async fn a_hanging_answer_has_no_head_or_no_end() {
    let long = Duration::from_hours(1);
    let mock = MockProvider::new();
    for value in ["true", "head"] {
        let hangs = [("x-mock-hang", value)];
        assert!(tokio::time::timeout(long, ask(&mock, CHAT, &hangs, &chat())).await.is_err());
    }
    for body in [chat(), chat_stream()] {
        let answer = ask(&mock, CHAT, &[("x-mock-hang", "body")], &body).await;
        assert!(tokio::time::timeout(long, frames(answer.into_body())).await.is_err());
    }
}

#[tokio::test]
async fn a_header_that_is_not_understood_is_named() {
    let wrong = [
        ("x-mock-latency-ms", "soon"),
        ("x-mock-latency-ms", "600001"),
        ("x-mock-input-tokens", "-1"),
        ("x-mock-output-tokens", "1.5"),
        ("x-mock-cached-tokens", ""),
        ("x-mock-cache-write-tokens", "x"),
        ("x-mock-reasoning-tokens", "x"),
        ("x-mock-chunks", "0"),
        ("x-mock-chunk-delay-ms", "x"),
        ("x-mock-status", "600"),
        ("x-mock-status", "101"),
        ("x-mock-retry-after", "x"),
        ("x-mock-break-after", "soon"),
        ("x-mock-usage", "some"),
        ("x-mock-garbage", "yes"),
        ("x-mock-split", "0"),
        ("x-mock-hang", "up"),
        ("x-mock-latency", "1"),
    ];
    for (name, value) in wrong {
        let answer = ask(&MockProvider::new(), CHAT, &[(name, value)], &chat()).await;
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{name}: {value}");
        assert!(text(answer).await.contains(name));
    }
}

#[tokio::test]
async fn a_body_that_is_no_call_is_refused_naming_the_field() {
    let wrong = [
        (CHAT, json!("x"), "model"),
        (CHAT, json!({"model": "m"}), "messages"),
        (CHAT, json!({"model": "m", "messages": [], "n": 0}), "n"),
        (MESSAGES, json!({"model": "m", "messages": []}), "max_tokens"),
        (EMBEDDINGS, json!({"model": "m"}), "input"),
        (EMBEDDINGS, json!({"model": "m", "input": "x", "dimensions": 0}), "dimensions"),
    ];
    for (path, body, field) in wrong {
        let answer = ask(&MockProvider::new(), path, &[], &body).await;
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
        assert!(text(answer).await.contains(&format!("`{field}`")), "{field}");
    }
}
