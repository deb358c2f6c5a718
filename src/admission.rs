//! The response future that layers share: it decides, and then lets the request through or refuses it.
//!
//! A layer's decision may need something that has to be fetched, such as a policy or a hold. Each
//! layer wraps this future in an opaque future of its own and brings its own decision. Layers that
//! leave the response alone use the simpler form in [`decide`].

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

/// A layer's decision, and what the layer keeps for the response: the inner service's or the refusal.
pub(crate) type Verdict<T> = (Result<(), Refusal>, T);

/// A verdict that needs I/O. No other future here is boxed.
pub(crate) type Asking<T> = Pin<Box<dyn Future<Output = Verdict<T>> + Send>>;

/// The names that the log gives when a layer further out is missing.
pub(crate) const TENANT_LAYER: &str = "TenantLayer";
pub(crate) const CALL_LAYER: &str = "CallLayer";

/// Decides, and then calls `S` in the same poll or answers with the refusal.
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

    /// Waits for the verdict. `ready` must be the instance that `poll_ready` made ready.
    pub(crate) const fn ask(asking: Asking<T>, ready: S, request: Request<B>) -> Self {
        Self { state: State::Asking { asking, next: Some((ready, request)) } }
    }
}

impl<S, B, T> Admission<S, S::Future, B, T>
where
    S: Service<Request<B>>,
{
    /// Applies a verdict that is already known. `ready` must be the instance that `poll_ready` made ready.
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
    /// The response, and what the layer kept for it.
    type Output = Result<(Response<ResponseBody<R>>, Option<T>), S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.state.as_mut().project() {
                StateProject::Asking { asking, next } => {
                    let (verdict, kept) = ready!(asking.as_mut().poll(cx));
                    // `None` only if the inner service panicked and the future is polled again.
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

/// Takes the instance that `poll_ready` made ready, and leaves a clone that has to be made ready again.
pub(crate) fn take_ready<S: Clone>(service: &mut S) -> S {
    let clone = service.clone();
    mem::replace(service, clone)
}

/// The caller's standing, from the cache or the store. A store error is logged here, once, and becomes a refusal.
pub(crate) async fn standing(
    policies: &Policies,
    tenant: &Tenant,
    call: Option<&Call>,
) -> Result<Standing, Refusal> {
    policies.get_for(tenant, call).await.map_err(|error| fault(&error, tenant, call))
}

/// The refusal for a store error.
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

/// The refusal for a valid token whose organization is not in this database.
///
/// It is the same refusal that an organization without any allowed model gets. A stolen or stale token
/// therefore cannot find out which organizations or models exist.
#[cold]
pub(crate) fn unknown_organization(tenant: &Tenant, call: Option<&Call>) -> Refusal {
    tracing::warn!(organization_id = %tenant.organization_id(), "a valid token names an unknown organization");
    match call {
        Some(call) => Refusal::ModelNotAllowed(call.facts().model.clone()),
        None => Refusal::Suspended(Scope::Organization),
    }
}
