//! Many calls on one connection.

use futures_util::future::join_all;
use http_body_util::BodyExt;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use super::harness::{Ask, BOTH, House, RICH, cost};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_is_given_up_leaves_the_others_on_its_connection_alone() {
    let house = House::open().await;
    let org = house.organization(RICH).await;
    let stream = TcpStream::connect(house.address()).await.unwrap();
    let (sender, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection);
    let calls = (0..40).map(async |number: usize| {
        let ask = Ask { stream: number % 4 < 3, ..Ask::of(BOTH[number % 2]) };
        let ask = ask.mock("chunk-delay-ms", 5).mock("output-tokens", 40).mock("chunks", 20);
        let mut answer = sender.clone().send_request(ask.request(&org.token)).await.unwrap();
        assert_eq!(answer.status(), 200);
        if number.is_multiple_of(4) {
            // Dropped in its middle: the stream is reset, the connection stays.
            answer.frame().await.unwrap().unwrap();
            return;
        }
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        let text = std::str::from_utf8(&body).unwrap();
        assert_eq!(text.matches("walnut").count(), 40, "{text}");
        if ask.stream {
            assert!(text.contains("[DONE]") || text.contains("\"message_stop\""), "{text}");
        }
    });
    join_all(calls).await;
    drop(sender);
    connection.await.unwrap().unwrap();
    let rows = house.check().await;
    assert_eq!(rows.len(), 40);
    assert!(rows.iter().all(|row| row.charged == cost(&row.served) && !row.estimated), "{rows:?}");
    assert_eq!(rows.iter().filter(|row| row.ending == "abandoned").count(), 10);
    house.close().await;
}

#[tokio::test]
async fn a_connection_that_breaks_ends_all_its_calls_each_once() {
    let house = House::open().await;
    let org = house.organization(RICH).await;
    let stream = TcpStream::connect(house.address()).await.unwrap();
    let (sender, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection);
    let open = (0..20).map(|number: usize| {
        let ask = Ask { stream: number < 10, ..Ask::of(BOTH[number % 2]) };
        let ask = ask.mock("chunk-delay-ms", 50).mock("latency-ms", 100);
        tokio::spawn(sender.clone().send_request(ask.request(&org.token)))
    });
    let open: Vec<_> = open.collect();
    house.reached(20).await;
    connection.abort();
    for call in open {
        drop(call.await.unwrap());
    }
    // Without their client they are read on to their true usage.
    let rows = house.check().await;
    assert_eq!(rows.len(), 20);
    assert!(rows.iter().all(|row| row.charged == cost(&row.served) && !row.estimated), "{rows:?}");
    assert!(rows.iter().all(|row| row.served.completed == 1), "{rows:?}");
    house.close().await;
}
