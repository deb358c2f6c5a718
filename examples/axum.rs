//! The whole stack in front of a team's own axum service.
//!
//! `cargo run --example axum --features axum` serves it on a free port, makes two calls and checks
//! the books. With Postgres, `PostgresStore` takes the place of `MemoryStore`.
//!
//! It prints:
//! ```text
//! 200 OK {"choices":[{"finish_reason":"stop","index":0,"message":{"content":"hello ada","role":"assistant"}}],"created":0,"id":"chatcmpl-1","model":"small","object":"chat.completion","usage":{"completion_tokens":3,"prompt_tokens":10,"total_tokens":13}}
//! 403 Forbidden {"error":{"code":"model_not_allowed","message":"The model `large` may not be used by this organization. GET /v1/models lists those that may.","param":"model","type":"permission_error"}}
//! balance: 0.9999967 dollars
//! ```

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

mod shared;

use std::error::Error;

use axum::{Router, http::header::CONTENT_TYPE, response::IntoResponse, routing::post};
use tokio::net::TcpListener;
use tollgate::{Call, Tenant, domain::credits::Credits};

/// The team's own service. When it is called, the caller is known, the model is allowed and the credits are held.
async fn chat(tenant: Tenant, call: Call) -> impl IntoResponse {
    let text = format!("hello {}", tenant.user_id());
    ([(CONTENT_TYPE, "application/json")], shared::answer(&call.facts().model, &text))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let setup = shared::set_up()?;
    let app = Router::new().route("/v1/chat/completions", post(chat)).layer(setup.stack);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let server = tokio::spawn(async move { axum::serve(listener, app).await });

    let answer = shared::chat(address, &setup.token, "small").await?;
    println!("{} {}", answer.status(), String::from_utf8_lossy(answer.body()));
    assert_eq!(answer.status(), 200);
    let refused = shared::chat(address, &setup.token, "large").await?;
    println!("{} {}", refused.status(), String::from_utf8_lossy(refused.body()));
    assert_eq!(refused.status(), 403);

    server.abort();
    setup.finisher.close().await;
    // 10 × 150 + 3 × 600 nano-dollars of one dollar
    let balance = setup.store.balance(setup.organization)?;
    assert_eq!(balance.posted, Credits::from_nanos(1_000_000_000 - 3_300));
    assert_eq!(balance.held, Credits::ZERO);
    println!("balance: {} dollars", balance.posted);
    Ok(())
}
