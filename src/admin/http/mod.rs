//! Settings that an organization's own people change without the operator: so far its kill switches.
//!
//! [`Admin`] is a service behind a [`TenantLayer`](crate::tenant::TenantLayer). The organization is always the token's.
//! The role is the token's or the membership's, read again for each request. The store decides what a role may do, by
//! row-level security.
//!
//! | request | answer |
//! |---|---|
//! | `GET /admin/v1/kill-switches` | those that are on, and whether the operator or the policy suspends the organization |
//! | `GET /admin/v1/kill-switches/organization`, `…/{team,user,key}/{id}` | whether this kill switch is on |
//! | `PUT` there, with `{"reason": "…"}` or nothing | turns it on; if it is on already, its person and reason stay |
//! | `DELETE` there | turns it off, if it is on |
//!
//! A suspended organization gets the same answers as any other, because its owner must be able to turn the kill switch
//! off.
//!
#![doc = include_str!("../../../docs/kill-switch.md")]

mod kill_switches;
#[cfg(test)]
pub(crate) mod tests;
mod turns;

use std::{
    convert::Infallible,
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body::Body;
use http_body_util::Full;
use serde_json::Value;
use tower_service::Service;

use self::{kill_switches::Target, turns::Turns};
use crate::{
    admission::{self, TENANT_LAYER},
    body,
    context::Tenant,
    domain::{dialect::Dialect, ids::OrganizationId, role::Role, scope::Scope},
    refusal::Refusal,
    store::{PolicyStore, StoreError, Switchboard},
};

/// Answers an organization's own people. See the [module docs](self). Cheap to clone.
#[derive(Clone)]
pub struct Admin(Arc<Parts>);

struct Parts {
    policies: Arc<dyn PolicyStore>,
    switches: Arc<dyn Switchboard>,
    changed: Box<dyn Fn(OrganizationId) + Send + Sync>,
    turns: Turns,
}

impl Admin {
    const BODY_BYTES_MAX: usize = 16 * 1024;
    const BODY_WAIT: Duration = Duration::from_secs(10);
    /// The `retry-after` of a refused request: by then, another request of the organization has probably ended.
    const TURN_WAIT: Duration = Duration::from_secs(1);

    /// A service that reads roles from `policies` and sets kill switches in `switches`. It then calls `changed`, so
    /// that this process does not have to wait for the notice.
    pub fn new(
        policies: Arc<dyn PolicyStore>,
        switches: Arc<dyn Switchboard>,
        changed: impl Fn(OrganizationId) + Send + Sync + 'static,
    ) -> Self {
        let changed = Box::new(changed);
        Self(Arc::new(Parts { policies, switches, changed, turns: Turns::default() }))
    }

    async fn answer<B>(&self, request: Request<B>) -> Result<Value, Refusal>
    where
        B: Body<Data = Bytes> + Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let Some(tenant) = Tenant::of(&request).cloned() else {
            return Err(Refusal::Miswired(TENANT_LAYER));
        };
        let target = Target::read(request.uri().path())?;
        // No outer layer limits these requests, and they must leave database connections for other organizations.
        let Some(_turn) = self.0.turns.take(tenant.organization_id()) else {
            let what = "administrative requests at once";
            let retry_after = Self::TURN_WAIT;
            let scope = Scope::Organization;
            return Err(Refusal::RateLimited { what, scope, models: None, retry_after });
        };
        let reads = matches!(*request.method(), Method::GET | Method::HEAD);
        let role = self.role(&tenant, reads).await?;
        match *request.method() {
            Method::GET | Method::HEAD => kill_switches::show(self, &tenant, role, &target).await,
            Method::PUT => {
                let body = request.into_body();
                let body = body::read(body, Self::BODY_BYTES_MAX, Self::BODY_WAIT).await?;
                kill_switches::turn_on(self, &tenant, role, &target, &body).await
            }
            Method::DELETE => kill_switches::turn_off(self, &tenant, role, &target).await,
            _ => Err(Refusal::UnknownEndpoint),
        }
    }

    /// The caller's role, read without the cache: the caller may have lost the role in the last minute. Who is stopped
    /// as a person, with a team or by a key reads and changes nothing; the store enforces it, too.
    async fn role(&self, tenant: &Tenant, reads: bool) -> Result<Role, Refusal> {
        let standing = self.0.policies.standing(tenant).await;
        let standing = standing.map_err(|error| fault(&error, tenant))?;
        if let Some(scope) = standing.suspended
            && scope != Scope::Organization
            && !reads
        {
            return Err(Refusal::Suspended(scope));
        }
        standing.role.ok_or(Refusal::RoleNotAllowed)
    }
}

fn invalid(message: &'static str) -> Refusal {
    Refusal::InvalidBody { field: None, message: message.into() }
}

fn fault(error: &StoreError, tenant: &Tenant) -> Refusal {
    if matches!(error, StoreError::Forbidden) {
        return Refusal::RoleNotAllowed;
    }
    admission::fault(error, tenant, None)
}

impl<B> Service<Request<B>> for Admin
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    // Boxed: model calls do not take this path, so the allocation does not matter.
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (admin, headers) = (self.clone(), request.headers().clone());
        Box::pin(async move {
            Ok(match admin.answer(request).await {
                Ok(document) => {
                    let mut answer = body::json(StatusCode::OK, document.to_string());
                    let no_store = HeaderValue::from_static("no-store");
                    answer.headers_mut().insert(header::CACHE_CONTROL, no_store);
                    answer.map(Full::new)
                }
                Err(refusal) => refusal.respond(Dialect::OpenAi, &headers).map(Full::new),
            })
        })
    }
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Admin")
    }
}
