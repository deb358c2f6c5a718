//! The whole stack in front of a team's own hyper service, without a framework.
//!
//! `cargo run --example hyper` serves it on a free port, makes two calls and checks the books.
//!
//! It prints:
//! ```text
//! 200 OK {"choices":[{"finish_reason":"stop","index":0,"message":{"content":"hello ada","role":"assistant"}}],"created":0,"id":"chatcmpl-1","model":"small","object":"chat.completion","usage":{"completion_tokens":3,"prompt_tokens":10,"total_tokens":13}}
//! 401 Unauthorized {"error":{"code":"invalid_token","message":"The bearer token is missing, expired or not valid here. Send `Authorization: Bearer <token>` or `x-api-key: <token>` with a token of this gateway's issuer.","param":null,"type":"authentication_error"}}
//! balance: 0.9999967 dollars
//! ```

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

mod shared;

use std::{convert::Infallible, error::Error};

use bytes::Bytes;
use http::{Request, Response, header::CONTENT_TYPE};
use http_body_util::Full;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use tokio::net::TcpListener;
use tollgate::{Call, Tenant, body::RequestBody, domain::credits::Credits};
use tower::{ServiceBuilder, service_fn};

/// The team's own service. It gets the caller's body with the edits of the layers.
async fn chat(request: Request<RequestBody>) -> Result<Response<Full<Bytes>>, Infallible> {
    let user = Tenant::of(&request).map(|tenant| tenant.user_id().to_owned()).unwrap_or_default();
    let model = Call::of(&request).map(|call| call.facts().model.clone()).unwrap_or_default();
    // The caller set no output cap, so the gateway has inserted the cap that the hold relies on.
    let body = request.into_body().into_bytes();
    assert!(String::from_utf8_lossy(&body).contains(r#""max_completion_tokens":1000"#));
    let answer = Full::from(shared::answer(&model, &format!("hello {user}")));
    let mut response = Response::new(answer);
    response.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    Ok(response)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let setup = shared::set_up()?;
    let service = ServiceBuilder::new().layer(setup.stack).service(service_fn(chat));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let server = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // Without this, each small frame of a stream waits for the peer's delayed ACK.
            stream.set_nodelay(true).ok();
            let service = TowerToHyperService::new(service.clone());
            tokio::spawn(async move {
                let server = auto::Builder::new(TokioExecutor::new());
                server.serve_connection(TokioIo::new(stream), service).await.ok();
            });
        }
    });

    let answer = shared::chat(address, &setup.token, "small").await?;
    println!("{} {}", answer.status(), String::from_utf8_lossy(answer.body()));
    assert_eq!(answer.status(), 200);
    let refused = shared::chat(address, "not a token", "small").await?;
    println!("{} {}", refused.status(), String::from_utf8_lossy(refused.body()));
    assert_eq!(refused.status(), 401);

    server.abort();
    setup.finisher.close().await;
    let balance = setup.store.balance(setup.organization)?;
    assert_eq!(balance.posted, Credits::from_nanos(1_000_000_000 - 3_300));
    println!("balance: {} dollars", balance.posted);
    Ok(())
}
