use super::*;

async fn answer_to(dialect: Dialect, path: &str, answer: String) -> Response<UpstreamBody> {
    let (url, _running, _asks) = answering(answer).await;
    ask(&to(dialect, &url), empty(post(path))).await
}

fn assert_provider_failed(answer: &Response<UpstreamBody>) {
    assert_eq!(answer.status(), StatusCode::BAD_GATEWAY);
    assert_eq!(answer.extensions().get(), Some(&ServedBy("test".into())));
    // A layer's refusal means that the provider was never tried; here it was.
    assert!(answer.extensions().get::<crate::refusal::Refused>().is_none());
}

#[tokio::test]
async fn a_provider_that_is_not_there_is_a_bad_gateway() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let answer = ask(&to(Dialect::OpenAi, &url), empty(post(CHAT))).await;
    assert_provider_failed(&answer);
    let document = document(answer).await;
    assert_eq!(document["error"]["code"], "provider_failed");
    assert!(!document.to_string().contains("127.0.0.1"));
}

#[tokio::test]
async fn a_reset_before_the_head_is_a_bad_gateway_in_the_callers_dialect() {
    for partial in ["", "HTTP/1.1 200 OK\r\ncontent-ty", "not http at all\r\n\r\n"] {
        let (url, _running) = provider(move |mut stream| async move {
            read_request(&mut stream).await.unwrap();
            stream.write_all(partial.as_bytes()).await.unwrap();
        })
        .await;
        let answer = ask(&to(Dialect::Anthropic, &url), empty(post(MESSAGES))).await;
        assert_provider_failed(&answer);
        let document = document(answer).await;
        assert_eq!(
            (&document["type"], &document["error"]["type"]),
            (&"error".into(), &"api_error".into())
        );
        assert!(document["request_id"].is_string());
    }
}

/// A provider that reads a request, sends `sent`, and then nothing more. It notifies the test of each request, and of
/// each connection that ends.
async fn silent_after(sent: &'static str) -> (String, Running, mpsc::Receiver<()>) {
    let (tell, told) = mpsc::channel(2);
    let (url, running) = provider(move |mut stream| {
        let tell = tell.clone();
        async move {
            read_request(&mut stream).await.unwrap();
            stream.write_all(sent.as_bytes()).await.unwrap();
            tell.send(()).await.unwrap();
            assert!(read_request(&mut stream).await.is_none());
            tell.send(()).await.unwrap();
        }
    })
    .await;
    (url, running, told)
}

/// The answer of a silent provider, and how long it took on a paused clock.
async fn waited_for(
    upstream: &Upstream,
    told: &mut mpsc::Receiver<()>,
) -> (Response<UpstreamBody>, Duration) {
    let begun = Instant::now();
    let mut asking = upstream.clone().oneshot(empty(post(CHAT)));
    let answer = tokio::select! {
        answer = &mut asking => answer,
        _ = told.recv() => {
            tokio::time::pause();
            asking.await
        }
    };
    let taken = begun.elapsed();
    tokio::time::resume();
    (answer.unwrap(), taken)
}

#[tokio::test]
async fn a_provider_that_does_not_answer_in_time_is_a_gateway_timeout() {
    let hour = Duration::from_hours(1);
    for (set, limit) in [(None, Duration::from_mins(2)), (Some(hour), hour)] {
        let (url, _running, mut told) = silent_after("").await;
        let mut config = config(Dialect::OpenAi, &url);
        config.head_timeout = set.unwrap_or(config.head_timeout);
        let upstream = Upstream::new(config, HttpClient::default()).unwrap();
        let (answer, taken) = waited_for(&upstream, &mut told).await;
        assert!(taken >= limit && taken < limit + Duration::from_mins(1), "{taken:?}");
        assert_eq!(answer.status(), StatusCode::GATEWAY_TIMEOUT);
        assert_eq!(document(answer).await["error"]["code"], "provider_timed_out");
        told.recv().await.expect("the provider is not hung up on");
    }
}

#[tokio::test]
async fn an_error_document_that_does_not_end_is_waited_for_ten_seconds() {
    let (url, _running, mut told) =
        silent_after("HTTP/1.1 429 Too Many Requests\r\ncontent-length: 100\r\n\r\n{\"error\":")
            .await;
    let (answer, taken) = waited_for(&to(Dialect::OpenAi, &url), &mut told).await;
    let limit = Duration::from_secs(10);
    assert!(taken >= limit && taken < limit + Duration::from_mins(1), "{taken:?}");
    assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(document(answer).await["error"]["code"], "provider_error");
    told.recv().await.expect("the provider is not hung up on");
}

#[tokio::test]
async fn what_concerns_our_account_does_not_look_like_the_callers_fault() {
    let unauthorized = answer("401 Unauthorized\r\nwww-authenticate: Bearer", "{}");
    let unpaid = answer("402 Payment Required", "{}");
    let forbidden = answer("403 Forbidden", "{}");
    let proxy = answer("407 Proxy Authentication Required", "{}");
    let empty_account = answer(
        "429 Too Many Requests",
        "{\"error\":{\"message\":\"m\",\"type\":\"insufficient_quota\",\"param\":null,\"code\":null}}",
    );
    for answer in [unauthorized, unpaid, forbidden, proxy, empty_account] {
        let answer = answer_to(Dialect::OpenAi, CHAT, answer).await;
        assert_provider_failed(&answer);
        assert!(!answer.headers().contains_key(header::WWW_AUTHENTICATE));
        assert_eq!(document(answer).await["error"]["code"], "provider_failed");
    }
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let redirect = answer("307 Temporary Redirect\r\nlocation: http://127.0.0.1:1/", "");
    let answer = answer_to(Dialect::OpenAi, CHAT, redirect).await;
    assert_provider_failed(&answer);
    assert!(!answer.headers().contains_key(header::LOCATION));
}

#[tokio::test]
async fn a_refusal_of_the_provider_keeps_its_status_its_words_and_when_to_come_back() {
    let limited = answer(
        "429 Too Many Requests\r\nretry-after: 7\r\nretry-after-ms: 6500\r\nx-ratelimit-limit-requests: 9",
        "{\"error\":{\"message\":\"Slow down, organization org-abc123.\",\"type\":\"requests\",\"param\":null,\"code\":\"rate_limit_exceeded\"},\"x\":1}",
    );
    let answer = answer_to(Dialect::OpenAi, CHAT, limited).await;
    assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(answer.headers()[header::RETRY_AFTER], "7");
    assert_eq!(answer.headers()["retry-after-ms"], "6500");
    assert!(!answer.headers().contains_key("x-ratelimit-limit-requests"));
    let expected = serde_json::json!({"error": {"message": "Slow down, organization [redacted].",
        "type": "requests", "param": null, "code": "rate_limit_exceeded"}});
    assert_eq!(document(answer).await, expected);
}

#[tokio::test]
async fn an_error_page_becomes_an_error_document() {
    let page = answer(
        "503 Service Unavailable\r\ncontent-type: text/html\r\nretry-after: 3",
        "<html>nginx 10.0.0.7<html>",
    );
    for (dialect, path) in [(Dialect::OpenAi, CHAT), (Dialect::Anthropic, MESSAGES)] {
        let answer = answer_to(dialect, path, page.clone()).await;
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(answer.headers()[header::RETRY_AFTER], "3");
        let document = document(answer).await;
        assert_eq!(document["error"]["code"], "provider_error");
        assert!(!document.to_string().contains("nginx"));
    }
}

#[tokio::test]
async fn an_error_document_longer_than_the_limit_is_replaced() {
    let (url, _running) = provider(|mut stream| async move {
        read_request(&mut stream).await.unwrap();
        let message = "x".repeat(70_000);
        let body = format!(r#"{{"error":{{"message":"{message}","type":"t"}}}}"#);
        let head = format!("HTTP/1.1 400 Bad Request\r\ncontent-length: {}\r\n\r\n", body.len());
        // The gateway may close the connection before everything is written.
        let _hung_up = stream.write_all((head + &body).as_bytes()).await;
    })
    .await;
    let answer = ask(&to(Dialect::OpenAi, &url), empty(post(CHAT))).await;
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
    assert_eq!(document(answer).await["error"]["code"], "provider_error");
}

#[tokio::test]
async fn a_path_of_the_other_dialect_is_not_sent() {
    let (url, _running, mut asks) = answering(answer("200 OK", "{}")).await;
    let upstream = to(Dialect::OpenAi, &url);
    for path in [MESSAGES, "/v1/files"] {
        assert_eq!(ask(&upstream, empty(post(path))).await.status(), StatusCode::NOT_FOUND);
    }
    assert!(asks.try_recv().is_err());
}

#[tokio::test]
async fn the_reason_of_a_refusal_arrives_whatever_shape_it_has() {
    for body in [
        r#"{"object":"error","message":"too long by 7","type":"BadRequestError","code":400}"#,
        r#"[{"error":{"code":400,"message":"too long by 7","status":"INVALID_ARGUMENT"}}]"#,
        r#"{"detail":[{"msg":"too long by 7","type":"value_error"}]}"#,
        r#"{"error":"too long by 7"}"#,
        r#"{"error":{"message":"too long by 7","type":"invalid_request_error"}}"#,
        r#"{"type":"error","error":{"type":"invalid_request_error","message":"too long by 7"}}"#,
        "event: error\ndata: {\"error\":{\"message\":\"too long by 7\"}}\n\n",
    ] {
        for (dialect, path) in [(Dialect::OpenAi, CHAT), (Dialect::Anthropic, MESSAGES)] {
            let answer = answer_to(dialect, path, answer("400 Bad Request", body)).await;
            assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
            let document = document(answer).await;
            assert_eq!(document["error"]["message"], "too long by 7", "{body}");
            assert_eq!(document["type"] == "error", dialect == Dialect::Anthropic, "{document}");
        }
    }
}
