use tokio::sync::mpsc;

use super::*;
#[cfg(feature = "server")]
use crate::domain::request::CallFacts;

const HEAD: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";

fn chunk(data: &str) -> Vec<u8> {
    format!("{:x}\r\n{data}\r\n", data.len()).into_bytes()
}

/// A provider that sends the bytes that it gets from the test.
async fn told() -> (String, Running, mpsc::Sender<Vec<u8>>) {
    let (tell, told) = mpsc::channel::<Vec<u8>>(1);
    let told = Arc::new(tokio::sync::Mutex::new(told));
    let (url, running) = provider(move |mut stream| {
        let told = Arc::clone(&told);
        async move {
            read_request(&mut stream).await.unwrap();
            while let Some(bytes) = told.lock().await.recv().await {
                stream.write_all(&bytes).await.unwrap();
            }
        }
    })
    .await;
    (url, running, tell)
}

#[cfg(feature = "server")]
#[tokio::test]
async fn a_stream_passes_byte_for_byte_however_it_is_split() {
    use crate::provider::mock::{MockProvider, serve};
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let served = MockProvider::new();
    let serving = serve(served.clone(), listener, std::future::pending());
    let _running = Running(tokio::spawn(async { serving.await.unwrap() }));

    let call = Call::for_model("m");
    let body = r#"{"model":"m","max_tokens":40,"stream":true,"messages":[{"role":"user","content":"größe 🦀"}]}"#;
    let request = |path, split: Option<&str>| {
        // The provider is asked at the endpoint of the call, so each path has a call of its own.
        let endpoint = Endpoint::of_path(path).unwrap();
        let facts = CallFacts { endpoint, ..call.facts().clone() };
        let call = Call::with_id(call.request_id(), facts);
        let mut request = post(path).extension(call).header("x-mock-output-tokens", "40");
        if let Some(split) = split {
            request = request.header("x-mock-split", split);
        }
        request.body(Full::<Bytes>::from(body)).unwrap()
    };
    for (path, dialect) in [(CHAT, Dialect::OpenAi), (MESSAGES, Dialect::Anthropic)] {
        let mock = MockProvider::new();
        let expected = mock.oneshot(request(path, None)).await.unwrap();
        let expected = expected.into_body().collect().await.unwrap().to_bytes();
        let upstream = to(dialect, &url);
        for split in [None, Some("1"), Some("3"), Some("100"), Some("100000")] {
            let answer = ask(&upstream, request(path, split)).await;
            assert_eq!(answer.status(), StatusCode::OK);
            assert_eq!(answer.headers()[header::CACHE_CONTROL], "no-cache");
            assert_eq!(answer.headers()["x-accel-buffering"], "no");
            assert_eq!(answer.extensions().get(), Some(&ServedBy("test".into())));
            assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), expected);
        }
    }
    // The mock counts the call under the id that the gateway sent.
    assert_eq!(served.served(&call.request_id().to_string()).completed, 10);
}

#[tokio::test]
async fn each_chunk_arrives_before_the_next_is_made() {
    let (url, _running, tell) = told().await;
    tell.send(HEAD.to_vec()).await.unwrap();
    let mut body = ask(&to(Dialect::OpenAi, &url), empty(post(CHAT))).await.into_body();
    for number in 0..5 {
        let event = format!("data: {number}\n\n");
        tell.send(chunk(&event)).await.unwrap();
        let frame = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(frame, event);
    }
    tell.send(b"0\r\n\r\n".to_vec()).await.unwrap();
    assert!(body.frame().await.is_none());
}

#[tokio::test]
async fn a_break_within_the_answer_is_an_error_of_the_body() {
    let (url, _running, tell) = told().await;
    tell.send([HEAD, &chunk("data: 1\n\n")].concat()).await.unwrap();
    let mut body = ask(&to(Dialect::OpenAi, &url), empty(post(CHAT))).await.into_body();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "data: 1\n\n");
    drop(tell);
    let broke = body.frame().await.unwrap().unwrap_err();
    assert!(matches!(broke, UpstreamBroke::Connection(_)), "{broke:?}");
}

#[tokio::test]
async fn silence_within_the_answer_is_an_error_of_the_body() {
    let hour = Duration::from_hours(1);
    for (set, limit) in [(None, Duration::from_mins(10)), (Some(hour), hour)] {
        let (url, _running, tell) = told().await;
        tell.send([HEAD, &chunk("data: 1\n\n")].concat()).await.unwrap();
        let mut config = config(Dialect::OpenAi, &url);
        config.idle_timeout = set.unwrap_or(config.idle_timeout);
        let upstream = Upstream::new(config, HttpClient::default()).unwrap();
        let mut body = ask(&upstream, empty(post(CHAT))).await.into_body();
        assert!(body.frame().await.unwrap().is_ok());
        // Nothing is in flight, so a paused clock jumps to the next timer.
        tokio::time::pause();
        let begun = Instant::now();
        let broke = body.frame().await.unwrap().unwrap_err();
        let taken = begun.elapsed();
        tokio::time::resume();
        assert!(matches!(broke, UpstreamBroke::Silent(told) if told == limit), "{broke:?}");
        assert!(taken >= limit && taken < limit + Duration::from_secs(1), "{taken:?}");
        drop(tell);
    }
}

#[tokio::test]
async fn a_pause_within_the_answer_may_be_as_long_again_after_each_piece() {
    let (url, _running, tell) = told().await;
    tell.send(HEAD.to_vec()).await.unwrap();
    let mut config = config(Dialect::OpenAi, &url);
    config.idle_timeout = Duration::from_hours(1);
    let upstream = Upstream::new(config, HttpClient::default()).unwrap();
    let mut body = ask(&upstream, empty(post(CHAT))).await.into_body();
    for _ in 0..3 {
        // A reader that polls for more, and a provider that takes most of the idle time-out.
        let mut more = tokio_test::task::spawn(body.frame());
        tokio_test::assert_pending!(more.poll());
        tokio::time::pause();
        tokio::time::advance(Duration::from_mins(50)).await;
        tokio_test::assert_pending!(more.poll());
        tokio::time::resume();
        tell.send(chunk("data: 1\n\n")).await.unwrap();
        assert!(more.await.unwrap().is_ok());
    }
}

#[tokio::test]
async fn an_answer_that_nobody_reads_on_is_given_up_at_the_provider() {
    let (gone, mut left) = mpsc::channel(1);
    let (url, _running) = provider(move |mut stream| {
        let gone = gone.clone();
        async move {
            read_request(&mut stream).await.unwrap();
            stream.write_all(&[HEAD, &chunk("data: 1\n\n")].concat()).await.unwrap();
            assert!(read_request(&mut stream).await.is_none());
            gone.send(()).await.unwrap();
        }
    })
    .await;
    let mut body = ask(&to(Dialect::OpenAi, &url), empty(post(CHAT))).await.into_body();
    assert!(body.frame().await.unwrap().is_ok());
    drop(body);
    left.recv().await.unwrap();
}

#[tokio::test]
async fn a_declared_length_is_kept() {
    let (url, _running, _asks) = answering(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}",
    )
    .await;
    let answer = ask(&to(Dialect::OpenAi, &url), empty(post(CHAT))).await;
    assert_eq!(answer.body().size_hint().exact(), Some(2));
    assert!(!answer.headers().contains_key(header::CACHE_CONTROL));
}
