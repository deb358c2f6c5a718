//! Serves one connection, and ends it in time.
//!
//! HTTP/1 has its clocks elsewhere: hyper bounds the wait for a head, the socket bounds the wait for a client that does
//! not read. Many streams share an HTTP/2 connection, and its client answers pings while it reads no answer. So each
//! stream has a clock of its own, and the connection has one for the time without streams.

use std::{
    pin::pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::{body::Incoming, rt::Executor};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::conn::auto,
    service::TowerToHyperService,
};
use parking_lot::Mutex;
use tokio::{
    net::TcpStream,
    sync::Notify,
    time::{Instant, sleep_until, timeout},
};
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;
use tower_service::Service;

use super::{
    Bounds,
    taken::{AnswerFuture, Clock},
};

const H2_PING_EVERY: Option<Duration> = Some(Duration::from_secs(20));
/// What the gateway keeps of a stream's answer for a socket that is full.
const H2_SEND_BYTES_MAX: usize = 64 << 10;

/// Serves `service` on `stream` until the client or a clock ends it. After `stop` the connection takes no more
/// requests, and ends with the last open one.
pub(super) async fn serve<S, B>(
    stream: TcpStream,
    service: S,
    bounds: Bounds,
    stop: CancellationToken,
) where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let streams =
        Streams { open: Arc::new(Open::default()), stall_timeout: bounds.write_stall_timeout };
    let (open, came) = (Arc::clone(&streams.open), Arc::new(Notify::new()));
    let service = Announced { inner: service, came: Arc::clone(&came) };
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(bounds.write_stall_timeout));
    let builder = builder(streams, bounds);
    let serving =
        builder.serve_connection(TokioIo::new(Box::pin(stream)), TowerToHyperService::new(service));
    let mut serving = pin!(serving);
    // hyper's time-out for a request's head starts once the HTTP version is known, and exists for HTTP/1 only.
    // Without this one, a client that sends nothing, or only the first bytes, would keep its connection.
    let mut silent = pin!(async {
        if timeout(bounds.header_read_timeout, came.notified()).await.is_ok() {
            std::future::pending::<()>().await;
        }
    });
    let mut old = pin!(tokio::time::sleep(bounds.connection_age_max));
    let mut idle = pin!(open.without_streams(bounds.header_read_timeout));
    let mut closing = false;
    loop {
        tokio::select! {
            ended = serving.as_mut() => {
                if let Err(error) = ended {
                    // Mostly the client's doing. If a call was open, its end records what happened.
                    tracing::debug!(%error, "a connection ended with an error");
                }
                return;
            }
            () = silent.as_mut() => {
                tracing::debug!("a connection was closed: no request arrived in time");
                return;
            }
            () = idle.as_mut() => {
                if closing {
                    // All streams are over. What is left is for a client that does not read it.
                    tracing::debug!("a connection was cut: its client leaves the ends of answers unread");
                    return;
                }
                closing = true;
            }
            () = stop.cancelled(), if !closing => closing = true,
            () = old.as_mut(), if !closing => closing = true,
        }
        serving.as_mut().graceful_shutdown();
        idle.set(open.without_streams(bounds.write_stall_timeout));
    }
}

fn builder(streams: Streams, bounds: Bounds) -> auto::Builder<Streams> {
    let mut builder = auto::Builder::new(streams);
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(bounds.header_read_timeout)
        .max_buf_size(bounds.head_bytes_max);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(H2_PING_EVERY)
        .max_concurrent_streams(bounds.connection_streams_max)
        .max_send_buf_size(H2_SEND_BYTES_MAX)
        .max_header_list_size(u32::try_from(bounds.head_bytes_max).unwrap_or(u32::MAX));
    builder
}

/// Signals that a request has arrived, and passes the request on.
#[derive(Clone)]
struct Announced<S> {
    inner: S,
    came: Arc<Notify>,
}

impl<S, B> Service<Request<Incoming>> for Announced<S>
where
    S: Service<Request<Incoming>, Response = Response<B>>,
{
    type Response = Response<super::taken::Taken<B>>;
    type Error = S::Error;
    type Future = AnswerFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Incoming>) -> Self::Future {
        self.came.notify_one();
        AnswerFuture::new(self.inner.call(request))
    }
}

/// Runs the streams of one HTTP/2 connection, and gives up those whose client reads nothing.
#[derive(Clone)]
struct Streams {
    open: Arc<Open>,
    stall_timeout: Duration,
}

impl<F> Executor<F> for Streams
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, stream: F) {
        let (counted, wait) = (Counted::new(Arc::clone(&self.open)), self.stall_timeout);
        let clock = Clock::default();
        drop(tokio::spawn(async move {
            let _counted = counted;
            let stream = pin!(clock.clone().governs(stream));
            tokio::select! {
                // In this order: the stream tells the clock what has been taken.
                biased;
                () = stream => {}
                // Dropping the stream resets it. The other streams of the connection go on.
                () = clock.stalled(wait) => {
                    tracing::debug!("a stream was reset: its client leaves its answer unread");
                }
            }
        }));
    }
}

/// The streams that are open on a connection.
#[derive(Default)]
struct Open {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Clone, Copy, Default)]
struct State {
    streams: usize,
    /// Since when there are none. `None` before the first stream, and for HTTP/1.
    idle_since: Option<Instant>,
}

impl Open {
    /// Resolves once there has been no stream for `wait`. Never resolves before the first stream, or for HTTP/1.
    async fn without_streams(&self, wait: Duration) {
        // A connection that is told to close has its full time from then on.
        let begun = Instant::now();
        loop {
            let changed = self.changed.notified();
            let idle = self.state.lock().idle_since;
            // A time-out beyond the range of the clock never fires.
            let end = idle.and_then(|since| since.max(begun).checked_add(wait));
            match end {
                None => changed.await,
                Some(end) => tokio::select! {
                    () = sleep_until(end) => return,
                    () = changed => {}
                },
            }
        }
    }
}

struct Counted(Arc<Open>);

impl Counted {
    fn new(open: Arc<Open>) -> Self {
        let mut state = open.state.lock();
        state.streams = state.streams.saturating_add(1);
        state.idle_since = None;
        drop(state);
        open.changed.notify_one();
        Self(open)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.streams = state.streams.saturating_sub(1);
        if state.streams == 0 {
            state.idle_since = Some(Instant::now());
        }
        drop(state);
        self.0.changed.notify_one();
    }
}
