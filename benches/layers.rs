//! The time that each layer adds to a call: `cargo bench --bench layers`, less than a minute. A word after `--` picks
//! the rows whose names contain it.
//!
//! Two services are called in turns, batch by batch, in one run on one thread: the bare inner service, and the same
//! service behind a layer. The figure is the median of the differences, in nanoseconds a call. Making requests with
//! their extensions and reading answers costs both sides the same.
//!
//! If the model's tokenizer is not public ("small"), the input is bounded by its bytes; else its tokens are counted.
//! The rows with a text show what the counting costs.
//!
//! The columns are `1` and `100k`: one organization, and 100,000 organizations in turn. Only work in memory is
//! measured; `MemoryStore` takes the place of the database.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a bench: it may panic, it prints, and its indices go round"
)]

use std::{
    collections::VecDeque,
    convert::Infallible,
    num::NonZeroU32,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use aws_lc_rs::{
    rand::SystemRandom,
    rsa::{KeyPair, KeySize},
    signature::{KeyPair as _, RSA_PKCS1_SHA256},
};
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use bytes::Bytes;
use http::{Request, Response, header};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full};
use serde_json::json;
use tollgate::{
    Call, Tenant,
    audit::AuditLayer,
    call::{CallLayer, Finisher, KillSwitch},
    credit::CreditLayer,
    domain::{
        credits::Credits,
        ids::{OrganizationId, PriceId},
        policy::{self, RateLimit},
        price::{ModelPrice, PriceBook, Rates, Tier},
        role::Role,
        scope::Scope,
    },
    limits::LimitsLayer,
    models::ModelsLayer,
    stack,
    store::{MemoryStore, Policies, PolicyStore, Prices, Standing, StoreFuture},
    tenant::{KeySource, TenantLayer, Verifier, VerifierConfig},
};
use tower::{Layer, Service, ServiceBuilder};

const BATCHES: usize = 600;
// Well below a scheduler's time slice, so that most batches are not interrupted on a busy machine.
const BATCH: usize = 25;
const MANY: usize = 100_000;
const NEW_TOKENS: usize = 200;
const CHUNKS: usize = 20;

type Caller = Request<Full<Bytes>>;

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    // Run in a task, as a server's connections do: a future that is only blocked on is woken by a system call.
    runtime.block_on(async { tokio::spawn(run()).await.unwrap() });
}

async fn run() {
    println!("{}", machine());
    println!("A chat call of 1 KB: nanoseconds that a layer adds, medians of {BATCHES} batches.");
    println!("{:<42}{:>12}{:>12}", "organizations", "1", "100,000");
    let (one, many) = (World::new(1).await, World::new(MANY).await);
    let worlds = [&one, &many];
    identity(&one).await;

    for (name, stream) in [("CallLayer, nothing to write", false), ("CallLayer, 20 chunks", true)] {
        if wanted(name) {
            row(name, &[compare(&CallLayer::metering(), |_| chat(stream)).await]);
        }
    }
    for (text, content) in TEXTS {
        for (how, model) in [("bytes", "small"), ("counted", "gpt-4o")] {
            let name = format!("CallLayer, 1 KB of {text}, {how}");
            if wanted(&name) {
                let added = compare(&CallLayer::metering(), |_| chat_of(model, content)).await;
                row(&name, &[added]);
            }
        }
    }
    let of = |_: &World| CallLayer::metering().kill_switch(KillSwitch::default());
    for (name, stream) in
        [("CallLayer, kill switch", false), ("CallLayer, kill switch, 20 chunks", true)]
    {
        each(worlds, name, of, |world, n| world.tenanted(n, stream)).await;
    }
    let of = |world: &World| ModelsLayer::new(world.policies.clone());
    each(worlds, "ModelsLayer", of, World::called).await;
    each(worlds, "LimitsLayer, all three limits", World::limits, World::called).await;
    let name = "LimitsLayer, six limits of each kind";
    if wanted(name) {
        let limited = [one.limited().await, many.limited().await];
        let of = |world: &World| limited[usize::from(world.tenants.len() > 1)].clone();
        each(worlds, name, of, World::called).await;
    }
    each(worlds, "CreditLayer, hold in memory", World::credit, World::called).await;
    let of = |world: &World| AuditLayer::new(world.policies.clone());
    each(worlds, "AuditLayer", of, World::called).await;
    let of = |world: &World| {
        ServiceBuilder::new()
            .layer(CallLayer::new(world.finisher.clone()).kill_switch(KillSwitch::default()))
            .layer(ModelsLayer::new(world.policies.clone()))
            .layer(world.limits())
            .layer(world.credit())
            .layer(AuditLayer::new(world.policies.clone()))
    };
    each(worlds, "all but TenantLayer", of, |world, n| world.tenanted(n, false)).await;
    each(worlds, "all but TenantLayer, 20 chunks", of, |world, n| world.tenanted(n, true)).await;
}

/// One row, with a column for each world.
async fn each<L, B>(
    worlds: [&World; 2],
    name: &str,
    layer: impl Fn(&World) -> L,
    request: impl Fn(&World, usize) -> Caller,
) where
    L: Layer<Provider>,
    L::Service: Service<Caller, Response = Response<B>, Error = Infallible>,
    B: Body<Data = Bytes>,
{
    if !wanted(name) {
        return;
    }
    let mut added = [Duration::ZERO; 2];
    for (added, world) in added.iter_mut().zip(worlds) {
        *added = compare(&layer(world), |n| request(world, n)).await;
    }
    row(name, &added);
}

/// Whether the command line asks for this row. By default it asks for all rows.
fn wanted(name: &str) -> bool {
    let mut words = std::env::args().skip(1).filter(|word| !word.starts_with('-')).peekable();
    words.peek().is_none() || words.any(|word| name.contains(&word))
}

/// The rows that need tokens.
async fn identity(world: &World) {
    let issuer = Issuer::new();
    let verifier = issuer.verifier();
    let organization = world.tenants[0].organization_id();
    let seen = issuer.token(organization, 0);
    let layer = TenantLayer::new(verifier.clone());
    let name = "TenantLayer, token seen before";
    if wanted(name) {
        row(name, &[compare(&layer, |_| signed(false, &seen)).await]);
    }
    // A token is only new once, so every batch is one call.
    let name = "TenantLayer, new token, RS256";
    if wanted(name) {
        let new: Vec<_> = (1..=NEW_TOKENS).map(|id| issuer.token(organization, id)).collect();
        let request = |n: usize| signed(false, &new[n % new.len()]);
        row(name, &[compare_batches(&layer, NEW_TOKENS, 1, request).await]);
    }
    let (policies, prices) = (world.policies.clone(), world.prices.clone());
    let stack = stack(verifier, policies, prices, world.store.clone(), world.finisher.clone());
    for (name, stream) in
        [("whole stack, token seen before", false), ("whole stack, 20 chunks", true)]
    {
        if wanted(name) {
            row(name, &[compare(&stack, |_| signed(stream, &seen)).await]);
        }
    }
}

/// The time that `layer` adds to a call of the provider.
async fn compare<L, B>(layer: &L, request: impl Fn(usize) -> Caller) -> Duration
where
    L: Layer<Provider>,
    L::Service: Service<Caller, Response = Response<B>, Error = Infallible>,
    B: Body<Data = Bytes>,
{
    compare_batches(layer, BATCHES, BATCH, request).await
}

async fn compare_batches<L, B>(
    layer: &L,
    batches: usize,
    batch: usize,
    request: impl Fn(usize) -> Caller,
) -> Duration
where
    L: Layer<Provider>,
    L::Service: Service<Caller, Response = Response<B>, Error = Infallible>,
    B: Body<Data = Bytes>,
{
    let (mut bare, mut layered) = (Provider, layer.layer(Provider));
    // Strides through the organizations, so that most of them are not in the processor's cache.
    let nth = |number: usize| request(number.wrapping_mul(7_919));
    if batch > 1 {
        time(&mut bare, batch, 0, &nth).await;
        time(&mut layered, batch, 0, &nth).await;
    }
    let mut differences = Vec::with_capacity(batches);
    for number in 0..batches {
        let first = number * batch;
        let without = time(&mut bare, batch, first, &nth).await;
        let with = time(&mut layered, batch, first, &nth).await;
        differences.push(with.saturating_sub(without) / u32::try_from(batch).unwrap());
    }
    differences.sort_unstable();
    differences[differences.len() / 2]
}

/// The time of a batch of calls, one after the other, each answer read to its end.
async fn time<S, B>(
    service: &mut S,
    calls: usize,
    first: usize,
    request: &impl Fn(usize) -> Caller,
) -> Duration
where
    S: Service<Caller, Response = Response<B>, Error = Infallible>,
    B: Body<Data = Bytes>,
{
    let requests: Vec<_> = (first..first + calls).map(request).collect();
    let started = Instant::now();
    for request in requests {
        std::future::poll_fn(|cx| service.poll_ready(cx)).await.unwrap();
        let answer = service.call(request).await.unwrap();
        assert_eq!(answer.status(), 200);
        let mut body = std::pin::pin!(answer.into_body());
        while let Some(frame) = body.frame().await {
            assert!(frame.is_ok());
        }
    }
    started.elapsed()
}

/// Organizations with credits and limits, and everything that layers ask a store about them.
struct World {
    tenants: Vec<Tenant>,
    store: MemoryStore,
    policies: Policies,
    prices: Prices,
    finisher: Finisher,
}

impl World {
    async fn new(organizations: usize) -> Self {
        let book = || PriceBook::new([price()]);
        let store = MemoryStore::new(book());
        let prices = Prices::cached(Arc::new(store.clone()), book(), Prices::TTL_MAX);
        let policies = Policies::cached(Arc::new(store.clone()), Policies::TTL_MAX);
        let rates = most();
        let mut tenants = Vec::with_capacity(organizations);
        for _ in 0..organizations {
            let id = OrganizationId::new(uuid::Uuid::new_v4());
            assert!(store.create_organization(id));
            store.grant_credits(id, Credits::from_nanos(1 << 60)).unwrap();
            store.set_policy(id, policy::Policy { rates, ..policy::Policy::default() }).unwrap();
            tenants.push(Tenant::new(id, "ada").with_role(Role::Member));
            policies.get(&tenants[tenants.len() - 1]).await.unwrap();
            prices.agreement(&tenants[tenants.len() - 1]).await.unwrap();
        }
        let finisher = Finisher::new(Arc::new(store.clone()), 1_024);
        Self { tenants, store, policies, prices, finisher }
    }

    fn limits(&self) -> LimitsLayer {
        LimitsLayer::new(self.policies.clone()).prices(self.prices.clone())
    }

    /// A layer with the policy's limits, and the limits of five further scopes.
    async fn limited(&self) -> LimitsLayer {
        let limit = |(scope, scope_id, model_pattern): (Scope, &str, &str)| RateLimit {
            scope,
            scope_id: scope_id.into(),
            model_pattern: model_pattern.into(),
            rates: most(),
        };
        let id = uuid::Uuid::new_v4().to_string();
        let rates = [
            (Scope::Organization, "", "*"),
            (Scope::Organization, "", "smal*"),
            (Scope::Team, &*id, "*"),
            (Scope::User, "auth0|65f0c1b2345a7890abcdef01", "*"),
            (Scope::Key, &*id, "*"),
        ];
        let rates = rates.into_iter().map(limit).collect();
        let store = Arc::new(Limited { store: self.store.clone(), rates });
        let policies = Policies::cached(store, Policies::TTL_MAX);
        for tenant in &self.tenants {
            policies.get(tenant).await.unwrap();
        }
        LimitsLayer::new(policies).prices(self.prices.clone())
    }

    fn credit(&self) -> CreditLayer {
        CreditLayer::new(self.store.clone(), self.policies.clone(), self.prices.clone())
    }

    /// A request as `CallLayer` gets it.
    fn tenanted(&self, n: usize, stream: bool) -> Caller {
        let mut request = chat(stream);
        request.extensions_mut().insert(self.tenants[n % self.tenants.len()].clone());
        request
    }

    /// A request as the layers inside `CallLayer` get it.
    fn called(&self, n: usize) -> Caller {
        let mut request = self.tenanted(n, false);
        request.extensions_mut().insert(Call::for_model("small"));
        request
    }
}

/// All three rates, never used up.
fn most() -> policy::Rates {
    let most = NonZeroU32::new(u32::MAX);
    policy::Rates { requests_per_minute: most, tokens_per_minute: most, calls_in_flight: most }
}

/// A store in which these limits apply to every organization.
struct Limited {
    store: MemoryStore,
    rates: Arc<[RateLimit]>,
}

impl PolicyStore for Limited {
    fn standing<'a>(&'a self, tenant: &'a Tenant) -> StoreFuture<'a, Standing> {
        Box::pin(async {
            let standing = self.store.standing(tenant).await?;
            Ok(Standing { rates: Arc::clone(&self.rates), ..standing })
        })
    }
}

fn price() -> ModelPrice {
    ModelPrice {
        price_id: PriceId::new(uuid::Uuid::nil()),
        model: "small".into(),
        provider: "bench".into(),
        mode: "chat".into(),
        per_request: Credits::ZERO,
        tiers: vec![Tier {
            from_input_tokens: 0,
            rates: Rates { input: 150_000_000, output: 600_000_000, ..Rates::default() },
        }],
        input_tokens_max: None,
        output_tokens_max: Some(1_000),
    }
}

const TEXTS: [(&str, &str); 6] = [
    ("english", include_str!("../tests/data/tokens/english.txt")),
    ("rust", include_str!("../tests/data/tokens/rust.rs.txt")),
    ("json", include_str!("../tests/data/tokens/json.txt")),
    ("chinese", include_str!("../tests/data/tokens/chinese.txt")),
    ("russian", include_str!("../tests/data/tokens/russian.txt")),
    ("emoji", include_str!("../tests/data/tokens/emoji.txt")),
];

/// A call as the vendor's own client writes it: the messages first, then the model.
fn chat_of(model: &str, text: &str) -> Caller {
    let content: String = text
        .chars()
        .scan(0, |bytes, character| {
            *bytes += character.len_utf8();
            (*bytes <= 1_000).then_some(character)
        })
        .collect();
    let content = json!(content);
    let body = format!(
        r#"{{"messages":[{{"role":"user","content":{content}}}],"model":"{model}","max_tokens":100}}"#
    );
    Request::post("/v1/chat/completions").body(Full::from(body)).unwrap()
}

fn chat(stream: bool) -> Caller {
    let content = "word ".repeat(180);
    let body = json!({
        "model": "small", "stream": stream, "max_tokens": 100,
        "messages": [{"role": "user", "content": content}],
    });
    let request = Request::post("/v1/chat/completions");
    request.header("x-bench-stream", stream.to_string()).body(Full::from(body.to_string())).unwrap()
}

fn signed(stream: bool, token: &str) -> Caller {
    let mut request = chat(stream);
    let value = format!("Bearer {token}").parse().unwrap();
    request.headers_mut().insert(header::AUTHORIZATION, value);
    request
}

/// Reads the request, and answers at once.
#[derive(Clone)]
struct Provider;

impl<B> Service<Request<B>> for Provider
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: std::fmt::Debug,
{
    type Response = Response<Chunks>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Chunks>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let stream = request.headers().get("x-bench-stream").is_some_and(|value| value == "true");
        Box::pin(async move {
            let mut body = std::pin::pin!(request.into_body());
            while let Some(frame) = body.frame().await {
                assert!(frame.is_ok());
            }
            let (kind, chunks) = if stream {
                ("text/event-stream", events())
            } else {
                ("application/json", whole())
            };
            Ok(Response::builder().header(header::CONTENT_TYPE, kind).body(Chunks(chunks)).unwrap())
        })
    }
}

const WHOLE: &str = r#"{"id":"1","object":"chat.completion","model":"small","choices":[{"index":0,"message":{"role":"assistant","content":"word word word"},"finish_reason":"stop"}],"usage":{"prompt_tokens":190,"completion_tokens":20,"total_tokens":210}}"#;
const CHUNK: &str = "data: {\"id\":\"1\",\"object\":\"chat.completion.chunk\",\"model\":\"small\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"word \"}}],\"usage\":null}\n\n";
const USAGE: &str = "data: {\"id\":\"1\",\"object\":\"chat.completion.chunk\",\"model\":\"small\",\"choices\":[],\"usage\":{\"prompt_tokens\":190,\"completion_tokens\":20,\"total_tokens\":210}}\n\n";
const DONE: &str = "data: [DONE]\n\n";

fn whole() -> VecDeque<Bytes> {
    VecDeque::from([Bytes::from_static(WHOLE.as_bytes())])
}

fn events() -> VecDeque<Bytes> {
    let mut events = VecDeque::from(vec![Bytes::from_static(CHUNK.as_bytes()); CHUNKS]);
    events.extend([Bytes::from_static(USAGE.as_bytes()), Bytes::from_static(DONE.as_bytes())]);
    events
}

struct Chunks(VecDeque<Bytes>);

impl Body for Chunks {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop_front().map(|chunk| Ok(Frame::data(chunk))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }
}

/// Signs tokens with a key of its own.
struct Issuer(KeyPair);

impl Issuer {
    fn new() -> Self {
        Self(KeyPair::generate(KeySize::Rsa2048).unwrap())
    }

    fn verifier(&self) -> Verifier {
        let public = self.0.public_key();
        let encode = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
        let keys = json!({"keys": [{
            "kty": "RSA", "use": "sig", "alg": "RS256", "kid": "bench",
            "n": encode(public.modulus().big_endian_without_leading_zero()),
            "e": encode(public.exponent().big_endian_without_leading_zero()),
        }]});
        let config = VerifierConfig::new("issuer", "tollgate");
        Verifier::new(config, KeySource::fixed(keys.to_string())).unwrap()
    }

    fn token(&self, organization: OrganizationId, id: usize) -> String {
        let encode = |text: String| BASE64_URL_SAFE_NO_PAD.encode(text);
        let head = encode(json!({"alg": "RS256", "typ": "JWT", "kid": "bench"}).to_string());
        let claims = encode(
            json!({
                "iss": "issuer", "aud": "tollgate", "sub": "ada", "jti": id.to_string(),
                "organization_id": organization.to_string(), "exp": 4_102_444_800_u64,
            })
            .to_string(),
        );
        let signed = format!("{head}.{claims}");
        let mut signature = vec![0; self.0.public_modulus_len()];
        let random = SystemRandom::new();
        self.0.sign(&RSA_PKCS1_SHA256, &random, signed.as_bytes(), &mut signature).unwrap();
        format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
    }
}

fn row(name: &str, added: &[Duration]) {
    print!("{name:<42}");
    for added in added {
        print!("{:>12}", added.as_nanos());
    }
    println!();
}

fn machine() -> String {
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or(std::env::consts::ARCH, |(_, model)| model);
    format!("{cpus} × {model}, {}; one thread used", std::env::consts::OS)
}
