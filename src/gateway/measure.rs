//! What is measured around the stores and the provider: by wrapping them, so that neither knows.

use std::{
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

use http::Request;
use tower_service::Service;

use crate::{
    context::{Call, Report, Tenant},
    domain::hold::{HoldRequest, HoldVerdict},
    store::{Ledger, StoreFuture},
};

/// A ledger whose answers are timed.
#[derive(Clone)]
pub(super) struct MeasuredLedger(pub(super) Arc<dyn Ledger>);

impl Ledger for MeasuredLedger {
    fn hold<'a>(
        &'a self,
        tenant: &'a Tenant,
        request: HoldRequest,
    ) -> StoreFuture<'a, HoldVerdict> {
        let holding = self.0.hold(tenant, request);
        Box::pin(async move {
            let begun = Instant::now();
            let verdict = holding.await;
            metrics::histogram!("tollgate_hold_seconds").record(begun.elapsed());
            verdict
        })
    }
}

/// Counts the calls that credits are held for, while they last.
#[derive(Clone, Debug)]
pub(super) struct CountHolds<S> {
    inner: S,
}

impl<S> CountHolds<S> {
    pub(super) const fn new(inner: S) -> Self {
        Self { inner }
    }
}

impl<S, B> Service<Request<B>> for CountHolds<S>
where
    S: Service<Request<B>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> S::Future {
        if let Some(call) = Call::of(&request)
            && call.hold().is_some()
        {
            metrics::gauge!("tollgate_holds_open").increment(1);
            call.at_end(|_: &Report| metrics::gauge!("tollgate_holds_open").decrement(1));
        }
        self.inner.call(request)
    }
}
