//! The response future of [`Calls`](super::Calls).

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http::Response;

use super::{
    body::CallBody,
    layer::Settings,
    open::{Reached, drain_max, drains},
};

type Work<E, SE> = Pin<Box<dyn Future<Output = Result<Response<CallBody<E>>, SE>> + Send>>;

/// Resolves to the answer; for a stream, to its head.
///
/// If the future is dropped after the provider has been reached, the work goes on without the client, within the
/// layer's drain limit. So the call is settled by its true usage.
pub struct CallFuture<E: Send + 'static, SE: Send + 'static> {
    work: Option<Work<E, SE>>,
    reached: Reached,
    settings: Arc<Settings>,
}

impl<E: Send + 'static, SE: Send + 'static> CallFuture<E, SE> {
    pub(super) fn new(work: Work<E, SE>, reached: Reached, settings: Arc<Settings>) -> Self {
        Self { work: Some(work), reached, settings }
    }
}

impl<E: Send + 'static, SE: Send + 'static> Future for CallFuture<E, SE> {
    type Output = Result<Response<CallBody<E>>, SE>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // The work is taken out while it is polled. So if it panics, `drop` does not find it and does not poll it
        // again.
        let Some(mut work) = self.work.take() else { return Poll::Pending };
        let polled = work.as_mut().poll(cx);
        if polled.is_pending() {
            self.work = Some(work);
        }
        polled
    }
}

impl<E: Send + 'static, SE: Send + 'static> Drop for CallFuture<E, SE> {
    fn drop(&mut self) {
        let Some(work) = self.work.take() else { return };
        let (Some(call), Some(finisher)) = (self.reached.get(), &self.settings.finisher) else {
            return;
        };
        if drains(call) {
            call.client_leaves();
            // If the answer is a stream, dropping its body drains it.
            let limit = drain_max(&self.settings, call);
            finisher.carry_on(limit, async move { drop(work.await) });
        }
    }
}

impl<E: Send + 'static, SE: Send + 'static> fmt::Debug for CallFuture<E, SE> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallFuture").finish_non_exhaustive()
    }
}
