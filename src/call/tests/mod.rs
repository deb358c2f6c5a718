//! Calls through `CallLayer`, with a journal that can be watched, stopped and broken.

mod cut;
mod endless;
mod ends;
mod left;
mod read;
mod streams;

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use futures_util::StreamExt;
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full, StreamBody};
use tokio::sync::{Semaphore, mpsc, watch};
use tower::{Service, ServiceExt, service_fn};
use uuid::Uuid;

use super::{CallBody, CallLayer, Finisher};
use crate::{
    body::RequestBody,
    context::{Call, Hold, Keeping, Tenant},
    domain::{
        credits::Credits,
        finish::{Finish, Finished},
        ids::{OrganizationId, PriceId},
        policy::{Disconnect, Keep},
        price::{ModelPrice, Quote, Rates, Tier},
    },
    store::{Journal, StoreError, StoreFuture},
};

/// A journal that keeps what it is given, in the tempo and with the failures of the test.
struct Recorder {
    finishes: Mutex<Vec<Finish>>,
    count: watch::Sender<usize>,
    gate: Semaphore,
    failures: Mutex<usize>,
}

impl Recorder {
    fn open() -> Arc<Self> {
        Self::with_gate(Semaphore::MAX_PERMITS)
    }

    fn closed() -> Arc<Self> {
        Self::with_gate(0)
    }

    fn with_gate(permits: usize) -> Arc<Self> {
        let count = watch::Sender::new(0);
        Arc::new(Self {
            finishes: Mutex::default(),
            count,
            gate: Semaphore::new(permits),
            failures: Mutex::default(),
        })
    }

    fn fail(&self, times: usize) {
        *self.failures.lock().unwrap() = times;
    }

    fn let_through(&self) {
        self.gate.add_permits(1000);
    }

    async fn only_finish(&self) -> Finish {
        self.count.subscribe().wait_for(|count| *count > 0).await.unwrap();
        let finishes = self.finishes.lock().unwrap();
        assert_eq!(finishes.len(), 1, "a call ends exactly once");
        finishes[0].clone()
    }

    fn written(&self) -> usize {
        self.finishes.lock().unwrap().len()
    }
}

impl Journal for Recorder {
    fn finish<'a>(&'a self, _: &'a Tenant, finish: &'a Arc<Finish>) -> StoreFuture<'a, Finished> {
        Box::pin(async move {
            self.gate.acquire().await.unwrap().forget();
            {
                let mut failures = self.failures.lock().unwrap();
                if *failures > 0 {
                    *failures = failures.saturating_sub(1);
                    return Err(StoreError::Unavailable("the database is away".into()));
                }
            }
            self.finishes.lock().unwrap().push(Finish::clone(finish));
            self.count.send_modify(|count| *count = count.saturating_add(1));
            Ok(Finished::default())
        })
    }
}

const CHAT: &str =
    r#"{"model":"small","messages":[{"role":"user","content":"hello"}],"max_tokens":100}"#;
const CHAT_STREAM: &str = r#"{"model":"small","messages":[{"role":"user","content":"hello"}],"max_tokens":100,"stream":true}"#;
const CHAT_STREAM_USAGE: &str = r#"{"model":"small","messages":[{"role":"user","content":"hello"}],"max_tokens":100,"stream":true,"stream_options":{"include_usage":true}}"#;
const ANSWER: &str = r#"{"id":"c","object":"chat.completion","model":"small-1","choices":[{"index":0,"message":{"role":"assistant","content":"hi there"},"finish_reason":"stop"}],"usage":{"prompt_tokens":10,"completion_tokens":3,"total_tokens":13}}"#;

const DELTA: &str = "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"model\":\"small-1\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hi there\"},\"finish_reason\":null}]}\n\n";
const STOP: &str = "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"model\":\"small-1\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
const USAGE: &str = "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"model\":\"small-1\",\"choices\":[],\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":3,\"total_tokens\":13}}\n\n";
const DONE: &str = "data: [DONE]\n\n";

fn request(body: &str) -> Request<Full<Bytes>> {
    let tenant = Tenant::new(OrganizationId::new(Uuid::from_u128(1)), "someone");
    Request::post("/v1/chat/completions")
        .extension(tenant)
        .body(Full::from(body.to_owned()))
        .unwrap()
}

fn price() -> Arc<ModelPrice> {
    let rates = Rates { input: 1_000_000_000, output: 2_000_000_000, ..Rates::default() };
    Arc::new(ModelPrice {
        price_id: PriceId::new(Uuid::nil()),
        model: "small".into(),
        provider: "mock".into(),
        mode: "chat".into(),
        per_request: Credits::ZERO,
        tiers: vec![Tier { from_input_tokens: 0, rates }],
        input_tokens_max: None,
        output_tokens_max: None,
    })
}

pub(super) fn set_hold(call: &Call, disconnect: Disconnect) {
    call.set_hold(Hold {
        amount: Credits::from_nanos(1_000_000),
        tokens: 500,
        price: Quote::new(price(), 0),
        disconnect,
    });
}

/// What the credit and audit layers do to a call.
fn hold(request: &Request<RequestBody>, disconnect: Disconnect) {
    let call = Call::of(request).unwrap();
    set_hold(call, disconnect);
    call.keep(Keeping { keep: Keep::Full, capture_bytes_max: 1 << 20 });
}

type TestBody = http_body_util::combinators::UnsyncBoxBody<Bytes, std::io::Error>;
type Answered = Result<Response<CallBody<std::io::Error>>, Infallible>;

fn json(body: &'static str) -> Response<TestBody> {
    Response::builder()
        .header("content-type", "application/json")
        .body(Full::from(body).map_err(|never: Infallible| match never {}).boxed_unsync())
        .unwrap()
}

/// A stream whose frames the test sends one by one; it ends when the sender is dropped.
fn stream() -> (mpsc::Sender<std::io::Result<Bytes>>, Response<TestBody>) {
    let (sender, mut frames) = mpsc::channel(1000);
    let frames = futures_util::stream::poll_fn(move |cx| frames.poll_recv(cx));
    let frames = frames.map(|frame: std::io::Result<Bytes>| frame.map(Frame::data));
    let body = StreamBody::new(frames).boxed_unsync();
    (
        sender,
        Response::builder()
            .header("content-type", "text/event-stream; charset=utf-8")
            .body(body)
            .unwrap(),
    )
}

/// A gateway of a call layer and a provider that holds, then gives these answers in order.
fn gateway(
    recorder: &Arc<Recorder>,
    disconnect: Disconnect,
    answers: impl IntoIterator<Item = Response<TestBody>>,
) -> impl Service<
    Request<Full<Bytes>>,
    Response = Response<CallBody<std::io::Error>>,
    Error = Infallible,
    Future: Send,
> + Clone {
    let answers = Arc::new(Mutex::new(answers.into_iter().collect::<Vec<_>>().into_iter()));
    let provider = service_fn(move |request: Request<RequestBody>| {
        hold(&request, disconnect);
        let answer = answers.lock().unwrap().next().unwrap();
        async move { Ok::<_, Infallible>(answer) }
    });
    layer(recorder).layer_over(provider)
}

fn layer(recorder: &Arc<Recorder>) -> CallLayer {
    CallLayer::new(Finisher::new(Arc::clone(recorder), 16)).finish_wait(Duration::from_secs(5))
}

trait LayerOver {
    fn layer_over<S>(&self, inner: S) -> super::Calls<S>;
}

impl LayerOver for CallLayer {
    fn layer_over<S>(&self, inner: S) -> super::Calls<S> {
        tower_layer::Layer::layer(self, inner)
    }
}

async fn text<B>(body: B) -> String
where
    B: Body<Data = Bytes, Error: std::fmt::Debug>,
{
    String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap()
}
