//! Which paths there are.

use http::Method;

use crate::domain::endpoint::Endpoint;

/// What a path is for. Its template is what logs and metrics say, never the path itself.
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
    /// `GET`, `PUT` and `DELETE` of one: of a scope and an id, or of the organization.
    KillSwitch(&'static str),
    /// `GET /healthz`
    Health,
    /// `GET /readyz`
    Ready,
    /// `GET /metrics`
    Metrics,
    /// `POST /dev/token`: in `tollgate dev` only.
    DevToken,
    /// Nothing is there.
    Unknown,
}

impl Route {
    pub(super) fn of(path: &str) -> Self {
        let mut endpoints = Endpoint::ALL.iter().copied();
        if let Some(endpoint) = endpoints.find(|endpoint| endpoint.spec().path == path) {
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

    /// Asked by machines every few seconds: not worth a line in the log.
    pub(super) const fn is_probe(self) -> bool {
        matches!(self, Self::Health | Self::Ready | Self::Metrics)
    }

    /// The value of `allow`, where `method` is not among it.
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
