//! Calls through `CallLayer`, with a journal that can be watched, stopped and broken.

mod bounds;
mod counted;
mod cut;
mod endless;
mod ends;
mod left;
#[path = "../../../tests/shared/logs.rs"]
#[expect(dead_code, reason = "shared with the suites beside the library, which use the rest")]
mod logs;
mod panics;
mod read;
mod record;
mod rule;
mod streams;

use std::{
    convert::Infallible,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::StreamExt;
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full, StreamBody};
use tokio::{
    sync::{Semaphore, mpsc, watch},
    time::Instant,
};
use tower::{Service, ServiceExt, service_fn};
use uuid::Uuid;

use super::{CallBody, CallLayer, Finisher};
use crate::{
    body::RequestBody,
    context::{Call, Hold, Keeping, Tenant},
    domain::{
        credits::Credits,
        endpoint::Endpoint,
        finish::{Finish, Finished},
        ids::{OrganizationId, PriceId},
        policy::{Disconnect, Keep},
        price::{ModelPrice, Quote, Rates, Tier},
        usage::Usage,
    },
    store::{Journal, StoreError, StoreFuture},
};

/// A journal that keeps finishes in memory, with the delays and failures that a test sets.
struct Recorder {
    finishes: Mutex<Vec<Finish>>,
    count: watch::Sender<usize>,
    gate: Semaphore,
    failures: Mutex<usize>,
    /// The journal's answer to a finish that it has written.
    finished: Mutex<Finished>,
    /// The journal refuses every finish.
    refuses: AtomicBool,
}

impl Recorder {
    fn open() -> Arc<Self> {
        Self::with_gate(Semaphore::MAX_PERMITS)
    }

    fn closed() -> Arc<Self> {
        Self::with_gate(0)
    }

    fn with_gate(permits: usize) -> Arc<Self> {
        logs::listen();
        for said in ["hello", "hi there"] {
            logs::secret(said);
        }
        let count = watch::Sender::new(0);
        Arc::new(Self {
            finishes: Mutex::default(),
            count,
            gate: Semaphore::new(permits),
            failures: Mutex::default(),
            finished: Mutex::default(),
            refuses: AtomicBool::new(false),
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
            if self.refuses.load(Ordering::SeqCst) {
                return Err(StoreError::Refused("no such column".into()));
            }
            Ok(*self.finished.lock().unwrap())
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

/// Sets a hold on the call and asks for a record, as the credit and audit layers do.
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

/// A call layer in front of a provider that takes a hold for each call, then gives these answers in order.
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

/// As [`gateway`], with these settings.
fn gateway_with(
    layer: &CallLayer,
    answer: Response<TestBody>,
) -> impl Service<
    Request<Full<Bytes>>,
    Response = Response<CallBody<std::io::Error>>,
    Error = Infallible,
    Future: Send,
> + Clone
+ use<> {
    let answer = Arc::new(Mutex::new(Some(answer)));
    layer.layer_over(service_fn(move |request: Request<RequestBody>| {
        hold(&request, Disconnect::Drain);
        let answer = answer.lock().unwrap().take().unwrap();
        async move { Ok::<_, Infallible>(answer) }
    }))
}

/// Checks that a call is charged exactly what was counted here: its request, and `output` tokens of the answer.
#[expect(clippy::arithmetic_side_effects, reason = "sums of small test data")]
fn assert_counted_here(finish: &Finish, body: &str, output: u64) {
    assert!(finish.estimated && !finish.clamped, "{finish:?}");
    let facts = crate::domain::request::read(Endpoint::ChatCompletions, body.as_bytes()).unwrap();
    let input = facts.input_estimate;
    // A few words, and the tokens that frame a message.
    assert!((1..50).contains(&input), "{input}");
    assert_eq!(finish.usage, Usage { input, output, ..Usage::default() });
    let settlement = finish.settlement.unwrap();
    let amount = i64::try_from(input * 1_000 + output * 2_000).unwrap();
    assert_eq!((settlement.amount, settlement.release), (Credits::from_nanos(amount), false));
    assert_eq!(settlement.tokens, i64::try_from(input + output).unwrap());
}

/// Checks that the whole hold is released.
fn assert_not_paid(finish: &Finish) {
    let settlement = finish.settlement.unwrap();
    assert_eq!(
        (settlement.amount, settlement.tokens, settlement.release),
        (Credits::ZERO, 0, true)
    );
    assert_eq!(finish.usage, Usage::default());
}

/// Checks that the whole hold is charged: more may have been done than was seen.
fn assert_hold_charged(finish: &Finish) {
    let settlement = finish.settlement.unwrap();
    assert_eq!(
        (settlement.amount, settlement.tokens, settlement.release),
        (Credits::from_nanos(1_000_000), 500, false)
    );
    assert!(finish.clamped && finish.estimated, "{finish:?}");
}

/// Checks how long something took on a paused clock; timers fire within a millisecond.
fn assert_took(begun: Instant, expected: Duration) {
    let taken = begun.elapsed();
    assert!(
        taken >= expected && taken < expected.saturating_add(Duration::from_millis(5)),
        "{taken:?} instead of {expected:?}"
    );
}

const MINUTE: Duration = Duration::from_mins(1);

/// The layer with this setting, or with its default.
fn set_in<T>(layer: CallLayer, value: Option<T>, set: fn(CallLayer, T) -> CallLayer) -> CallLayer {
    match value {
        Some(value) => set(layer, value),
        None => layer,
    }
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
