use http::StatusCode;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::mpsc,
    task::JoinHandle,
};

use super::{
    tests::{Running, assert_about, bounds, frame, pause_at_rest, streaming},
    *,
};

// All waits of a test together are shorter than two times between pings.
const WAIT: Duration = Duration::from_secs(5);

struct Client {
    sender: http2::SendRequest<Empty<Bytes>>,
    connection: JoinHandle<hyper::Result<()>>,
}

impl Client {
    /// Grants each stream a window of this many bytes, and more as its answer is read.
    async fn open(running: &Running, window: u32) -> Self {
        let stream = TcpStream::connect(running.address).await.unwrap();
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder.initial_stream_window_size(window);
        let (sender, connection) = builder.handshake(TokioIo::new(stream)).await.unwrap();
        Self { sender, connection: tokio::spawn(connection) }
    }

    async fn get(&mut self) -> hyper::Result<Response<Incoming>> {
        self.sender.ready().await?;
        self.sender.send_request(Request::get("http://x/").body(Empty::new()).unwrap()).await
    }
}

#[tokio::test]
async fn a_stream_that_is_left_unread_is_reset_in_time_and_its_connection_goes_on() {
    for window in [0, 10, 100_000] {
        let (frames, receiver) = mpsc::channel(1);
        let bounds = Bounds { write_stall_timeout: WAIT, ..bounds() };
        let running = streaming(receiver, bounds).await;
        let mut client = Client::open(&running, window).await;
        let mut unread = client.get().await.unwrap().into_body();
        frames.send(frame("x".repeat(1 << 20).leak())).await.unwrap();
        let stalled = pause_at_rest().await;
        frames.closed().await;
        assert_about(stalled, WAIT);
        tokio::time::resume();
        let ended = loop {
            match unread.frame().await.unwrap() {
                Ok(_) => {}
                Err(error) => break error,
            }
        };
        assert!(format!("{ended:?}").contains("CANCEL"), "{ended:?}");
        let next = client.get().await.unwrap();
        assert_eq!(next.status(), StatusCode::OK);
        running.server.abort();
    }
}

#[tokio::test]
async fn a_stream_whose_provider_is_silent_is_not_the_clients_fault() {
    let (frames, receiver) = mpsc::channel(1);
    let bounds = Bounds { write_stall_timeout: WAIT, ..bounds() };
    let running = streaming(receiver, bounds).await;
    let mut client = Client::open(&running, 1000).await;
    let mut answer = client.get().await.unwrap().into_body();
    for _ in 0..3 {
        frames.send(frame("one")).await.unwrap();
        assert_eq!(answer.frame().await.unwrap().unwrap().into_data().unwrap(), "one");
        pause_at_rest().await;
        tokio::time::advance(2 * WAIT).await;
        tokio::time::resume();
    }
    drop(frames);
    assert!(answer.collect().await.unwrap().to_bytes().is_empty());
}

#[tokio::test]
async fn a_long_answer_goes_out_whole_in_pieces() {
    let (frames, receiver) = mpsc::channel(1);
    let running = streaming(receiver, bounds()).await;
    let mut client = Client::open(&running, 1000).await;
    let answer = client.get().await.unwrap().into_body();
    let text: &str = (0..100_000).map(|number| number.to_string()).collect::<String>().leak();
    frames.send(frame(text)).await.unwrap();
    drop(frames);
    assert_eq!(answer.collect().await.unwrap().to_bytes(), text);
}

#[tokio::test]
async fn a_connection_without_streams_stays_as_long_as_a_head_may_take() {
    let (frames, receiver) = mpsc::channel(1);
    let bounds = Bounds { header_read_timeout: WAIT, ..bounds() };
    let running = streaming(receiver, bounds).await;
    let mut client = Client::open(&running, 1000).await;
    let answer = client.get().await.unwrap().into_body();
    pause_at_rest().await;
    // It has a stream, so it is not idle.
    tokio::time::advance(WAIT + Duration::from_secs(1)).await;
    tokio::time::resume();
    drop(frames);
    assert!(answer.collect().await.unwrap().to_bytes().is_empty());
    let idle = pause_at_rest().await;
    client.connection.await.unwrap().unwrap();
    assert_about(idle, WAIT);
}

#[tokio::test]
async fn a_connection_whose_last_answers_stay_unread_ends_too() {
    let (_frames, receiver) = mpsc::channel(1);
    let bounds = Bounds { header_read_timeout: WAIT, write_stall_timeout: WAIT, ..bounds() };
    let running = streaming(receiver, bounds).await;
    let mut client = Client::open(&running, 1).await;
    drop(client.get().await.unwrap());
    // All of this answer is handed over, but the client has read one byte of it.
    let _unread = client.get().await.unwrap();
    pause_at_rest().await;
    // Awaiting it is the test: nothing but the gateway ends it.
    drop(client.connection.await.unwrap());
}

#[tokio::test]
async fn an_old_connection_takes_no_more_and_its_open_answer_goes_on() {
    let (frames, receiver) = mpsc::channel(1);
    let bounds = Bounds { connection_age_max: WAIT, ..bounds() };
    let running = streaming(receiver, bounds).await;
    let mut client = Client::open(&running, 1000).await;
    let answer = client.get().await.unwrap().into_body();
    pause_at_rest().await;
    tokio::time::advance(WAIT).await;
    tokio::time::resume();
    while client.get().await.is_ok() {}
    frames.send(frame("to its end")).await.unwrap();
    drop(frames);
    assert_eq!(answer.collect().await.unwrap().to_bytes(), "to its end");
    client.connection.await.unwrap().unwrap();
}

#[tokio::test]
async fn an_old_connection_of_http_1_takes_no_more_either() {
    let (frames, receiver) = mpsc::channel(1);
    drop(frames);
    let bounds = Bounds { connection_age_max: WAIT, ..bounds() };
    let running = streaming(receiver, bounds).await;
    let mut client = TcpStream::connect(running.address).await.unwrap();
    client.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    client.read_exact(&mut [0; 12]).await.unwrap();
    let begun = pause_at_rest().await;
    client.read_to_end(&mut Vec::new()).await.unwrap();
    assert_about(begun, WAIT);
}

#[tokio::test]
async fn more_streams_than_allowed_wait_for_one_to_end() {
    let (frames, receiver) = mpsc::channel(1);
    let bounds = Bounds { connection_streams_max: 1, ..bounds() };
    let running = streaming(receiver, bounds).await;
    let mut client = Client::open(&running, 1000).await;
    let first = client.get().await.unwrap().into_body();
    let mut other = client.sender.clone();
    let second = tokio::spawn(async move {
        let request = Request::get("http://x/").body(Empty::new()).unwrap();
        other.send_request(request).await.unwrap().into_body().collect().await.unwrap().to_bytes()
    });
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(!second.is_finished());
    drop((frames, first));
    assert_eq!(second.await.unwrap(), "another");
}

#[tokio::test]
async fn a_head_that_is_too_long_is_refused_and_a_long_one_is_not() {
    let (_frames, receiver) = mpsc::channel(1);
    let running = streaming(receiver, bounds()).await;
    for (length, expected) in [(24_000, 200), (40_000, 431)] {
        let padding = "x".repeat(length / 4);
        let mut client = TcpStream::connect(running.address).await.unwrap();
        let lines = format!("x-a: {padding}\r\n").repeat(4);
        client
            .write_all(format!("GET / HTTP/1.1\r\nhost: x\r\n{lines}\r\n").as_bytes())
            .await
            .unwrap();
        let mut status = [0; 12];
        client.read_exact(&mut status).await.unwrap();
        assert_eq!(status, *format!("HTTP/1.1 {expected}").as_bytes());

        let mut client = Client::open(&running, 1000).await;
        let mut request = Request::get("http://x/").body(Empty::new()).unwrap();
        for _ in 0..4 {
            request.headers_mut().append("x-a", padding.parse().unwrap());
        }
        let answer = client.sender.send_request(request).await;
        assert_eq!(answer.unwrap().status(), expected);
    }
}
