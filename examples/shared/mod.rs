//! The common parts of both server examples: an issuer, a store with one organization, and a client.

use std::{error::Error, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tollgate::{
    Stack,
    call::Finisher,
    client::HttpClient,
    domain::{
        credits::Credits,
        ids::{OrganizationId, PriceId},
        price::{ModelPrice, PriceBook, Rates, Tier},
        role::Role,
    },
    gateway::issuer::{DevIssuer, Grant},
    stack,
    store::{MemoryStore, Policies, Prices},
    tenant::{KeySource, Verifier, VerifierConfig},
};
use uuid::Uuid;

/// The stack, its store and finisher, one organization, and a token of its owner.
pub(crate) struct Setup {
    pub(crate) stack: Stack,
    pub(crate) store: MemoryStore,
    pub(crate) finisher: Finisher,
    pub(crate) organization: OrganizationId,
    pub(crate) token: String,
}

/// One organization with a dollar, one model, and a token of its owner.
pub(crate) fn set_up() -> Result<Setup, Box<dyn Error>> {
    let issuer = DevIssuer::ephemeral("https://issuer.example", "my-gateway")?;
    let config = VerifierConfig {
        role_claim: Some("/role".to_owned()),
        ..VerifierConfig::new("https://issuer.example", "my-gateway")
    };
    let verifier = Verifier::new(config, KeySource::fixed(issuer.jwks()))?;

    let prices = PriceBook::new([small()]);
    let store = MemoryStore::new(prices.clone());
    let organization = OrganizationId::new(Uuid::now_v7());
    store.create_organization(organization);
    store.grant_credits(organization, "1".parse()?)?;
    let grant = Grant { role: Some(Role::Owner), ..Grant::new(organization, "ada") };
    let token = issuer.issue(&grant)?.token;

    let finisher = Finisher::new(store.clone(), 1_000);
    let policies = Policies::cached(Arc::new(store.clone()), Duration::from_secs(30));
    let stack = stack(verifier, policies, Prices::new(prices), store.clone(), finisher.clone());
    Ok(Setup { stack, store, finisher, organization, token })
}

/// 15 cents for a million input tokens, 60 for a million output tokens.
fn small() -> ModelPrice {
    let rates = Rates { input: 150_000_000, output: 600_000_000, ..Rates::default() };
    ModelPrice {
        price_id: PriceId::new(Uuid::nil()),
        model: "small".into(),
        provider: "ours".into(),
        mode: "chat".into(),
        per_request: Credits::ZERO,
        tiers: vec![Tier { from_input_tokens: 0, rates }],
        input_tokens_max: None,
        output_tokens_max: Some(1_000),
    }
}

/// Makes a call as any client would.
pub(crate) async fn chat(
    address: SocketAddr,
    token: &str,
    model: &str,
) -> Result<Response<Bytes>, Box<dyn Error>> {
    let body = format!(r#"{{"model":"{model}","messages":[{{"role":"user","content":"hello"}}]}}"#);
    let request = Request::post(format!("http://{address}/v1/chat/completions"))
        .header("authorization", format!("Bearer {token}"))
        .header("content-type", "application/json")
        .body(Full::from(body))?;
    Ok(HttpClient::default().fetch(request, 1 << 20, Duration::from_secs(10)).await?)
}

/// An answer of the team's own model, in the shape that clients and the gateway's meter read.
pub(crate) fn answer(model: &str, text: &str) -> String {
    serde_json::json!({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 0, "model": model,
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 3, "total_tokens": 13},
    })
    .to_string()
}
