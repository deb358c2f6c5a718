//! A service behind the layer that panics: its call ends exactly once, and the service is not polled again.

use std::{
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::atomic::AtomicUsize,
    task::{Context, Poll},
};

use futures_util::FutureExt;

use super::*;
use crate::domain::finish::Ending;

/// Where a provider panics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Call,
    Future,
    Body { stream: bool },
}

/// A body of one event, then a panic. Counts how often it is polled.
struct Panics {
    asked: Arc<AtomicUsize>,
}

impl Body for Panics {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        let asked = self.asked.fetch_add(1, Ordering::SeqCst);
        assert_eq!(asked, 0, "walnut");
        Poll::Ready(Some(Ok(Frame::data(DELTA.into()))))
    }
}

/// Calls a provider that panics at this place. Returns how often its body was polled.
async fn ask(recorder: &Arc<Recorder>, at: At) -> usize {
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let provider = service_fn(move |request: Request<RequestBody>| {
        // With this policy the answer is drained for a client that leaves.
        hold(&request, Disconnect::Drain);
        assert_ne!(at, At::Call, "walnut");
        let asked = Arc::clone(&counted);
        async move {
            let At::Body { stream } = at else { panic!("walnut") };
            let kind = if stream { "text/event-stream" } else { "application/json" };
            let answer = Response::builder().header("content-type", kind);
            Ok::<_, Infallible>(answer.body(Panics { asked }).unwrap())
        }
    });
    let gateway = layer(recorder).layer_over(provider);
    let whole =
        async move { text(gateway.oneshot(request(CHAT)).await.unwrap().into_body()).await };
    assert!(AssertUnwindSafe(whole).catch_unwind().await.is_err(), "the panic is not swallowed");
    let finish = recorder.only_finish().await;
    let begun = matches!(at, At::Body { .. });
    assert_eq!((finish.ending, finish.status), (Ending::Failed, if begun { 200 } else { 500 }));
    // The provider was reached and may bill its input; of a stream, what was delivered as well.
    let output = if at == (At::Body { stream: true }) { 2 } else { 0 };
    assert_counted_here(&finish, CHAT, output);
    // No work goes on in the background.
    tokio::task::yield_now().await;
    assert_eq!(recorder.written(), 1);
    asked.load(Ordering::SeqCst)
}

#[tokio::test]
async fn a_panic_before_the_head_ends_the_call_once() {
    for at in [At::Call, At::Future] {
        assert_eq!(ask(&Recorder::open(), at).await, 0);
    }
}

#[tokio::test]
async fn a_panic_in_the_body_ends_the_call_once_and_the_body_is_not_asked_again() {
    for stream in [false, true] {
        assert_eq!(ask(&Recorder::open(), At::Body { stream }).await, 2);
    }
}
