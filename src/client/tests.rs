use http::StatusCode;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    task::JoinSet,
    time::Instant,
};

use super::*;

/// Answers anything that it reads with these bytes, and keeps the connection open.
async fn server(answer: &'static str) -> (String, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let mut accepting = JoinSet::new();
    accepting.spawn(async move {
        let mut connections = JoinSet::new();
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            connections.spawn(async move {
                let mut request = [0; 4096];
                while stream.read(&mut request).await.is_ok_and(|read| read > 0) {
                    stream.write_all(answer.as_bytes()).await.unwrap();
                }
            });
        }
    });
    (address, accepting)
}

fn get(uri: &str) -> Request<Full<Bytes>> {
    Request::get(uri).body(Full::default()).unwrap()
}

#[tokio::test]
async fn a_redirect_is_an_answer_like_any_other() {
    let (address, _server) =
        server("HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n")
            .await;
    let client = HttpClient::default();
    let answer = client
        .fetch(get(&format!("http://{address}/")), 10, Duration::from_secs(10))
        .await
        .unwrap();
    assert_eq!(answer.status(), StatusCode::FOUND);
}

#[tokio::test]
async fn a_body_longer_than_the_limit_is_an_error() {
    let (address, _server) =
        server("HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\nhello world").await;
    let client = HttpClient::default();
    let uri = format!("http://{address}/");
    let refused = client.fetch(get(&uri), 10, Duration::from_secs(10)).await.unwrap_err();
    assert!(matches!(refused, ClientError::Body(_)), "{refused:?}");
    assert_eq!(
        client.fetch(get(&uri), 11, Duration::from_secs(10)).await.unwrap().body(),
        "hello world"
    );
}

#[tokio::test]
async fn a_body_that_never_ends_is_given_up_in_time() {
    let (address, _server) = server("HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\nhello").await;
    let client = HttpClient::default();
    let refused = client
        .fetch(get(&format!("http://{address}/")), 99, Duration::from_millis(50))
        .await
        .unwrap_err();
    assert!(matches!(refused, ClientError::TimedOut), "{refused:?}");
    assert!(!refused.is_unsent());
}

#[tokio::test]
async fn a_tls_handshake_that_nobody_answers_ends_with_the_connect_timeout() {
    let ten_minutes = Duration::from_mins(10);
    let set = ClientOptions { connect_timeout: ten_minutes, ..ClientOptions::default() };
    for (options, limit) in [(ClientOptions::default(), Duration::from_secs(5)), (set, ten_minutes)]
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let client = HttpClient::new(options);
        let begun = Instant::now();
        let mut sending = client.send(get(&format!("https://{address}/")));
        let greeted = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.read_u8().await.unwrap();
            stream
        };
        let refused = tokio::select! {
            refused = &mut sending => refused,
            _silent = greeted => {
                // A paused clock skips the rest of the time limit.
                tokio::time::pause();
                let refused = sending.await;
                tokio::time::resume();
                refused
            }
        };
        assert!(refused.unwrap_err().is_unsent());
        let (taken, most) = (begun.elapsed(), limit.saturating_add(Duration::from_mins(1)));
        assert!(taken >= limit && taken < most, "{taken:?}");
    }
}

#[tokio::test]
async fn a_closed_port_is_an_unsent_request() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let refused = HttpClient::default().send(get(&format!("http://{address}/"))).await.unwrap_err();
    assert!(refused.is_unsent(), "{refused:?}");
}
