//! The issuer's two endpoints.

use std::{convert::Infallible, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body::Body;
use http_body_util::Full;
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Deserialize;
use serde_json::json;
use tokio::{net::TcpListener, task::JoinSet};

use super::{DevIssuer, Grant, IssuerError, TTL_DEFAULT};
use crate::{
    body,
    domain::{
        ids::{KeyId, OrganizationId, TeamId},
        role::Role,
    },
    gateway::local::is_local,
};

/// The path of the key set.
pub const JWKS_PATH: &str = "/.well-known/jwks.json";
/// The path that issues tokens.
pub const TOKEN_PATH: &str = "/token";
const BODY_BYTES_MAX: usize = 16 * 1024;
const BODY_WAIT: Duration = Duration::from_secs(10);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    organization_id: OrganizationId,
    user_id: String,
    role: Role,
    team_id: Option<TeamId>,
    key_id: Option<KeyId>,
    ttl_seconds: Option<i64>,
}

impl From<Asked> for Grant {
    fn from(asked: Asked) -> Self {
        let ttl = asked.ttl_seconds.map_or(TTL_DEFAULT, |seconds| {
            // A negative time counts as 0; `issue` then clamps it to its bounds.
            Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
        });
        let Asked { organization_id, user_id, role, team_id, key_id, .. } = asked;
        Self { organization_id, user_id, role: Some(role), team_id, key_id, ttl }
    }
}

impl DevIssuer {
    /// Answers one request.
    pub async fn handle<B>(&self, request: Request<B>) -> Response<Full<Bytes>>
    where
        B: Body,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        if !is_local(&request) {
            return problem(
                StatusCode::FORBIDDEN,
                "this is for requests to this machine by its own name",
            );
        }
        match (request.method(), request.uri().path()) {
            (&Method::GET, JWKS_PATH) => {
                let mut response = answer(StatusCode::OK, self.jwks());
                let minute = HeaderValue::from_static("public, max-age=60");
                response.headers_mut().insert(header::CACHE_CONTROL, minute);
                response
            }
            (&Method::POST, TOKEN_PATH) => self.token(request.into_body()).await,
            (_, JWKS_PATH) => not_allowed("GET"),
            (_, TOKEN_PATH) => not_allowed("POST"),
            _ => problem(
                StatusCode::NOT_FOUND,
                "there are only GET /.well-known/jwks.json and POST /token",
            ),
        }
    }

    async fn token<B>(&self, body: B) -> Response<Full<Bytes>>
    where
        B: Body,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let Ok(body) = body::read(body, BODY_BYTES_MAX, BODY_WAIT).await else {
            return problem(
                StatusCode::BAD_REQUEST,
                "the body is incomplete or longer than 16 KiB",
            );
        };
        let grant: Grant = match serde_json::from_slice::<Asked>(&body) {
            Ok(asked) if asked.user_id.is_empty() => {
                return problem(StatusCode::BAD_REQUEST, "user_id: must not be empty");
            }
            Ok(asked) => asked.into(),
            Err(error) => return problem(StatusCode::BAD_REQUEST, &error.to_string()),
        };
        let issued = self
            .issue(&grant)
            .and_then(|issued| serde_json::to_string(&issued).map_err(|_| IssuerError::Crypto));
        match issued {
            Ok(issued) => {
                let mut response = answer(StatusCode::OK, issued);
                response
                    .headers_mut()
                    .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
                response
            }
            Err(error) => {
                tracing::error!(%error, "the dev issuer cannot sign");
                problem(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "the issuer cannot sign; its log says why",
                )
            }
        }
    }

    /// Serves on this listener. Dropping the future also drops all connections.
    pub async fn serve(self, listener: TcpListener) {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => {
                        let issuer = self.clone();
                        connections.spawn(async move {
                            let service = service_fn(|request| async { Ok::<_, Infallible>(issuer.handle(request).await) });
                            let connection = http1::Builder::new()
                                .timer(TokioTimer::new())
                                .serve_connection(TokioIo::new(stream), service);
                            if let Err(error) = connection.await {
                                tracing::debug!(%error, "a connection to the dev issuer broke");
                            }
                        });
                    }
                    // Most likely the process is out of file descriptors, and another connection may close soon.
                    Err(error) => {
                        tracing::warn!(%error, "the dev issuer cannot accept connections");
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                },
                Some(_) = connections.join_next() => {}
            }
        }
    }
}

fn answer(status: StatusCode, json: String) -> Response<Full<Bytes>> {
    body::json(status, json).map(Full::new)
}

fn problem(status: StatusCode, message: &str) -> Response<Full<Bytes>> {
    answer(status, json!({"error": {"message": message}}).to_string())
}

fn not_allowed(method: &'static str) -> Response<Full<Bytes>> {
    let mut response =
        problem(StatusCode::METHOD_NOT_ALLOWED, "this path does not allow the method");
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(method));
    response
}
