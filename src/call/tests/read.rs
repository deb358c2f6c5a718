//! A request that is not a valid call is refused before it reaches the provider.

use http::StatusCode;
use tokio_test::assert_pending;
use tower_test::mock;

use super::*;
use crate::context::Arrival;

#[tokio::test]
async fn a_body_that_is_no_call_never_reaches_the_provider() {
    let recorder = Recorder::open();
    let (provider, mut calls) = mock::pair::<Request<RequestBody>, Response<TestBody>>();
    let mut gateway = layer(&recorder).layer_over(provider);
    for (path, body, status) in [
        ("/v1/chat/completions", "{", StatusCode::BAD_REQUEST),
        ("/v1/chat/completions", r#"{"messages":[]}"#, StatusCode::BAD_REQUEST),
        (
            "/v1/chat/completions",
            r#"{"model":"a","model":"b","messages":[]}"#,
            StatusCode::BAD_REQUEST,
        ),
        ("/v1/unknown", "{}", StatusCode::NOT_FOUND),
    ] {
        let mut request = request(body);
        *request.uri_mut() = path.parse().unwrap();
        let ready = ServiceExt::<Request<Full<Bytes>>>::ready(&mut gateway).await.unwrap();
        assert_eq!(ready.call(request).await.unwrap().status(), status, "{body}");
    }
    assert_pending!(tokio_test::task::spawn(calls.next_request()).poll());
    assert_eq!(recorder.written(), 0);
}

#[tokio::test]
async fn a_call_is_read_without_a_tenant_and_costs_nothing_at_its_end() {
    let gateway =
        CallLayer::metering().layer_over(service_fn(|request: Request<RequestBody>| async move {
            assert_eq!(Call::of(&request).unwrap().facts().model, "small");
            assert_eq!(request.into_body().collect().await.unwrap().to_bytes(), CHAT);
            Ok::<_, Infallible>(json(ANSWER))
        }));
    let mut request = request(CHAT);
    request.extensions_mut().clear();
    let answer = gateway.oneshot(request).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(text(answer.into_body()).await, ANSWER);
}

#[tokio::test]
async fn more_calls_than_places_are_refused_and_a_place_comes_back_at_the_end() {
    let recorder = Recorder::open();
    let (sender, streaming) = stream();
    let answers = Arc::new(Mutex::new(vec![json(ANSWER), streaming]));
    let provider = service_fn(move |_: Request<RequestBody>| {
        let answer = answers.lock().unwrap().pop().unwrap();
        async move { Ok::<_, Infallible>(answer) }
    });
    let gateway = CallLayer::new(Finisher::new(Arc::clone(&recorder), 1)).layer_over(provider);

    let open = gateway.clone().oneshot(request(CHAT_STREAM)).await.unwrap();
    let refused = gateway.clone().oneshot(request(CHAT)).await.unwrap();
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(refused.headers().contains_key("retry-after"));

    drop((sender, open));
    assert_eq!(gateway.oneshot(request(CHAT)).await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn a_long_body_is_read_on_a_thread_of_its_own_and_passed_on_whole() {
    let recorder = Recorder::open();
    let gateway = gateway(&recorder, Disconnect::Drain, [json(ANSWER)]);
    let words = "some words ".repeat(10_000);
    let body = format!(
        r#"{{"messages":[{{"role":"user","content":"{words}"}}],"model":"gpt-4o","max_tokens":100}}"#
    );
    let answer = gateway.oneshot(request(&body)).await.unwrap();
    assert_eq!(text(answer.into_body()).await, ANSWER);
    let finish = recorder.only_finish().await;
    assert_eq!(finish.model, "gpt-4o");
    assert_eq!(finish.record.unwrap().request.as_deref(), Some(&*body));
}

#[tokio::test]
async fn a_compressed_body_is_refused_and_one_that_says_it_is_not_is_read() {
    for (encoding, status) in [("identity", 200), ("gzip", 400), ("", 400)] {
        let recorder = Recorder::open();
        let gateway = gateway(&recorder, Disconnect::Drain, [json(ANSWER)]);
        let mut request = request(CHAT);
        request.headers_mut().insert("content-encoding", encoding.parse().unwrap());
        let answer = gateway.oneshot(request).await.unwrap();
        assert_eq!(answer.status(), status, "{encoding:?}");
        assert_eq!(text(answer.into_body()).await.contains("is compressed"), status == 400);
    }
}

#[tokio::test]
async fn a_body_that_breaks_off_is_not_called_too_large() {
    let recorder = Recorder::open();
    let (provider, mut calls) = mock::pair::<Request<RequestBody>, Response<TestBody>>();
    let frames = [Ok(Frame::data(Bytes::from(CHAT))), Err(std::io::Error::other("gone"))];
    let body = StreamBody::new(futures_util::stream::iter(frames));
    let tenant = Tenant::new(OrganizationId::new(Uuid::from_u128(1)), "someone");
    let request = Request::post("/v1/chat/completions").extension(tenant).body(body).unwrap();
    let answer = layer(&recorder).layer_over(provider).oneshot(request).await.unwrap();
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
    assert!(text(answer.into_body()).await.contains("broke off"));
    assert!(calls.next_request().await.is_none(), "the provider was called");
}

#[tokio::test]
async fn a_call_waits_until_the_provider_is_ready() {
    let (provider, mut calls) = mock::pair::<Request<RequestBody>, Response<TestBody>>();
    calls.allow(0);
    let mut gateway = layer(&Recorder::open()).layer_over(provider);
    let mut ready =
        tokio_test::task::spawn(ServiceExt::<Request<Full<Bytes>>>::ready(&mut gateway));
    assert_pending!(ready.poll());
    calls.allow(1);
    assert!(ready.await.is_ok());
}

#[tokio::test]
async fn the_callers_own_id_is_kept_where_it_can_go_into_a_log() {
    let longest = "a".repeat(128);
    let too_long = "a".repeat(129);
    for (named, kept) in [
        ("Run-7_b.c", true),
        (&longest, true),
        (&too_long, false),
        ("", false),
        ("two words", false),
        ("a/b", false),
        ("caf\u{e9}", false),
    ] {
        let recorder = Recorder::open();
        let gateway = gateway(&recorder, Disconnect::Drain, [json(ANSWER)]);
        let mut request = request(CHAT);
        let value = http::HeaderValue::from_bytes(named.as_bytes()).unwrap();
        request.headers_mut().insert("x-request-id", value);
        drop(text(gateway.oneshot(request).await.unwrap().into_body()).await);
        let finish = recorder.only_finish().await;
        assert_eq!(finish.client_request_id.as_deref(), kept.then_some(named));
    }
}

#[tokio::test]
async fn the_servers_own_id_is_not_taken_for_the_callers() {
    for (named_by_caller, kept) in [(true, Some("Run-7")), (false, None)] {
        let recorder = Recorder::open();
        let gateway = gateway(&recorder, Disconnect::Drain, [json(ANSWER)]);
        let mut request = request(CHAT);
        request.headers_mut().insert("x-request-id", http::HeaderValue::from_static("Run-7"));
        let arrival = Arrival::read(request.uri(), request.headers(), named_by_caller);
        request.extensions_mut().insert(arrival);
        drop(text(gateway.oneshot(request).await.unwrap().into_body()).await);
        let finish = recorder.only_finish().await;
        assert_eq!(finish.request_id, arrival.request_id);
        assert_eq!(finish.client_request_id.as_deref(), kept);
    }
}
