use std::{
    convert::Infallible,
    pin::{Pin, pin},
    task::Poll,
};

use futures_util::future::poll_fn;
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::{Notify, mpsc},
    task::JoinHandle,
    time::Instant,
};
use tower::service_fn;

use super::*;
use crate::client::HttpClient;

pub(super) fn bounds() -> Bounds {
    Bounds {
        connections_max: NonZeroUsize::new(100).unwrap(),
        connection_streams_max: 100,
        connection_age_max: Duration::from_hours(24),
        head_bytes_max: 32 << 10,
        header_read_timeout: Duration::from_mins(1),
        write_stall_timeout: Duration::from_mins(1),
        shutdown_grace: Duration::from_mins(1),
    }
}

pub(super) struct Running {
    pub(super) address: SocketAddr,
    pub(super) stop: Arc<Notify>,
    pub(super) server: JoinHandle<Stopped>,
}

pub(super) type Frames = mpsc::Receiver<Result<http_body::Frame<Bytes>, Infallible>>;
type Stream = Pin<Box<dyn Body<Data = Bytes, Error = Infallible> + Send>>;

/// A server that answers with the frames that a test sends through the channel.
pub(super) async fn streaming(frames: Frames, bounds: Bounds) -> Running {
    let frames = Arc::new(std::sync::Mutex::new(Some(frames)));
    let service = service_fn(move |_: Request<Incoming>| {
        let frames = frames.lock().unwrap().take();
        async move {
            let body: Stream = match frames {
                Some(mut frames) => {
                    Box::pin(StreamBody::new(futures_util::stream::poll_fn(move |cx| {
                        frames.poll_recv(cx)
                    })))
                }
                None => Box::pin(Full::from("another")),
            };
            Ok::<_, Infallible>(Response::new(body))
        }
    });
    let listener = listen(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = Arc::new(Notify::new());
    let told = Arc::clone(&stop);
    let server =
        tokio::spawn(serve(listener, service, bounds, async move { told.notified().await }));
    Running { address, stop, server }
}

#[expect(clippy::unnecessary_wraps, reason = "what the channel carries")]
pub(super) fn frame(text: &'static str) -> Result<http_body::Frame<Bytes>, Infallible> {
    Ok(http_body::Frame::data(Bytes::from(text)))
}

fn get(address: SocketAddr) -> Request<Full<Bytes>> {
    Request::get(format!("http://{address}/")).body(Full::default()).unwrap()
}

/// Lets all pending work finish, then pauses the clock and returns the time. From then on time skips to the next timer.
pub(super) async fn pause_at_rest() -> Instant {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    tokio::time::pause();
    Instant::now()
}

/// Asserts that about this much time has passed. The clock ran on for a while before it was paused.
pub(super) fn assert_about(begun: Instant, expected: Duration) {
    let taken = begun.elapsed();
    let least = expected.saturating_sub(Duration::from_mins(1));
    let most = expected.saturating_add(Duration::from_secs(1));
    assert!(taken >= least && taken < most, "{taken:?} instead of {expected:?}");
}

#[tokio::test]
async fn an_answer_that_is_open_at_the_signal_goes_on_to_its_end_and_no_connection_is_accepted() {
    let (frames, receiver) = mpsc::channel(8);
    let running = streaming(receiver, bounds()).await;
    frames.send(frame("one ")).await.unwrap();
    let mut answer = HttpClient::default().send(get(running.address)).await.unwrap().into_body();
    assert_eq!(answer.frame().await.unwrap().unwrap().into_data().unwrap(), "one ");

    running.stop.notify_one();
    while TcpStream::connect(running.address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    frames.send(frame("two")).await.unwrap();
    drop(frames);
    assert_eq!(answer.collect().await.unwrap().to_bytes(), "two");
    assert_eq!(running.server.await.unwrap(), Stopped { cut: 0 });
}

#[tokio::test]
async fn what_is_open_when_the_grace_is_over_is_cut() {
    let grace = Duration::from_hours(1);
    let (frames, receiver) = mpsc::channel(8);
    let running = streaming(receiver, Bounds { shutdown_grace: grace, ..bounds() }).await;
    frames.send(frame("one")).await.unwrap();
    let mut answer = HttpClient::default().send(get(running.address)).await.unwrap().into_body();
    assert!(answer.frame().await.unwrap().is_ok());
    let stopped = pause_at_rest().await;
    running.stop.notify_one();
    assert_eq!(running.server.await.unwrap(), Stopped { cut: 1 });
    assert_about(stopped, grace);
    assert!(answer.frame().await.unwrap().is_err());
    assert!(frames.is_closed(), "the body is dropped, so that its call can end");
}

#[tokio::test]
async fn a_connection_that_says_nothing_does_not_delay_the_end() {
    let (_frames, receiver) = mpsc::channel(8);
    let running = streaming(receiver, bounds()).await;
    let mut silent = TcpStream::connect(running.address).await.unwrap();
    running.stop.notify_one();
    assert_eq!(running.server.await.unwrap(), Stopped { cut: 0 });
    assert_eq!(silent.read(&mut [0]).await.unwrap_or(0), 0);
}

#[tokio::test]
async fn a_client_that_does_not_finish_its_head_is_hung_up_on_in_time() {
    let hour = Duration::from_hours(1);
    // `P` is also the first byte of HTTP/2's preface. The last case is the whole preface: after it, HTTP/2 pings the
    // client every twenty seconds.
    for (said, wait) in [
        ("", hour),
        ("P", hour),
        ("PRI * HTTP/2.0\r\n", hour),
        ("GET / HTTP/1.1\r\nhost", hour),
        ("POST / HTT", hour),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Duration::from_secs(15)),
    ] {
        let (_frames, receiver) = mpsc::channel(8);
        let running = streaming(receiver, Bounds { header_read_timeout: wait, ..bounds() }).await;
        let mut slow = TcpStream::connect(running.address).await.unwrap();
        slow.write_all(said.as_bytes()).await.unwrap();
        let silent = pause_at_rest().await;
        let mut rest = Vec::new();
        // The server may send HTTP/2 frames before it closes. A reset counts as closed, too.
        drop(slow.read_to_end(&mut rest).await);
        assert_about(silent, wait);
        tokio::time::resume();
        running.server.abort();
    }
}

#[tokio::test]
async fn a_connection_that_is_kept_alive_stays_as_long_as_a_head_may_take() {
    let wait = Duration::from_hours(1);
    let (frames, receiver) = mpsc::channel(8);
    let running = streaming(receiver, Bounds { header_read_timeout: wait, ..bounds() }).await;
    drop(frames);
    let mut client = TcpStream::connect(running.address).await.unwrap();
    client.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut answer = [0; 12];
    client.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
    let silent = pause_at_rest().await;
    drop(client.read_to_end(&mut Vec::new()).await);
    assert_about(silent, wait);
}

#[tokio::test]
async fn more_connections_than_allowed_wait_for_one_to_end() {
    let (frames, receiver) = mpsc::channel(8);
    let running =
        streaming(receiver, Bounds { connections_max: NonZeroUsize::MIN, ..bounds() }).await;
    frames.send(frame("one")).await.unwrap();
    let mut first = HttpClient::default().send(get(running.address)).await.unwrap().into_body();
    assert!(first.frame().await.unwrap().is_ok());

    let other = HttpClient::default();
    let mut second = pin!(other.fetch(get(running.address), 100, Duration::from_secs(30)));
    for _ in 0..100 {
        assert!(poll_fn(|cx| Poll::Ready(second.as_mut().poll(cx).is_pending())).await);
        tokio::task::yield_now().await;
    }
    drop((first, frames));
    assert_eq!(second.await.unwrap().body(), "another");
}

#[tokio::test]
async fn http_2_without_tls_is_spoken_too() {
    let (frames, receiver) = mpsc::channel::<Result<http_body::Frame<Bytes>, Infallible>>(1);
    drop(frames);
    let running = streaming(receiver, bounds()).await;
    let stream = TcpStream::connect(running.address).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    let connection = tokio::spawn(connection);
    for expected in ["", "another"] {
        let request = Request::get(format!("http://{}/", running.address))
            .body(Empty::<Bytes>::new())
            .unwrap();
        let answer = sender.send_request(request).await.unwrap();
        assert_eq!(answer.version(), http::Version::HTTP_2);
        assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), expected);
    }
    running.stop.notify_one();
    assert_eq!(running.server.await.unwrap(), Stopped { cut: 0 });
    connection.await.unwrap().unwrap();
}

#[tokio::test]
async fn an_address_in_use_is_named() {
    let taken = listen(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
    let address = taken.local_addr().unwrap();
    let error = listen(address).await.unwrap_err();
    assert!(error.to_string().contains(&address.to_string()));
    assert_eq!(error.source.kind(), io::ErrorKind::AddrInUse);
}

#[tokio::test]
async fn a_client_that_leaves_its_answer_unread_is_hung_up_on_in_time() {
    let wait = Duration::from_hours(1);
    let (frames, receiver) = mpsc::channel(1);
    let running = streaming(receiver, Bounds { write_stall_timeout: wait, ..bounds() }).await;
    let mut client = TcpStream::connect(running.address).await.unwrap();
    client.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    // Fills the buffers on the way. Then the answer stalls until the body is dropped.
    let large = "x".repeat(1 << 20).leak();
    let mut at_rest = 0;
    while at_rest < 100 {
        at_rest = if frames.try_send(frame(large)).is_ok() { 0 } else { at_rest + 1 };
        tokio::task::yield_now().await;
    }
    let stalled = pause_at_rest().await;
    frames.closed().await;
    assert_about(stalled, wait);
    drop(client);
}
