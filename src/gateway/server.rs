//! Accepts connections and serves HTTP/1 and HTTP/2 on them, until it is told to stop.
//!
//! When it is told to stop, it accepts no more connections and lets open requests end. After the grace period it cuts
//! the connections that are left. Work after the last request, such as writing the ends of calls, is up to the caller.

mod connection;
#[cfg(test)]
mod http2_tests;
mod taken;
#[cfg(test)]
mod tests;

use std::{io, net::SocketAddr, num::NonZeroUsize, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use tower_service::Service;

/// The bounds of a server.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// The most connections that are open at once; more wait in the kernel's queue.
    pub connections_max: NonZeroUsize,
    /// The most requests that are open at once on one HTTP/2 connection.
    pub connection_streams_max: u32,
    /// The longest that a connection takes requests. Then it ends with its last open request.
    pub connection_age_max: Duration,
    /// The longest head of a request, in bytes. At least 8192, or connections panic.
    pub head_bytes_max: usize,
    /// How long a client may take to send a request's head, counted from when it is idle.
    pub header_read_timeout: Duration,
    /// How long a client may read nothing of its answer, once every buffer is full or its HTTP/2 window is closed.
    pub write_stall_timeout: Duration,
    /// How long open requests may go on after the signal to stop.
    pub shutdown_grace: Duration,
}

/// How a server ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopped {
    /// The number of connections that were cut at the end of the grace period.
    pub cut: usize,
}

/// A listener cannot bind its address.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {source}")]
pub struct ListenError {
    /// The address.
    pub address: SocketAddr,
    /// Why.
    pub source: io::Error,
}

/// Binds `address`; port 0 picks a free port.
pub async fn listen(address: SocketAddr) -> Result<TcpListener, ListenError> {
    TcpListener::bind(address).await.map_err(|source| ListenError { address, source })
}

/// Serves `service` on `listener` until `stop` resolves and the open requests have ended, within the
/// grace.
pub async fn serve<S, B>(
    listener: TcpListener,
    service: S,
    bounds: Bounds,
    stop: impl Future<Output = ()>,
) -> Stopped
where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let connections =
        Arc::new(Semaphore::new(bounds.connections_max.get().min(Semaphore::MAX_PERMITS)));
    let stopping = CancellationToken::new();
    let mut open = JoinSet::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        let next = async {
            // The semaphore cannot be closed: no other code has it.
            let permit = Arc::clone(&connections).acquire_owned().await.ok();
            (permit, accept(&listener).await)
        };
        let (permit, stream) = tokio::select! {
            biased;
            () = &mut stop => break,
            Some(_) = open.join_next(), if !open.is_empty() => continue,
            next = next => next,
        };
        let (service, stop) = (service.clone(), stopping.clone());
        open.spawn(async move {
            let _permit = permit;
            connection::serve(stream, service, bounds, stop).await;
        });
    }
    drop(listener);
    stopping.cancel();
    let ended = async { while open.join_next().await.is_some() {} };
    let cut = if timeout(bounds.shutdown_grace, ended).await.is_ok() { 0 } else { open.len() };
    if cut > 0 {
        tracing::warn!(
            connections = cut,
            "the grace period is over: connections with open requests are cut"
        );
    }
    open.shutdown().await;
    Stopped { cut }
}

/// Accepts the next connection. After an error of one connection it tries again at once. After an error of the process
/// (out of files or memory) it pauses first; the pause doubles up to a second.
async fn accept(listener: &TcpListener) -> TcpStream {
    let mut pause = Duration::from_millis(10);
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // Without TCP_NODELAY, each event of a stream could wait 40 ms for the client's delayed ACK.
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%error, "TCP_NODELAY could not be set");
                }
                return stream;
            }
            Err(error) if is_connections_own(&error) => {}
            Err(error) => {
                tracing::warn!(%error, pause_ms = pause.as_millis(), "cannot accept connections; trying again after a pause");
                tokio::time::sleep(pause).await;
                pause = pause.saturating_mul(2).min(Duration::from_secs(1));
            }
        }
    }
}

fn is_connections_own(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}
