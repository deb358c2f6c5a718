//! Answers whose head does not say what their body is.

use async_compression::tokio::write::{BrotliEncoder, GzipEncoder, ZstdEncoder};

use super::*;
use crate::domain::request::CallFacts;

const EVENTS: &str = "data: {\"choices\":[]}\n\ndata: [DONE]\n\n";
const DOCUMENT: &str = "{\"choices\":[]}";

async fn packed(encoding: &str, text: &str) -> Vec<u8> {
    macro_rules! by {
        ($encoder:ident) => {{
            let mut encoder = $encoder::new(Vec::new());
            encoder.write_all(text.as_bytes()).await.unwrap();
            encoder.shutdown().await.unwrap();
            encoder.into_inner()
        }};
    }
    match encoding {
        "br" => by!(BrotliEncoder),
        "zstd" => by!(ZstdEncoder),
        _ => by!(GzipEncoder),
    }
}

/// What becomes of an answer with this head, whose body is sent byte by byte.
async fn passed(stream: bool, head: &str, body: &[u8]) -> Response<UpstreamBody> {
    let sent = format!("HTTP/1.1 {head}\r\nconnection: close\r\n\r\n").into_bytes();
    let body = body.to_vec();
    let (url, running) = provider(move |mut socket| {
        let (sent, body) = (sent.clone(), body.clone());
        async move {
            read_request(&mut socket).await.unwrap();
            socket.write_all(&sent).await.unwrap();
            for byte in body {
                socket.write_all(&[byte]).await.unwrap();
                tokio::task::yield_now().await;
            }
        }
    })
    .await;
    let call = Call::for_model("m");
    let call = Call::with_id(call.request_id(), CallFacts { stream, ..call.facts().clone() });
    let answer = ask(&to(Dialect::OpenAi, &url), empty(post(CHAT).extension(call))).await;
    let (parts, body) = answer.into_parts();
    let whole = body.collect().await.unwrap().to_bytes();
    drop(running);
    Response::from_parts(parts, UpstreamBody::full(whole))
}

async fn text(answer: Response<UpstreamBody>) -> String {
    String::from_utf8(answer.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

#[tokio::test]
async fn events_are_known_by_their_first_bytes_whatever_their_content_type() {
    for head in [
        "200 OK",
        "200 OK\r\ncontent-type: text/plain",
        "200 OK\r\ncontent-type: application/octet-stream",
        "200 OK\r\ncontent-type: application/json",
    ] {
        for begin in ["", "\r\n\n", ": wait\n\n", "event: x\n", "\u{FEFF}"] {
            let events = format!("{begin}{EVENTS}");
            let answer = passed(true, head, events.as_bytes()).await;
            assert_eq!(answer.headers()[header::CONTENT_TYPE], "text/event-stream", "{begin:?}");
            assert_eq!(answer.headers()[header::CACHE_CONTROL], "no-cache");
            assert_eq!(text(answer).await, events);
        }
    }
}

#[tokio::test]
async fn what_does_not_begin_as_events_or_was_not_asked_for_as_such_keeps_its_type() {
    let json = "200 OK\r\ncontent-type: application/json";
    for (stream, body) in [(true, DOCUMENT), (true, ""), (true, "dat"), (false, EVENTS)] {
        let answer = passed(stream, json, body.as_bytes()).await;
        assert_eq!(answer.headers()[header::CONTENT_TYPE], "application/json");
        assert_eq!(text(answer).await, body);
    }
}

#[tokio::test]
async fn an_answer_that_was_compressed_unasked_is_decompressed() {
    for encoding in ["gzip", "x-gzip", "GZIP", "br", "zstd"] {
        for (stream, kind, body) in [
            (false, "application/json", DOCUMENT),
            (true, "text/event-stream", EVENTS),
            (true, "text/plain", EVENTS),
        ] {
            let head = format!("200 OK\r\ncontent-type: {kind}\r\ncontent-encoding: {encoding}");
            let bytes = packed(encoding, body).await;
            let answer = passed(stream, &head, &bytes).await;
            assert!(!answer.headers().contains_key(header::CONTENT_ENCODING));
            assert_eq!(text(answer).await, body, "{encoding}");
        }
        let head = format!("400 Bad Request\r\ncontent-encoding: {encoding}");
        let refusal = packed(encoding, "{\"error\":{\"message\":\"too long by 7\"}}").await;
        let answer = passed(false, &head, &refusal).await;
        assert_eq!(document(answer).await["error"]["message"], "too long by 7");
    }
}

#[tokio::test]
async fn a_refusal_that_decompresses_to_more_than_the_bound_is_not_read() {
    let long = format!("{{\"error\":{{\"message\":\"{}\"}}}}", "x".repeat(10 << 20));
    let head = "400 Bad Request\r\ncontent-encoding: gzip";
    let answer = passed(false, head, &packed("gzip", &long).await).await;
    assert_eq!(document(answer).await["error"]["code"], "provider_error");
}

#[tokio::test]
async fn an_answer_that_is_not_what_its_encoding_says_breaks() {
    let (url, _running, _asks) =
        answering(answer("200 OK\r\ncontent-encoding: gzip", DOCUMENT)).await;
    let answer = ask(&to(Dialect::OpenAi, &url), empty(post(CHAT))).await;
    let broke = answer.into_body().collect().await.unwrap_err();
    assert!(matches!(broke, UpstreamBroke::Encoding(_)), "{broke:?}");
}

#[tokio::test]
async fn an_encoding_that_is_not_known_is_not_passed_on_as_if_it_could_be_read() {
    let answer = passed(false, "200 OK\r\ncontent-encoding: compress", b"xyz").await;
    assert!(!answer.headers().contains_key(header::CONTENT_ENCODING));
    assert_eq!(text(answer).await, "xyz");
}
