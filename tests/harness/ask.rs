//! A call as a client sends it, byte for byte, and its true cost.

use std::fmt::Display;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use serde_json::{Value, json};
use tollgate::{
    domain::{
        credits::Credits,
        dialect::Dialect,
        endpoint::{Endpoint, Prompt},
        ids::PriceId,
        price::{ModelPrice, Rates, Tier},
    },
    provider::mock::Served,
};
use uuid::Uuid;

use super::logs;

/// The model that has a price.
pub(crate) const MODEL: &str = "small";
pub(crate) const BOTH: [Dialect; 2] = [Dialect::OpenAi, Dialect::Anthropic];

/// Nano-dollars a token, each class another.
const INPUT: i64 = 1_000;
const CACHED: i64 = 100;
const CACHE_WRITE: i64 = 1_250;
const OUTPUT: i64 = 4_000;
const REASONING: i64 = 6_000;

pub(crate) fn price() -> ModelPrice {
    let per_million = |nanos: i64| nanos * 1_000_000;
    let rates = Rates {
        input: per_million(INPUT),
        cached_read: per_million(CACHED),
        cache_write_5m: per_million(CACHE_WRITE),
        cache_write_1h: per_million(2 * CACHE_WRITE),
        output: per_million(OUTPUT),
        reasoning: per_million(REASONING),
    };
    ModelPrice {
        price_id: PriceId::new(Uuid::nil()),
        model: MODEL.into(),
        provider: "mock".into(),
        mode: "chat".into(),
        per_request: Credits::ZERO,
        tiers: vec![Tier { from_input_tokens: 0, rates }],
        input_tokens_max: None,
        output_tokens_max: Some(1_000),
    }
}

/// What the provider's own count comes to.
pub(crate) fn cost(served: &Served) -> i64 {
    let [input, cached, written, output, reasoning] = [
        served.input_tokens,
        served.cached_tokens,
        served.cache_write_tokens,
        served.output_tokens,
        served.reasoning_tokens,
    ]
    .map(|tokens| i64::try_from(tokens).unwrap());
    (input - cached - written) * INPUT
        + cached * CACHED
        + written * CACHE_WRITE
        + (output - reasoning) * OUTPUT
        + reasoning * REASONING
}

/// What this much input and output comes to.
pub(crate) fn plain_cost(input: u64, output: u64) -> i64 {
    cost(&Served { input_tokens: input, output_tokens: output, ..Served::default() })
}

/// One call.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub(crate) dialect: Dialect,
    pub(crate) endpoint: Endpoint,
    pub(crate) stream: bool,
    pub(crate) content: String,
    pub(crate) max_tokens: u64,
    pub(crate) model: String,
    pub(crate) extra: Vec<(String, Value)>,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) query: &'static str,
}

impl Ask {
    pub(crate) fn of(dialect: Dialect) -> Self {
        let endpoint = match dialect {
            Dialect::OpenAi => Endpoint::ChatCompletions,
            Dialect::Anthropic => Endpoint::Messages,
        };
        Self {
            dialect,
            endpoint,
            stream: false,
            content: "walnut".into(),
            max_tokens: 64,
            model: MODEL.into(),
            extra: Vec::new(),
            headers: Vec::new(),
            query: "",
        }
    }

    pub(crate) fn chat() -> Self {
        Self::of(Dialect::OpenAi)
    }

    pub(crate) fn completion() -> Self {
        Self { endpoint: Endpoint::Completions, ..Self::chat() }
    }

    pub(crate) fn streamed(self) -> Self {
        Self { stream: true, ..self }
    }

    pub(crate) fn saying(self, content: impl Into<String>) -> Self {
        let content = content.into();
        logs::secret(&content);
        Self { content, ..self }
    }

    pub(crate) fn at_most(self, max_tokens: u64) -> Self {
        Self { max_tokens, ..self }
    }

    pub(crate) fn model(self, model: &str) -> Self {
        Self { model: model.into(), ..self }
    }

    pub(crate) fn field(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.extra.push((name.into(), value.into()));
        self
    }

    pub(crate) fn header(mut self, name: &str, value: impl Display) -> Self {
        self.headers.push((name.into(), value.to_string()));
        self
    }

    /// What the mock is to do: `x-mock-…`.
    pub(crate) fn mock(self, option: &str, value: impl Display) -> Self {
        self.header(&format!("x-mock-{option}"), value)
    }

    pub(crate) const fn path(&self) -> &'static str {
        self.endpoint.spec().path
    }

    pub(crate) fn body(&self) -> String {
        let mut body = json!({
            "model": self.model,
            "max_tokens": self.max_tokens,
            "stream": self.stream,
        });
        let prompt = self.endpoint.spec().prompt;
        body[prompt.field()] = match prompt {
            Prompt::Messages => json!([{"role": "user", "content": self.content}]),
            Prompt::Inputs | Prompt::Prompts => json!(self.content),
        };
        for (name, value) in &self.extra {
            body[name.as_str()] = value.clone();
        }
        body.to_string()
    }

    /// The head, with this much body announced.
    pub(crate) fn head(&self, token: &str, length: usize) -> String {
        let mut head = format!(
            "POST {}{} HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {token}\r\n\
             content-type: application/json\r\ncontent-length: {length}\r\n",
            self.path(),
            self.query,
        );
        for (name, value) in &self.headers {
            head.extend([name, ": ", value, "\r\n"]);
        }
        head + "\r\n"
    }

    /// As a library sends it.
    pub(crate) fn request(&self, token: &str) -> Request<Full<Bytes>> {
        let mut request = Request::post(format!("http://gateway{}", self.path()))
            .header("authorization", format!("Bearer {token}"))
            .header("content-type", "application/json");
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        request.body(Full::from(self.body())).unwrap()
    }

    pub(crate) fn bytes(&self, token: &str) -> Vec<u8> {
        let body = self.body();
        (self.head(token, body.len()) + &body).into_bytes()
    }
}
