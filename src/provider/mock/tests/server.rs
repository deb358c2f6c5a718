use super::*;
use crate::client::HttpClient;

async fn running(
    mock: MockProvider,
) -> (String, tokio::sync::oneshot::Sender<()>, tokio::task::JoinHandle<std::io::Result<()>>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = serve(mock, listener, async {
        drop(stopped.await);
    });
    (url, stop, tokio::spawn(serving))
}

#[tokio::test]
async fn the_server_answers_and_tells_what_it_has_served() {
    let (url, stop, serving) = running(MockProvider::new()).await;
    let client = HttpClient::default();
    let request = Request::post(format!("{url}{CHAT}")).header("x-request-id", "a");
    let request = request.body(Full::<Bytes>::from(chat().to_string())).unwrap();
    let answer = client.fetch(request, 1 << 20, Duration::from_secs(10)).await.unwrap();
    assert_eq!(answer.headers()["openai-organization"], "mock-account");
    for path in ["/mock/served/a", "/mock/served"] {
        let request = Request::get(format!("{url}{path}")).body(Full::default()).unwrap();
        let served = client.fetch(request, 1 << 20, Duration::from_secs(10)).await.unwrap();
        let served: Served = serde_json::from_slice(served.body()).unwrap();
        assert_eq!((served.calls, served.completed, served.output_tokens), (1, 1, 16));
    }
    drop(client);
    stop.send(()).unwrap();
    serving.await.unwrap().unwrap();
}

#[tokio::test]
async fn the_server_resets_the_connection_before_the_head() {
    let (url, _stop, _serving) = running(MockProvider::new()).await;
    let request = Request::post(format!("{url}{CHAT}")).header("x-mock-break-after", "nothing");
    let request = request.body(Full::<Bytes>::from(chat().to_string())).unwrap();
    let failed = HttpClient::default().send(request).await.unwrap_err();
    assert!(!failed.is_unsent());
}

#[tokio::test]
async fn what_comes_before_a_break_is_sent() {
    let (url, _stop, _serving) = running(MockProvider::new()).await;
    for body in [chat(), chat_stream()] {
        let request = Request::post(format!("{url}{CHAT}")).header("x-mock-break-after", "1");
        let request = request.body(Full::<Bytes>::from(body.to_string())).unwrap();
        let mut answer = HttpClient::default().send(request).await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        let first = answer.frame().await.unwrap().unwrap().into_data().unwrap();
        assert!(first.starts_with(b"data: ") || first.starts_with(b"{"));
        let mut broke = false;
        while let Some(frame) = answer.frame().await {
            broke = frame.is_err();
        }
        assert!(broke, "the answer ended as if it were whole");
    }
}
