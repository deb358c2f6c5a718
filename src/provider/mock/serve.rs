//! The mock as a server, for clients and gateways that connect over a socket.

use std::{convert::Infallible, io, pin::pin, sync::Arc, time::Duration};

use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::{conn::auto, graceful::GracefulShutdown},
};
use serde_json::json;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tower_service::Service as _;

use super::{MockBody, MockProvider, answer::Reset};
use crate::body;

/// The most connections that are served at the same time; further ones wait in the kernel's queue.
const CONNECTIONS_MAX: usize = 8192;
/// How long open answers may go on after the server was told to stop.
const GRACE: Duration = Duration::from_secs(2);
/// How long to wait after a failed accept (usually: out of file descriptors).
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// Headers about the account, as a real provider sends them. A gateway must not pass them on to its tenants.
const ACCOUNT_HEADERS: [(HeaderName, HeaderValue); 7] = [
    (header::SET_COOKIE, HeaderValue::from_static("__cf_bm=mock; path=/; HttpOnly")),
    (HeaderName::from_static("openai-organization"), HeaderValue::from_static("mock-account")),
    (HeaderName::from_static("openai-processing-ms"), HeaderValue::from_static("1")),
    (HeaderName::from_static("openai-version"), HeaderValue::from_static("2020-10-01")),
    (HeaderName::from_static("x-ratelimit-remaining-requests"), HeaderValue::from_static("9999")),
    (
        HeaderName::from_static("anthropic-organization-id"),
        HeaderValue::from_static("mock-account"),
    ),
    (HeaderName::from_static("x-request-id"), HeaderValue::from_static("req_mock")),
];

/// The mock reset the connection on purpose.
#[derive(Debug, thiserror::Error)]
#[error("the connection is reset, as the request asked")]
struct WasAsked;

/// Serves HTTP/1.1 and HTTP/2 until `shutdown` resolves, then lets open answers end for two seconds.
///
/// Besides the provider's paths: `GET /mock/served` and `GET /mock/served/{request_id}` answer with
/// [`Served`](super::Served) as JSON. Answers carry the headers of an account, as a provider's do.
pub async fn serve(
    mock: MockProvider,
    listener: TcpListener,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let graceful = GracefulShutdown::new();
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = async {
            let slot = Arc::clone(&slots).acquire_owned().await.map_err(io::Error::other)?;
            let (stream, _) = listener.accept().await?;
            Ok::<_, io::Error>((stream, slot))
        };
        let (stream, slot) = tokio::select! {
            () = &mut shutdown => break,
            accepted = accepted => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "the mock provider cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            },
        };
        let serving = connection(mock.clone(), stream, &graceful);
        tokio::spawn(async move {
            serving.await;
            drop(slot);
        });
    }
    drop(listener);
    if tokio::time::timeout(GRACE, graceful.shutdown()).await.is_err() {
        tracing::warn!("the mock provider stops with answers open");
    }
    Ok(())
}

fn connection(
    mock: MockProvider,
    stream: TcpStream,
    graceful: &GracefulShutdown,
) -> impl Future<Output = ()> + Send + 'static {
    // Without TCP_NODELAY, the end of each small answer waits for the client's delayed acknowledgement.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY could not be set");
    }
    let service = service_fn(move |request| respond(mock.clone(), request));
    let builder = auto::Builder::new(TokioExecutor::new());
    let serving = builder.serve_connection(TokioIo::new(stream), service).into_owned();
    let serving = graceful.watch(serving);
    async move {
        if let Err(error) = serving.await {
            tracing::debug!(error, "a connection to the mock provider ended early");
        }
    }
}

async fn respond(
    mut mock: MockProvider,
    request: Request<Incoming>,
) -> Result<Response<MockBody>, WasAsked> {
    if let Some(answer) = served(&mock, &request) {
        return Ok(answer);
    }
    let Ok(mut answer) = mock.call(request).await.map_err(|never: Infallible| match never {});
    if answer.extensions().get::<Reset>().is_some() {
        return Err(WasAsked);
    }
    answer.headers_mut().extend(ACCOUNT_HEADERS);
    Ok(answer)
}

fn served<B>(mock: &MockProvider, request: &Request<B>) -> Option<Response<MockBody>> {
    let rest = request.uri().path().strip_prefix("/mock/served")?;
    if request.method() != Method::GET {
        return None;
    }
    let served = match rest.strip_prefix('/') {
        None | Some("") => mock.served_total(),
        Some(request_id) => mock.served(request_id),
    };
    Some(body::json(StatusCode::OK, json!(served).to_string()).map(MockBody::full))
}
