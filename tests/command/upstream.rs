//! `tollgate dev --upstream URL`: an existing provider in place of the mock.

use std::sync::{Arc, Mutex};

use http::Request;
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::{net::TcpListener, task::JoinSet};
use tollgate::provider::mock::MockProvider;
use tower::Service;

use super::kit::{Dev, Folder, done, question};

/// The paths that were asked for, and the credentials that came with them.
type Asked = Arc<Mutex<Vec<(String, String)>>>;

/// A provider that keeps in mind what it was asked.
async fn provider() -> (String, Asked, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (asked, mock) = (Asked::default(), MockProvider::new());
    let kept = Arc::clone(&asked);
    let mut accepting = JoinSet::new();
    accepting.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            let (kept, mock) = (Arc::clone(&kept), mock.clone());
            let service = service_fn(move |request: Request<Incoming>| {
                let header =
                    |name| request.headers().get(name).map(|value| value.to_str().unwrap());
                let credential =
                    header("authorization").or(header("x-api-key")).unwrap_or_default();
                kept.lock().unwrap().push((request.uri().path().to_owned(), credential.to_owned()));
                mock.clone().call(request)
            });
            connections.spawn(async move {
                drop(http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
            });
        }
    });
    (url, asked, accepting)
}

#[tokio::test]
async fn dev_sends_calls_to_the_upstream_that_is_named_with_the_keys_of_its_environment() {
    let folder = Folder::new();
    let (url, asked, _serving) = provider().await;
    let dev = Dev::start_with(folder.path(), |command| {
        command.args(["--upstream", &url]);
        command.env("OPENAI_API_KEY", "sk-openai").env("ANTHROPIC_API_KEY", "sk-anthropic")
    })
    .await;
    assert_eq!(dev.ready["mock_url"], "", "there is no mock beside it");

    let answer = dev.send(dev.chat(&question(false), &[])).await;
    assert_eq!(answer.status(), 200, "{:?}", answer.body());
    let body = json!({"model": "claude-sonnet-5", "max_tokens": 9, "messages": [{"role": "user", "content": "knock"}]});
    let message = Request::post(dev.url("/v1/messages"))
        .header("content-type", "application/json")
        .header("x-api-key", dev.token("member"))
        .body(Full::from(body.to_string()));
    let answer = dev.send(message.unwrap()).await;
    assert_eq!(answer.status(), 200, "{:?}", answer.body());
    let expected = [("/v1/chat/completions", "Bearer sk-openai"), ("/v1/messages", "sk-anthropic")];
    let expected = expected.map(|(path, key)| (path.to_owned(), key.to_owned()));
    assert_eq!(*asked.lock().unwrap(), expected, "the caller's own tokens stay here");

    let logs = Dev::logs(folder.path());
    assert!(!logs.contains("sk-openai") && !logs.contains("sk-anthropic"), "{logs}");
    assert_eq!(done(folder.path(), "reconcile").await["ok"], true);
    dev.stop().await;
}
