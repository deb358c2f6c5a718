//! The one pooled HTTP client of this crate: for key sets and for upstream providers.
//!
//! HTTP/1.1 and HTTP/2 (by ALPN) over TCP or TLS, with `TCP_NODELAY`, so that Nagle's algorithm does
//! not delay a small request or an event of a stream. Follows no redirects, keeps no cookies,
//! decompresses nothing, and retries only requests that never left this process.
//!
//! TLS trusts the root certificates of the operating system, or those that `SSL_CERT_FILE` and
//! `SSL_CERT_DIR` name. The crypto provider is passed explicitly, so that the program that embeds this
//! crate may choose the process-wide default of `rustls`.
//!
//! ```
//! use bytes::Bytes;
//! use http::Request;
//! use http_body_util::Full;
//! use tollgate::client::{ClientError, HttpClient};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let client = HttpClient::default();
//! let request = Request::get("gopher://localhost/").body(Full::<Bytes>::default()).unwrap();
//! let refused = client.send(request).await.unwrap_err();
//! assert!(refused.is_unsent());
//! # }
//! ```

mod connect;
#[cfg(test)]
mod tests;

use std::{
    fmt,
    net::IpAddr,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::{
    client::legacy,
    rt::{TokioExecutor, TokioTimer},
};
use tokio::time::Instant;
use tower_service::Service;

use self::connect::Connector;
use crate::body::{self, Unread};

/// Whether this host of a URL is on this machine, so that plain http to it needs no TLS.
pub(crate) fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// How the client connects, and how long it keeps idle connections.
#[derive(Clone, Copy, Debug)]
pub struct ClientOptions {
    /// 5 s: name look-up, TCP and TLS together.
    pub connect_timeout: Duration,
    /// 60 s: how long an idle connection stays open.
    pub idle_timeout: Duration,
    /// 512: the most idle connections for one host.
    pub idle_per_host_max: usize,
    /// 20 s: how often an HTTP/2 connection in use is pinged, to detect a dead peer.
    pub ping_interval: Duration,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            idle_timeout: Duration::from_mins(1),
            idle_per_host_max: 512,
            ping_interval: Duration::from_secs(20),
        }
    }
}

/// The pooled client. Cheap to clone; all clones share one pool. See the [module docs](self).
#[derive(Clone)]
pub struct HttpClient {
    pool: legacy::Client<Connector, Full<Bytes>>,
}

impl HttpClient {
    /// A client with a pool of its own. Reads the trusted root certificates from the file system, once.
    ///
    /// If there are none, the client logs a warning and every `https` request fails. Plain `http` still
    /// works, for a local mock or a mesh that adds TLS itself.
    pub fn new(options: ClientOptions) -> Self {
        let pool = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(options.idle_timeout)
            .pool_max_idle_per_host(options.idle_per_host_max)
            .timer(TokioTimer::new())
            .http2_keep_alive_interval(options.ping_interval)
            .http2_adaptive_window(true)
            .build(Connector::new(options.connect_timeout));
        Self { pool }
    }

    /// Sends a request to its absolute URI. Resolves when the answer's head arrives.
    ///
    /// The answer's body is streamed. Only connecting has a time limit here, since the caller knows how
    /// long an answer may take. Dropping the future cancels the request.
    pub fn send(&self, request: Request<Full<Bytes>>) -> Sending {
        Sending { inner: self.pool.request(request) }
    }

    /// Sends a request and reads the whole answer within `timeout`. Its body may have `body_bytes_max` bytes.
    pub async fn fetch(
        &self,
        request: Request<Full<Bytes>>,
        body_bytes_max: usize,
        timeout: Duration,
    ) -> Result<Response<Bytes>, ClientError> {
        let started = Instant::now();
        let sent = tokio::time::timeout(timeout, self.send(request)).await;
        let (head, body) = sent.map_err(|_| ClientError::TimedOut)??.into_parts();
        let left = timeout.saturating_sub(started.elapsed());
        match body::read(body, body_bytes_max, left).await {
            Ok(body) => Ok(Response::from_parts(head, body)),
            Err(Unread::TimedOut(_)) => Err(ClientError::TimedOut),
            Err(unread) => Err(ClientError::Body(unread.into())),
        }
    }
}

impl Default for HttpClient {
    fn default() -> Self {
        Self::new(ClientOptions::default())
    }
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpClient").finish_non_exhaustive()
    }
}

impl Service<Request<Full<Bytes>>> for HttpClient {
    type Response = Response<Incoming>;
    type Error = ClientError;
    type Future = Sending;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ClientError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Full<Bytes>>) -> Sending {
        self.send(request)
    }
}

/// The future of [`HttpClient::send`].
pub struct Sending {
    inner: legacy::ResponseFuture,
}

impl Future for Sending {
    type Output = Result<Response<Incoming>, ClientError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.inner).poll(cx).map_err(|error| {
            if error.is_connect() {
                ClientError::Connect(error.into())
            } else {
                ClientError::Send(error.into())
            }
        })
    }
}

impl fmt::Debug for Sending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sending").finish_non_exhaustive()
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// There is no connection, so nothing has been sent.
    #[error("cannot connect")]
    Connect(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The connection broke before the answer's head. The request may have arrived.
    #[error("the connection broke before the answer")]
    Send(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The answer's body broke off, or is longer than allowed.
    #[error("the answer's body broke off or is too long")]
    Body(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// There was no complete answer in time.
    #[error("no complete answer in time")]
    TimedOut,
}

impl ClientError {
    /// Whether no part of the request can have reached the server, so that a retry, there or elsewhere,
    /// cannot run it twice.
    pub const fn is_unsent(&self) -> bool {
        matches!(self, Self::Connect(_))
    }
}
