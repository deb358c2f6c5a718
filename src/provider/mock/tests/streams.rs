use super::*;

#[tokio::test]
async fn a_stream_has_the_number_of_chunks_that_is_asked_for() {
    for chunks in ["1", "7", "100"] {
        let events = events(CHAT, &[("x-mock-chunks", chunks)], &chat_stream()).await;
        let content = events.iter().filter(|event| event["choices"][0]["delta"]["content"] != "");
        // The closing chunk has no content at all, the usage chunk no choice.
        let content = content.filter(|event| event["choices"][0]["delta"].get("content").is_some());
        let said: String = content
            .map(|event| event["choices"][0]["delta"]["content"].as_str().unwrap())
            .collect();
        assert_eq!(said, "one two ".repeat(8).trim_end());
        let deltas =
            events.iter().filter(|event| event["choices"][0]["delta"].get("content").is_some());
        assert_eq!(deltas.count().to_string(), (chunks.parse::<usize>().unwrap() + 1).to_string());
    }
}

#[tokio::test]
async fn an_endless_stream_goes_on_beyond_its_cap_and_counts_what_it_says() {
    let mock = MockProvider::new();
    let mut body = chat_stream();
    body["max_tokens"] = 3.into();
    let request = Request::post(CHAT)
        .header("x-request-id", "1")
        .header("x-mock-endless", "true")
        .body(Full::<Bytes>::from(body.to_string()))
        .unwrap();
    let mut answer = mock.clone().oneshot(request).await.unwrap().into_body();
    let mut said = String::new();
    while said.matches("one").count() < 1_000 {
        let frame = answer.frame().await.unwrap().unwrap().into_data().unwrap();
        said.push_str(std::str::from_utf8(&frame).unwrap());
    }
    let served = mock.served("1");
    assert_eq!((served.output_tokens, served.completed), (2_000, 0));
}

#[tokio::test]
async fn only_a_caller_that_asks_gets_the_usage_chunk() {
    let with = events(CHAT, &[], &chat_stream()).await;
    let (last, before) = with.split_last().unwrap();
    assert_eq!(last["choices"], json!([]));
    assert_eq!(last["usage"]["completion_tokens"], 16);
    assert!(before.iter().all(|event| event["usage"].is_null() && event.get("usage").is_some()));

    let mut body = chat_stream();
    body["stream_options"] = Value::Null;
    let without = events(CHAT, &[], &body).await;
    assert!(without.iter().all(|event| event.get("usage").is_none()));
    assert_eq!(without.len(), with.len() - 1);
}

#[tokio::test]
async fn usage_is_reported_as_the_header_says() {
    let none = events(CHAT, &[("x-mock-usage", "none")], &chat_stream()).await;
    assert!(none.iter().all(|event| event["usage"].is_null()));
    assert!(document(CHAT, &[("x-mock-usage", "none")], &chat()).await.get("usage").is_none());

    let cumulative = events(CHAT, &[("x-mock-usage", "cumulative")], &chat_stream()).await;
    let so_far: Vec<u64> = cumulative
        .iter()
        .map(|event| event["usage"]["completion_tokens"].as_u64().unwrap())
        .collect();
    assert_eq!(so_far, [0, 4, 8, 12, 16, 16, 16]);

    let stream = events(MESSAGES, &[("x-mock-usage", "final")], &message(true)).await;
    assert_eq!(stream[0]["message"]["usage"]["input_tokens"], 0);
    let delta = stream.iter().find(|event| event["type"] == "message_delta").unwrap();
    assert!(delta["usage"]["input_tokens"].as_u64().unwrap() > 0);
    let stream = events(MESSAGES, &[("x-mock-usage", "none")], &message(true)).await;
    assert!(stream.iter().all(|event| event.get("usage").is_none()));
    assert!(stream[0]["message"].get("usage").is_none());
}

#[tokio::test]
async fn a_message_stream_has_the_events_of_the_vendor_in_their_order() {
    let stream = events(MESSAGES, &[("x-mock-chunks", "2")], &message(true)).await;
    let kinds: Vec<&str> = stream.iter().map(|event| event["type"].as_str().unwrap()).collect();
    let expected = [
        "message_start",
        "content_block_start",
        "ping",
        "content_block_delta",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ];
    assert_eq!(kinds, expected);
    assert!(stream[0]["message"]["usage"]["input_tokens"].as_u64().unwrap() > 0);
    assert_eq!(stream[6]["usage"]["output_tokens"], 16);
}

#[tokio::test(start_paused = true)]
async fn latency_and_chunk_delay_are_kept() {
    let started = Instant::now();
    let options =
        [("x-mock-latency-ms", "500"), ("x-mock-chunks", "3"), ("x-mock-chunk-delay-ms", "100")];
    let answer = ask(&MockProvider::new(), CHAT, &options, &chat_stream()).await;
    assert_eq!(started.elapsed(), Duration::from_millis(500));
    text(answer).await;
    assert!((800..810).contains(&started.elapsed().as_millis()), "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_stream_breaks_off_where_it_is_asked_to() {
    for chunks in 0..3 {
        let mock = MockProvider::new();
        let options = [("x-mock-break-after", &*chunks.to_string()), ("x-request-id", "a")];
        let answer = ask(&mock, CHAT, &options, &chat_stream()).await;
        let (frames, broke) = frames(answer.into_body()).await;
        assert_eq!((frames.len(), broke), (chunks + 1, Some(MockBroke)));
        let served = mock.served("a");
        assert_eq!(
            (served.completed, served.output_tokens),
            (0, 4 * u64::try_from(chunks).unwrap())
        );
    }
}

#[tokio::test]
async fn a_split_stream_has_the_same_bytes_in_frames_of_that_length() {
    let whole = text(ask(&MockProvider::new(), MESSAGES, &[], &message(true)).await).await;
    for split in ["1", "7", "64", "1000000"] {
        let options = [("x-mock-split", split)];
        let answer = ask(&MockProvider::new(), MESSAGES, &options, &message(true)).await;
        let (lengths, _) = frames(answer.into_body()).await;
        let (last, others) = lengths.split_last().unwrap();
        let split: usize = split.parse().unwrap();
        assert!(others.iter().all(|length| *length == split) && *last <= split);
        let answer = ask(&MockProvider::new(), MESSAGES, &options, &message(true)).await;
        assert_eq!(text(answer).await, whole);
    }
}
