//! One call, with the values that the test knows before it and those that its client sees.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use serde_json::json;
use tokio::time::sleep;
use tollgate::{
    domain::{
        dialect::Dialect,
        ids::{KeyId, RequestId, TeamId},
        policy::Policy,
    },
    gateway::issuer::Grant,
    provider::mock::MockProvider,
};
use tower::ServiceExt;
use uuid::Uuid;

use super::super::harness::{Ask, Client, Columns, House, Org, RICH, until};

pub(super) const TEAM: Uuid = Uuid::from_u128(0x7ea3);
pub(super) const KEY: Uuid = Uuid::from_u128(0x6e1);
/// How long the provider takes before its head, in milliseconds.
pub(super) const LATENCY: i64 = 120;
/// The table that repeats the figures and keeps what was said, and what it has beside them.
const KEPT: [&str; 3] = ["request", "response", "truncated"];

/// An organization of its own for one call, and what is known of the call before it.
pub(super) struct Case {
    pub(super) caller: Org,
    pub(super) ask: Ask,
    pub(super) price: Uuid,
    pub(super) begun: Instant,
    pub(super) begun_ms: i64,
    /// What the client got of the answer's body, and when the first of it was there.
    pub(super) got: Vec<u8>,
    pub(super) first: Duration,
}

/// This machine's clock, in milliseconds since 1970.
pub(super) fn now_ms() -> i64 {
    RequestId::generate().arrived_ms()
}

pub(super) fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap()
}

pub(super) fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

impl Case {
    pub(super) async fn new(house: &House, policy: Policy, ask: Ask) -> Self {
        let org = house.organization_with(RICH, policy).await;
        let mut grant = Grant::new(org.id, "olga");
        (grant.team_id, grant.key_id) = (Some(TeamId::new(TEAM)), Some(KeyId::new(KEY)));
        let price = "select price_id from tollgate.prices where model = 'small'";
        let price = house.admin.query_one(price, &[]).await.unwrap().get(0);
        Self {
            caller: house.somebody(&grant),
            ask: ask.mock("latency-ms", LATENCY),
            price,
            begun: Instant::now(),
            begun_ms: now_ms(),
            got: Vec::new(),
            first: Duration::ZERO,
        }
    }

    /// Sends the call, its body a while behind its head.
    pub(super) async fn send(&mut self, house: &House, pause: Duration) -> Client {
        let body = self.ask.body();
        let mut client = house.client().await;
        (self.begun, self.begun_ms) = (Instant::now(), now_ms());
        client.send(self.ask.head(&self.caller.token, body.len()).as_bytes()).await;
        sleep(pause).await;
        client.send(body.as_bytes()).await;
        client
    }

    /// The whole answer, with the moment at which the first of its body was there.
    pub(super) async fn answer(&mut self, client: &mut Client, status: u16) {
        let head = client.head().await.unwrap();
        assert_eq!(head.status, status);
        if head.headers.contains_key("content-length") {
            self.first = self.begun.elapsed();
            self.got = client.rest(head).await.body;
            return;
        }
        self.got = chunk(client).await;
        self.first = self.begun.elapsed();
        let rest = client.rest(head).await;
        assert!(rest.whole);
        self.got.extend(rest.body);
    }

    /// The row's id, which is the only one of this organization's.
    pub(super) async fn request(&self, house: &House) -> Uuid {
        let sql = "select request_id from tollgate.usage where organization_id = $1";
        let id = self.caller.id.as_uuid();
        let found = async || house.admin.query(sql, &[&id]).await.unwrap();
        until("the call is written", async || !found().await.is_empty()).await;
        found().await[0].get(0)
    }

    /// What a call that came to its end, whole, has in each column of the audit log. The figures are this test's.
    pub(super) async fn whole(&self, house: &House, pause: Duration) -> Columns {
        let openai = self.ask.dialect == Dialect::OpenAi;
        let request = self.request(house).await;
        let arrived = RequestId::from_uuid(request).arrived_ms();
        assert!((self.begun_ms..=now_ms()).contains(&arrived), "{arrived}");
        // Nothing is before the provider's head, and nothing behind what was seen of it here.
        let (least, most) = (LATENCY + millis(pause), millis(self.begun.elapsed()));
        let (plain, reasoning) = if openai { (30, 10) } else { (40, 0) };
        let cost = 260 * 1_000 + 200 * 100 + 100 * 1_250 + plain * 4_000 + reasoning * 6_000;
        Columns::default()
            .with("organization_id", self.caller.id.to_string())
            .with("arrived_at", arrived)
            .with("request_id", request.to_string())
            .between("recorded_at", self.begun_ms, now_ms())
            .with("user_id", "olga")
            .with("team_id", TEAM.to_string())
            .with("key_id", KEY.to_string())
            .with("client_request_id", json!(null))
            .with("endpoint", if openai { "chat_completions" } else { "messages" })
            .with("model", "small")
            .with("answered_by", "small")
            .with("provider", if openai { "mock-openai" } else { "mock-anthropic" })
            .with("stream", self.ask.stream)
            .with("ending", "complete")
            .with("status", 200)
            .with("input_tokens", 260)
            .with("cached_read_tokens", 200)
            .with("cache_write_5m_tokens", 100)
            .with("cache_write_1h_tokens", 0)
            .with("output_tokens", plain)
            .with("reasoning_tokens", reasoning)
            .with("estimated", false)
            .with("clamped", false)
            .with("cost", cost)
            .with("price_id", self.price.to_string())
            .with("markup_bps", 0)
            .between("latency_ms", least, most)
            .between("first_byte_ms", least, millis(self.first))
            .with("request", self.ask.body())
            .with("response", text(&self.got))
            .with("truncated", false)
    }

    pub(super) async fn reads_back(&self, house: &House, expected: Columns) {
        let id = self.caller.id.as_uuid();
        house.reads_back("tollgate.audit_events", id, &expected).await;
        house.reads_back("tollgate.usage", id, &expected.without(&KEPT)).await;
    }
}

/// The first chunk of a stream's body.
pub(super) async fn chunk(client: &mut Client) -> Vec<u8> {
    let line = client.read_to(b"\r\n").await;
    let size = usize::from_str_radix(text(&line).trim_end(), 16).unwrap();
    let mut chunk = client.read(size + 2).await;
    chunk.truncate(size);
    chunk
}

/// What the provider says to this call, by another one like it, which is asked past the gateway; without the usage
/// that the gateway asks for on its own.
pub(super) async fn provider_says(ask: &Ask, request: Uuid) -> String {
    let mut ask = ask.clone();
    ask.headers.retain(|(name, _)| !["x-mock-hang", "x-request-id"].contains(&name.as_str()));
    if ask.stream && ask.dialect == Dialect::OpenAi {
        ask = ask.field("stream_options", json!({"include_usage": true}));
    }
    let mut asked = Request::post(ask.path()).header("x-request-id", request.to_string());
    for (name, value) in &ask.headers {
        asked = asked.header(name, value);
    }
    let asked = asked.body(Full::<Bytes>::from(ask.body())).unwrap();
    let answer = MockProvider::new().oneshot(asked).await.unwrap();
    let said = answer.into_body().collect().await.unwrap().to_bytes();
    let events = text(&said).split_inclusive("\n\n");
    events.filter(|event| !event.contains("\"choices\":[]")).collect()
}
