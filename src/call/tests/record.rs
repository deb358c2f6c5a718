//! What is written at the end of a call, field by field. A new field does not compile here until it is compared.

#![expect(clippy::arithmetic_side_effects, reason = "sums of small test data")]

use tokio_test::{assert_pending, task};

use super::*;
use crate::{
    call::KillSwitch,
    context::Arrival,
    domain::{
        dialect::Dialect,
        endpoint::Endpoint,
        finish::{Ending, Record, Settlement},
        ids::{KeyId, RequestId, TeamId},
        switch::{Switch, Switches},
        usage::Usage,
    },
    refusal::Refusal,
    store::{MemoryStore, Written},
};

const ORGANIZATION: OrganizationId = OrganizationId::new(Uuid::from_u128(1));
const TEAM: TeamId = TeamId::new(Uuid::from_u128(2));
const KEY: KeyId = KeyId::new(Uuid::from_u128(3));
const REQUEST: RequestId = RequestId::from_uuid(Uuid::from_u128(4));
const ARRIVAL: Arrival = Arrival {
    request_id: REQUEST,
    named_by_caller: true,
    endpoint: Some(Endpoint::ChatCompletions),
    dialect: Dialect::OpenAi,
};
/// How long a provider here takes for its head, and then for each part.
const STEP: Duration = Duration::from_millis(20);
/// One token for every four bytes of `role`, `user`, `content` and `hello`.
const INPUT_COUNTED: u64 = 5;
const NO: &str = r#"{"error":{"message":"no"}}"#;
/// Input tokens of every class, output with and without reasoning.
const EVERY_CLASS: &str = r#"{"id":"c","object":"chat.completion","model":"small-1","choices":[{"index":0,"message":{"role":"assistant","content":"hi there"},"finish_reason":"stop"}],"usage":{"prompt_tokens":60,"completion_tokens":13,"total_tokens":73,"prompt_tokens_details":{"cached_tokens":7,"cache_write_tokens":5},"completion_tokens_details":{"reasoning_tokens":2}}}"#;

/// The finish that a call must have.
#[expect(clippy::struct_excessive_bools, reason = "the fields of a finish")]
struct Expected {
    stream: bool,
    ending: Ending,
    status: u16,
    answered_by: Option<&'static str>,
    provider: Option<&'static str>,
    usage: Usage,
    estimated: bool,
    /// The hold was charged.
    clamped: bool,
    /// In nano-dollars, if there was a hold: 1,000 for an input token, 2,000 for an output token.
    amount: Option<i64>,
    release: bool,
    request: &'static str,
    response: String,
    /// Steps of the provider until the first byte went out, and until the end.
    first_byte: Option<u32>,
    end: u32,
}

impl Expected {
    fn whole() -> Self {
        Self {
            stream: false,
            ending: Ending::Complete,
            status: 200,
            answered_by: Some("small-1"),
            provider: Some("azure"),
            usage: Usage { input: 10, output: 3, ..Usage::default() },
            estimated: false,
            clamped: false,
            amount: Some(16_000),
            release: false,
            request: CHAT,
            response: ANSWER.to_owned(),
            first_byte: Some(1),
            end: 1,
        }
    }

    fn streamed() -> Self {
        let response = [DELTA, STOP, DONE].concat();
        Self { stream: true, request: CHAT_STREAM, response, end: 2, ..Self::whole() }
    }

    fn nothing(self) -> Self {
        Self { usage: Usage::default(), amount: Some(0), release: true, answered_by: None, ..self }
    }

    fn estimated(self, input: u64, output: u64) -> Self {
        let usage = Usage { input, output, ..Usage::default() };
        let nanos = i64::try_from(input * 1_000 + output * 2_000).unwrap();
        Self { usage, estimated: true, amount: Some(nanos), ..self }
    }

    /// More may have been done than these tokens.
    fn held(self, input: u64, output: u64) -> Self {
        Self { clamped: true, amount: Some(1_000_000), ..self.estimated(input, output) }
    }

    fn compare(self, written: &Written, took: Duration) {
        let Written { user_id, team_id, key_id, finish } = written;
        assert_eq!((user_id.as_str(), *team_id, *key_id), ("olga", Some(TEAM), Some(KEY)));
        let Finish {
            request_id,
            client_request_id,
            endpoint,
            model,
            answered_by,
            provider,
            stream,
            ending,
            status,
            usage,
            estimated,
            clamped,
            settlement,
            latency,
            first_byte,
            record,
        } = &**finish;
        assert_eq!(*request_id, REQUEST);
        assert_eq!(client_request_id.as_deref(), Some("call-of-olga"));
        assert_eq!((*endpoint, model.as_str()), (Endpoint::ChatCompletions, "small"));
        assert_eq!(answered_by.as_deref(), self.answered_by);
        assert_eq!(provider.as_deref(), self.provider);
        assert_eq!((*stream, *ending, *status), (self.stream, self.ending, self.status));
        assert_eq!((*usage, *estimated, *clamped), (self.usage, self.estimated, self.clamped));
        let expected = self.amount.map(|nanos| Settlement {
            amount: Credits::from_nanos(nanos),
            tokens: if self.clamped { 500 } else { i64::try_from(self.usage.total()).unwrap() },
            price_id: price().price_id,
            markup_bps: 0,
            release: self.release,
        });
        assert_eq!(*settlement, expected);
        // At least what the provider took, and at most what the whole call took as measured here.
        assert!((STEP * self.end..=took).contains(latency), "{latency:?} of {took:?}");
        match (*first_byte, self.first_byte) {
            (None, None) => {}
            (Some(found), Some(steps)) => {
                assert!((STEP * steps..=*latency).contains(&found), "{found:?} of {latency:?}");
            }
            differ => panic!("{differ:?}"),
        }
        let request = Some(self.request.to_owned());
        let kept = Record { request, response: Some(self.response), truncated: false };
        assert_eq!(*record, Some(kept));
    }
}

/// A memory store behind a call layer, and a provider that does what each test says.
struct Desk {
    store: MemoryStore,
    switch: KillSwitch,
    began: std::time::Instant,
}

impl Desk {
    fn new() -> Self {
        let store = MemoryStore::default();
        store.create_organization(ORGANIZATION);
        store.grant_credits(ORGANIZATION, Credits::from_nanos(1_000_000_000)).unwrap();
        Self { store, switch: KillSwitch::default(), began: std::time::Instant::now() }
    }

    fn layer(&self) -> CallLayer {
        let finisher = Finisher::new(self.store.clone(), 16);
        CallLayer::new(finisher).kill_switch(self.switch.clone())
    }

    fn request(body: &'static str) -> Request<Full<Bytes>> {
        Self::request_of(Full::from(body))
    }

    fn request_of<B>(body: B) -> Request<B> {
        let tenant = Tenant::new(ORGANIZATION, "olga").with_team(TEAM).with_key(KEY);
        Request::post("/v1/chat/completions")
            .header("x-request-id", "call-of-olga")
            .extension(tenant)
            .extension(ARRIVAL)
            .body(body)
            .unwrap()
    }

    /// The only finish, and how long the call took.
    async fn written(&self) -> (Written, Duration) {
        loop {
            let written = self.store.written(ORGANIZATION).unwrap();
            if let [one] = &written[..] {
                return (one.clone(), self.began.elapsed());
            }
            assert!(written.is_empty(), "a call ends exactly once");
            tokio::task::yield_now().await;
        }
    }

    async fn compare(&self, expected: Expected) {
        let (written, took) = self.written().await;
        expected.compare(&written, took);
    }

    /// A call whose provider takes a hold and gives this answer after one step.
    async fn answered(
        &self,
        body: &'static str,
        disconnect: Disconnect,
        answer: Response<TestBody>,
    ) -> Response<CallBody<std::io::Error>> {
        let answer = Arc::new(Mutex::new(Some(answer)));
        let provider = service_fn(move |request: Request<RequestBody>| {
            hold(&request, disconnect);
            let answer = Arc::clone(&answer);
            async move {
                std::thread::sleep(STEP);
                let mut answer = answer.lock().unwrap().take().unwrap();
                answer.extensions_mut().insert(crate::context::ServedBy("azure".into()));
                Ok::<_, Infallible>(answer)
            }
        });
        self.layer().layer_over(provider).oneshot(Self::request(body)).await.unwrap()
    }
}

/// A stream of these events, one step for each, that stays open until its sender is dropped.
async fn saying(
    events: &[&'static str],
) -> (mpsc::Sender<std::io::Result<Bytes>>, Response<TestBody>) {
    let (sender, answer) = stream();
    for event in events {
        sender.send(Ok(Bytes::from_static(event.as_bytes()))).await.unwrap();
    }
    (sender, answer)
}

#[tokio::test]
async fn a_whole_answer() {
    let desk = Desk::new();
    let answer = desk.answered(CHAT, Disconnect::Drain, json(ANSWER)).await;
    assert_eq!(text(answer.into_body()).await, ANSWER);
    desk.compare(Expected::whole()).await;
}

#[tokio::test]
async fn a_whole_answer_to_a_call_whose_body_comes_slowly() {
    let desk = Desk::new();
    let provider = service_fn(|request: Request<RequestBody>| {
        hold(&request, Disconnect::Drain);
        let mut answer = json(ANSWER);
        answer.extensions_mut().insert(crate::context::ServedBy("azure".into()));
        async move { Ok::<_, Infallible>(answer) }
    });
    let frames = futures_util::stream::once(Box::pin(async {
        std::thread::sleep(STEP);
        Ok::<_, std::io::Error>(Frame::data(Bytes::from_static(CHAT.as_bytes())))
    }));
    let request = Desk::request_of(StreamBody::new(frames));
    drop(desk.layer().layer_over(provider).oneshot(request).await.unwrap());
    desk.compare(Expected::whole()).await;
}

#[tokio::test]
async fn a_whole_answer_with_tokens_of_every_class() {
    let desk = Desk::new();
    drop(desk.answered(CHAT, Disconnect::Drain, json(EVERY_CLASS)).await);
    let usage = Usage {
        input: 48,
        cached_read: 7,
        cache_write_5m: 5,
        output: 11,
        reasoning: 2,
        ..Usage::default()
    };
    // Only input and output have prices here.
    let amount = Some(48 * 1_000 + 11 * 2_000);
    let response = EVERY_CLASS.to_owned();
    desk.compare(Expected { usage, amount, response, ..Expected::whole() }).await;
}

#[tokio::test]
async fn a_stream() {
    let desk = Desk::new();
    let (sender, answer) = saying(&[DELTA, STOP, USAGE]).await;
    let mut body = desk.answered(CHAT_STREAM, Disconnect::Drain, answer).await.into_body();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), DELTA);
    std::thread::sleep(STEP);
    sender.send(Ok(DONE.into())).await.unwrap();
    assert_eq!(text(body).await, [STOP, DONE].concat());
    desk.compare(Expected::streamed()).await;
}

#[tokio::test]
async fn a_refusal_by_the_provider() {
    for body in [CHAT, CHAT_STREAM] {
        let desk = Desk::new();
        let mut answer = json(NO);
        *answer.status_mut() = http::StatusCode::TOO_MANY_REQUESTS;
        drop(desk.answered(body, Disconnect::Drain, answer).await);
        let (ending, response) = (Ending::Failed, NO.to_owned());
        let refused =
            Expected { ending, status: 429, response, request: body, ..Expected::whole() };
        desk.compare(refused.nothing()).await;
    }
}

/// A layer further in than the audit layer may still refuse a call without a hold.
#[tokio::test]
async fn a_refusal_of_ours_behind_the_audit_layer() {
    let desk = Desk::new();
    let refuse = service_fn(|request: Request<RequestBody>| async move {
        let call = Call::of(&request).unwrap();
        call.keep(Keeping { keep: Keep::Full, capture_bytes_max: 1 << 20 });
        let refusal = Refusal::ModelNotAllowed("small".into());
        let mut answer = refusal.answer::<_, Full<Bytes>>(&request);
        answer.extensions_mut().insert(crate::context::ServedBy("azure".into()));
        Ok::<_, Infallible>(answer)
    });
    let answer = desk.layer().layer_over(refuse).oneshot(Desk::request(CHAT)).await.unwrap();
    let response = text(answer.into_body()).await;
    assert!(response.contains("model_not_allowed"), "{response}");
    let refused = Expected { ending: Ending::Refused, status: 403, response, ..Expected::whole() };
    let nothing = Expected { amount: None, end: 0, first_byte: Some(0), ..refused.nothing() };
    desk.compare(Expected { release: false, ..nothing }).await;
}

#[tokio::test]
async fn an_answer_that_is_withheld() {
    let desk = Desk::new();
    let answer = desk.answered(CHAT, Disconnect::Drain, json("<html>")).await;
    let response = text(answer.into_body()).await;
    assert!(response.contains("provider_failed"), "{response}");
    let (ending, status) = (Ending::Failed, 502);
    let withheld = Expected { ending, status, response, ..Expected::whole() };
    desk.compare(Expected { answered_by: None, ..withheld.held(INPUT_COUNTED, 0) }).await;
}

#[tokio::test]
async fn a_stream_that_is_cut() {
    let desk = Desk::new();
    let (sender, answer) = saying(&[DELTA]).await;
    let mut body = desk.answered(CHAT_STREAM, Disconnect::Drain, answer).await.into_body();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), DELTA);
    std::thread::sleep(STEP);
    desk.switch.cut(ORGANIZATION, &Switches::from_iter([Switch::Organization]));
    drop(sender);
    let last = text(body).await;
    assert!(last.contains("organization_suspended"), "{last}");
    let response = [DELTA, &last].concat();
    let cut = Expected { ending: Ending::Cut, response, ..Expected::streamed() };
    desk.compare(cut.estimated(INPUT_COUNTED, 2)).await;
}

#[tokio::test]
async fn a_call_that_is_cut_before_its_answer() {
    let desk = Desk::new();
    let waiting = service_fn(|request: Request<RequestBody>| {
        hold(&request, Disconnect::Drain);
        std::future::pending::<Result<Response<TestBody>, Infallible>>()
    });
    let gateway = desk.layer().drain_max(Duration::ZERO).layer_over(waiting);
    let mut call = task::spawn(gateway.oneshot(Desk::request(CHAT)));
    assert_pending!(call.poll());
    std::thread::sleep(STEP);
    desk.switch.cut(ORGANIZATION, &Switches::from_iter([Switch::Organization]));
    let response = text(call.await.unwrap().into_body()).await;
    assert!(response.contains("organization_suspended"), "{response}");
    let cut = Expected { ending: Ending::Cut, status: 403, response, ..Expected::whole() };
    let cut = Expected { answered_by: None, provider: None, ..cut.held(INPUT_COUNTED, 0) };
    desk.compare(cut).await;
}

#[tokio::test]
async fn a_stream_that_is_read_on_without_its_client() {
    let desk = Desk::new();
    let (sender, answer) = saying(&[DELTA]).await;
    let mut body = desk.answered(CHAT_STREAM, Disconnect::Drain, answer).await.into_body();
    drop(body.frame().await);
    drop(body);
    std::thread::sleep(STEP);
    for event in [STOP, USAGE, DONE] {
        sender.send(Ok(event.into())).await.unwrap();
    }
    desk.compare(Expected { ending: Ending::Abandoned, ..Expected::streamed() }).await;
}

#[tokio::test]
async fn a_stream_that_is_given_up_with_its_client() {
    let desk = Desk::new();
    let (sender, answer) = saying(&[DELTA]).await;
    let mut body = desk.answered(CHAT_STREAM, Disconnect::Cancel, answer).await.into_body();
    drop(body.frame().await);
    std::thread::sleep(STEP);
    drop(body);
    drop(sender);
    let left =
        Expected { ending: Ending::Abandoned, response: DELTA.into(), ..Expected::streamed() };
    desk.compare(left.estimated(INPUT_COUNTED, 2)).await;
}

#[tokio::test]
async fn a_call_that_is_given_up_before_its_answer() {
    let desk = Desk::new();
    let waiting = service_fn(|request: Request<RequestBody>| {
        hold(&request, Disconnect::Cancel);
        std::future::pending::<Result<Response<TestBody>, Infallible>>()
    });
    let gateway = desk.layer().drain_max(Duration::ZERO).layer_over(waiting);
    let mut call = task::spawn(gateway.oneshot(Desk::request(CHAT)));
    assert_pending!(call.poll());
    std::thread::sleep(STEP);
    drop(call);
    let left = Expected { ending: Ending::Abandoned, status: 499, ..Expected::whole() };
    let left = Expected { response: String::new(), ..left.held(INPUT_COUNTED, 0) };
    desk.compare(Expected { answered_by: None, provider: None, first_byte: None, ..left }).await;
}
