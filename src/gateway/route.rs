//! The paths that the server knows.

use http::{Method, Request};

use crate::{context, domain::endpoint::Endpoint};

/// The purpose of a path. Logs and metrics name its template, never the path itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// A model call.
    Call(Endpoint),
    /// `GET /v1/models`
    Models,
    /// `GET /v1/models/{id}`
    Model,
    /// `GET /admin/v1/kill-switches`
    KillSwitches,
    /// `GET`, `PUT` and `DELETE` of one kill switch: of a scope and an id, or of the whole organization.
    KillSwitch(&'static str),
    /// `GET /healthz`
    Health,
    /// `GET /readyz`
    Ready,
    /// `GET /metrics`
    Metrics,
    /// `POST /dev/token`: in `tollgate dev` only.
    DevToken,
    /// No such path.
    Unknown,
}

impl Route {
    /// Reads the path of a request.
    pub(super) fn read<B>(request: &Request<B>) -> Self {
        let endpoint = context::endpoint_of(request.extensions(), request.uri());
        Self::of(request.uri().path(), endpoint)
    }

    fn of(path: &str, endpoint: Option<Endpoint>) -> Self {
        // The layers also know endpoints below a prefix. This server has none.
        if let Some(endpoint) = endpoint.filter(|endpoint| endpoint.spec().path == path) {
            return Self::Call(endpoint);
        }
        match path {
            "/v1/models" => Self::Models,
            "/healthz" => Self::Health,
            "/readyz" => Self::Ready,
            "/metrics" => Self::Metrics,
            "/dev/token" => Self::DevToken,
            "/admin/v1/kill-switches" => Self::KillSwitches,
            "/admin/v1/kill-switches/organization" => {
                Self::KillSwitch("/admin/v1/kill-switches/organization")
            }
            _ if is_below("/admin/v1/kill-switches/team/", path) => {
                Self::KillSwitch("/admin/v1/kill-switches/team/{id}")
            }
            _ if is_below("/admin/v1/kill-switches/user/", path) => {
                Self::KillSwitch("/admin/v1/kill-switches/user/{id}")
            }
            _ if is_below("/admin/v1/kill-switches/key/", path) => {
                Self::KillSwitch("/admin/v1/kill-switches/key/{id}")
            }
            // A model's name may hold slashes itself: `openai/gpt-4o`.
            _ if is_below("/v1/models/", path) => Self::Model,
            _ => Self::Unknown,
        }
    }

    pub(super) const fn template(self) -> &'static str {
        match self {
            Self::Call(endpoint) => endpoint.spec().path,
            Self::KillSwitch(template) => template,
            Self::Models => "/v1/models",
            Self::Model => "/v1/models/{id}",
            Self::KillSwitches => "/admin/v1/kill-switches",
            Self::Health => "/healthz",
            Self::Ready => "/readyz",
            Self::Metrics => "/metrics",
            Self::DevToken => "/dev/token",
            Self::Unknown => "unknown",
        }
    }

    /// Whether machines request the path every few seconds, so that it is not worth a line in the log.
    pub(super) const fn is_probe(self) -> bool {
        matches!(self, Self::Health | Self::Ready | Self::Metrics)
    }

    /// The value of the `allow` header, if the path does not allow `method`.
    pub(super) fn refuses(self, method: &Method) -> Option<&'static str> {
        match self {
            Self::Call(_) | Self::DevToken => (*method != Method::POST).then_some("POST"),
            Self::Unknown => None,
            Self::KillSwitch(_) => {
                let known = [Method::GET, Method::HEAD, Method::PUT, Method::DELETE];
                (!known.contains(method)).then_some("GET, HEAD, PUT, DELETE")
            }
            Self::Models
            | Self::Model
            | Self::KillSwitches
            | Self::Health
            | Self::Ready
            | Self::Metrics => {
                (*method != Method::GET && *method != Method::HEAD).then_some("GET, HEAD")
            }
        }
    }
}

/// Whether the path names something below `folder`, which ends in a slash.
fn is_below(folder: &str, path: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|id| !id.is_empty())
}
