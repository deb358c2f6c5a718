//! Compressed requests and answers, and callers in browsers: neither changes the cost of a call or its record.

use std::pin::Pin;

use async_compression::tokio::{
    bufread::{BrotliDecoder, GzipDecoder, ZstdDecoder},
    write::{BrotliEncoder, GzipEncoder, ZstdEncoder},
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tollgate::gateway::config::Server;

use super::harness::{Answer, Ask, BOTH, House, Org, RICH, Setup};

const ENCODINGS: [&str; 3] = ["gzip", "br", "zstd"];

async fn compressed(encoding: &str, bytes: &[u8]) -> Vec<u8> {
    let mut packed = Vec::new();
    let mut encoder: Pin<Box<dyn AsyncWrite + Send>> = match encoding {
        "gzip" => Box::pin(GzipEncoder::new(&mut packed)),
        "br" => {
            Box::pin(BrotliEncoder::with_quality(&mut packed, async_compression::Level::Fastest))
        }
        "zstd" => Box::pin(ZstdEncoder::new(&mut packed)),
        _ => panic!("{encoding}"),
    };
    encoder.write_all(bytes).await.unwrap();
    encoder.shutdown().await.unwrap();
    drop(encoder);
    packed
}

async fn decompressed(encoding: &str, bytes: &[u8]) -> Vec<u8> {
    let mut decoder: Pin<Box<dyn AsyncRead + Send>> = match encoding {
        "gzip" => Box::pin(GzipDecoder::new(bytes)),
        "br" => Box::pin(BrotliDecoder::new(bytes)),
        "zstd" => Box::pin(ZstdDecoder::new(bytes)),
        _ => panic!("{encoding}"),
    };
    let mut text = Vec::new();
    decoder.read_to_end(&mut text).await.unwrap();
    text
}

/// A call whose body is these bytes, compressed so.
async fn send(house: &House, org: &Org, ask: &Ask, encoding: &str, body: &[u8]) -> Answer {
    let ask = ask.clone().header("content-encoding", encoding);
    let mut client = house.client().await;
    client.send(ask.head(&org.token, body.len()).as_bytes()).await;
    // An early answer is an answer, even if the rest is not taken any more.
    drop(client.try_send(body).await);
    client.answer().await.expect("an answer")
}

#[tokio::test]
async fn a_compressed_call_is_the_call_that_it_is_without() {
    let house = House::open().await;
    let org = house.organization(RICH).await;
    for ask in BOTH.map(Ask::of) {
        // What no one reports is counted from the body: so every figure depends on its text.
        let ask = ask.saying("walnut ".repeat(400)).mock("output-tokens", 8);
        let body = ask.body();
        assert_eq!(house.ask(&org, &ask).await.status, 200);
        let plain = house.rows().await.pop().unwrap();
        for encoding in ENCODINGS {
            let packed = compressed(encoding, body.as_bytes()).await;
            assert!(packed.len() < body.len() / 4);
            let answer = send(&house, &org, &ask, encoding, &packed).await;
            assert_eq!(answer.status, 200, "{encoding}: {}", answer.text());
            let row = house.rows().await.pop().unwrap();
            assert_ne!(row.request, plain.request);
            assert_eq!(
                (row.charged, row.held, row.usage, row.served),
                (plain.charged, plain.held, plain.usage, plain.served),
                "{encoding}"
            );
        }
    }
    let kept = "select count(distinct request), min(request) from tollgate.audit_events";
    let kept = house.admin.query_one(kept, &[]).await.unwrap();
    assert_eq!(kept.get::<_, i64>(0), 1, "what is kept of a request is its text");
    assert!(kept.get::<_, &str>(1).contains("walnut walnut"));
    assert_eq!(house.check().await.len(), 8);
    house.close().await;
}

#[tokio::test]
async fn a_bomb_is_refused_before_it_goes_off_and_holds_nothing() {
    let server = Server { body_bytes_max: 100_000, ..Server::default() };
    let house = House::with(Setup { server, ..Setup::default() }).await;
    let org = house.organization(RICH).await;
    let nobody = Org { token: "no.such.token".into(), ..org.clone() };
    for encoding in ENCODINGS {
        let bomb = compressed(encoding, &vec![b' '; 20 << 20]).await;
        assert!(bomb.len() < 100_000);
        for ask in BOTH.map(Ask::of) {
            let answer = send(&house, &org, &ask, encoding, &bomb).await;
            assert_eq!(answer.status, 413, "{encoding}");
            assert_eq!(answer.json()["error"]["code"], "request_too_large");
        }
        assert_eq!(send(&house, &nobody, &Ask::chat(), encoding, &bomb).await.status, 401);
    }
    let unknown = send(&house, &org, &Ask::chat(), "deflate", b"{}").await;
    assert_eq!((unknown.status, unknown.header("accept-encoding")), (415, Some("zstd,gzip,br")));
    assert_eq!(unknown.json()["error"]["code"], "unknown_encoding");
    assert_eq!(house.check().await, []);
    assert_eq!(house.balance(&org).await, (RICH, 0, 0));
    house.close().await;
}

#[tokio::test]
async fn a_compressed_answer_is_the_answer_that_was_recorded() {
    let house = House::open().await;
    let org = house.organization(RICH).await;
    for ask in BOTH.map(Ask::of) {
        let ask = ask.mock("output-tokens", 500).at_most(500).header("x-request-id", "mine");
        let plain = house.ask(&org, &ask).await;
        assert!(plain.body.len() > 1_024 && plain.header("content-length").is_some());
        for encoding in ENCODINGS {
            let answer = house.ask(&org, &ask.clone().header("accept-encoding", encoding)).await;
            assert_eq!((answer.status, answer.header("content-encoding")), (200, Some(encoding)));
            assert!(answer.whole && answer.body.len() < plain.body.len() / 2);
            let body = decompressed(encoding, &answer.body).await;
            let kept =
                "select response from tollgate.audit_events order by request_id desc limit 1";
            house.check().await;
            let kept: String = house.admin.query_one(kept, &[]).await.unwrap().get(0);
            assert_eq!(String::from_utf8(body).unwrap(), kept, "{encoding}");
        }
        let refused = house.nobody();
        let short = house.ask(&refused, &ask.clone().header("accept-encoding", "gzip")).await;
        assert_eq!((short.status, short.header("content-encoding")), (403, None));
    }
    house.close().await;
}

#[tokio::test]
async fn a_stream_of_events_comes_as_it_is_whatever_its_client_accepts() {
    let house = House::open().await;
    let org = house.organization(RICH).await;
    for ask in BOTH.map(Ask::of) {
        let ask = ask.streamed().at_most(500).mock("output-tokens", 500);
        let answer = house.ask(&org, &ask.header("accept-encoding", "gzip, br, zstd")).await;
        assert_eq!((answer.status, answer.header("content-encoding")), (200, None));
        assert!(answer.has_end() && answer.body.len() > 1_024);
    }
    assert_eq!(house.check().await.len(), 2);
    house.close().await;
}

#[tokio::test]
async fn a_page_of_a_listed_origin_asks_first_and_then_calls() {
    let app = "https://app.example.com";
    let server = Server { cors_origins: vec![app.to_owned()], ..Server::default() };
    let house = House::with(Setup { server, ..Setup::default() }).await;
    let org = house.organization(RICH).await;
    for (origin, allowed) in [(app, Some(app)), ("https://evil.example.com", None)] {
        let mut client = house.client().await;
        let preflight = format!(
            "OPTIONS /v1/chat/completions HTTP/1.1\r\nhost: gateway\r\norigin: {origin}\r\n\
             access-control-request-method: POST\r\naccess-control-request-headers: authorization\r\n\r\n"
        );
        client.send(preflight.as_bytes()).await;
        let answer = client.answer().await.unwrap();
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("access-control-allow-origin"), allowed);
        assert_eq!(answer.header("access-control-allow-credentials"), None);
        let answer = house.ask(&org, &Ask::chat().header("origin", origin)).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("access-control-allow-origin"), allowed);
    }
    assert_eq!(house.check().await.len(), 2);
    house.close().await;
}
