//! The future that layers share: decide, and then let the request through or answer it.
//!
//! Layers that decide by something that may have to be fetched (a policy, a hold) all have the same
//! two steps. Each layer wraps this future in an opaque one of its own; what they decide stays with
//! them. [`decide`] is the shape of those that have nothing to do with the answer.

pub(crate) mod decide;

use std::{
    error::Error,
    fmt, mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{Request, Response};
use pin_project::pin_project;
use tower_service::Service;

use crate::{
    body::ResponseBody,
    context::{Call, Tenant},
    domain::scope::Scope,
    refusal::Refusal,
    store::{Policies, Standing, StoreError},
};

/// What a layer decided, and what it keeps for the answer, whoever gives it.
pub(crate) type Verdict<T> = (Result<(), Refusal>, T);

/// A verdict that needs I/O: the only thing that is boxed.
pub(crate) type Asking<T> = Pin<Box<dyn Future<Output = Verdict<T>> + Send>>;

/// The names of the layers that another may miss, as the log gives them.
pub(crate) const TENANT_LAYER: &str = "TenantLayer";
pub(crate) const CALL_LAYER: &str = "CallLayer";

/// Decides, then calls `S` in the same poll, or answers.
#[pin_project]
pub(crate) struct Admission<S, F, B, T> {
    #[pin]
    state: State<S, F, B, T>,
}

#[pin_project(project = StateProject)]
enum State<S, F, B, T> {
    Asking {
        asking: Asking<T>,
        next: Option<(S, Request<B>)>,
    },
    Calling {
        #[pin]
        inner: F,
        kept: Option<T>,
    },
    Refusing {
        refusal: Refusal,
        request: Request<B>,
        kept: Option<T>,
    },
}

impl<S, F, B, T> Admission<S, F, B, T> {
    /// Answers with a refusal.
    pub(crate) const fn refuse(refusal: Refusal, request: Request<B>, kept: T) -> Self {
        Self { state: State::Refusing { refusal, request, kept: Some(kept) } }
    }

    /// Waits for the verdict; `ready` must be the instance that was made ready.
    pub(crate) const fn ask(asking: Asking<T>, ready: S, request: Request<B>) -> Self {
        Self { state: State::Asking { asking, next: Some((ready, request)) } }
    }
}

impl<S, B, T> Admission<S, S::Future, B, T>
where
    S: Service<Request<B>>,
{
    /// Goes by a verdict that is there already; `ready` must be the instance that was made ready.
    pub(crate) fn decided((verdict, kept): Verdict<T>, ready: &mut S, request: Request<B>) -> Self {
        match verdict {
            Ok(()) => {
                Self { state: State::Calling { inner: ready.call(request), kept: Some(kept) } }
            }
            Err(refusal) => Self::refuse(refusal, request, kept),
        }
    }
}

impl<S, F, B, T, R> Future for Admission<S, F, B, T>
where
    S: Service<Request<B>, Response = Response<R>, Future = F>,
    F: Future<Output = Result<Response<R>, S::Error>>,
{
    /// The answer, and what the layer kept.
    type Output = Result<(Response<ResponseBody<R>>, Option<T>), S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.state.as_mut().project() {
                StateProject::Asking { asking, next } => {
                    let (verdict, kept) = ready!(asking.as_mut().poll(cx));
                    // Empty only where a caller polls on after the inner service panicked.
                    let Some((mut ready, request)) = next.take() else { return Poll::Pending };
                    match verdict {
                        Ok(()) => {
                            let inner = ready.call(request);
                            this.state.set(State::Calling { inner, kept: Some(kept) });
                        }
                        Err(refusal) => {
                            return Poll::Ready(Ok((refusal.answer(&request), Some(kept))));
                        }
                    }
                }
                StateProject::Calling { inner, kept } => {
                    let response = ready!(inner.poll(cx))?;
                    return Poll::Ready(Ok((response.map(ResponseBody::inner), kept.take())));
                }
                StateProject::Refusing { refusal, request, kept } => {
                    return Poll::Ready(Ok((refusal.answer(request), kept.take())));
                }
            }
        }
    }
}

impl<S, F, B, T> fmt::Debug for Admission<S, F, B, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.state {
            State::Asking { .. } => "Asking",
            State::Calling { .. } => "Calling",
            State::Refusing { .. } => "Refusing",
        })
    }
}

/// Takes the instance that `poll_ready` made ready; the clone left behind starts over.
pub(crate) fn take_ready<S: Clone>(service: &mut S) -> S {
    let clone = service.clone();
    mem::replace(service, clone)
}

/// The caller's standing from the store. A fault of ours is logged here, once, and is 503.
pub(crate) async fn standing(
    policies: &Policies,
    tenant: &Tenant,
    call: Option<&Call>,
) -> Result<Standing, Refusal> {
    policies.get_for(tenant, call).await.map_err(|error| fault(&error, tenant, call))
}

/// What the client gets for a store's error.
#[cold]
pub(crate) fn fault(error: &StoreError, tenant: &Tenant, call: Option<&Call>) -> Refusal {
    if matches!(error, StoreError::UnknownOrganization) {
        return unknown_organization(tenant, call);
    }
    tracing::error!(
        organization_id = %tenant.organization_id(),
        request_id = call.map(|call| tracing::field::display(call.request_id())),
        %error,
        source = error.source().map(tracing::field::display),
        "the store could not answer: the call is refused"
    );
    Refusal::Unavailable
}

/// The token holds, but its organization is not in this database: it gets what an organization
/// gets that may use no model at all. That is true, and a stolen or stale token learns from it
/// neither which organizations nor which models there are.
#[cold]
pub(crate) fn unknown_organization(tenant: &Tenant, call: Option<&Call>) -> Refusal {
    tracing::warn!(organization_id = %tenant.organization_id(), "a valid token of an organization that is not in the store");
    match call {
        Some(call) => Refusal::ModelNotAllowed(call.facts().model.clone()),
        None => Refusal::Suspended(Scope::Organization),
    }
}
