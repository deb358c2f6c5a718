use std::path::PathBuf;

use super::*;

/// A file that is removed at the end of the test.
struct SecretFile(PathBuf);
impl SecretFile {
    fn new(content: &str) -> Self {
        let path = std::env::temp_dir().join(format!("tollgate-{}", uuid::Uuid::new_v4()));
        std::fs::write(&path, content).unwrap();
        Self(path)
    }
    fn reference(&self) -> SecretRef {
        SecretRef::File(self.0.clone())
    }
}
impl Drop for SecretFile {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.0));
    }
}

fn with(reference: SecretRef, dialect: Dialect, url: &str) -> Upstream {
    let config = UpstreamConfig { credential: Some(reference), ..config(dialect, url) };
    Upstream::new(config, HttpClient::default()).unwrap()
}

#[tokio::test]
async fn a_credential_goes_in_the_header_of_its_dialect() {
    let (url, _running, mut asks) =
        answering("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").await;
    // Cargo sets this variable for every test.
    let environment = SecretRef::Env("CARGO_PKG_NAME".into());
    ask(&with(environment, Dialect::OpenAi, &url), empty(post(CHAT))).await;
    assert!(asks.recv().await.unwrap().contains("\r\nauthorization: bearer tollgate\r\n"));

    let file = SecretFile::new("  file-key\n");
    ask(&with(file.reference(), Dialect::Anthropic, &url), empty(post(MESSAGES))).await;
    let seen = asks.recv().await.unwrap();
    assert!(seen.contains("\r\nx-api-key: file-key\r\n") && !seen.contains("authorization"));
}

#[tokio::test]
async fn nothing_is_sent_without_the_credential() {
    let (url, _running, mut asks) =
        answering("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").await;
    let file = SecretFile::new("\n");
    let broken = SecretFile::new("one\ntwo");
    let missing =
        ["env:TOLLGATE_NO_SUCH_VARIABLE", "file:/no/such/file"].map(|text| text.parse().unwrap());
    for reference in missing.into_iter().chain([file.reference(), broken.reference()]) {
        let upstream = with(reference.clone(), Dialect::OpenAi, &url);
        let missing = upstream.check_credential().await.unwrap_err();
        assert!(missing.to_string().contains(&reference.to_string()));
        assert_eq!(ask(&upstream, empty(post(CHAT))).await.status(), StatusCode::BAD_GATEWAY);
    }
    assert!(asks.try_recv().is_err());
}

#[tokio::test(start_paused = true)]
async fn a_changed_file_is_read_again_and_a_removed_one_is_revoked() {
    let file = SecretFile::new("one");
    let credential = Credential::new(file.reference(), Kind::of(Dialect::Anthropic));
    assert_eq!(credential.header().await.unwrap().1, "one");
    std::fs::write(&file.0, "two").unwrap();
    tokio::time::advance(Duration::from_secs(4)).await;
    assert_eq!(credential.header().await.unwrap().1, "one");
    tokio::time::advance(Duration::from_secs(2)).await;
    assert_eq!(credential.header().await.unwrap().1, "two");
    std::fs::write(&file.0, "three").unwrap();
    credential.forget();
    assert_eq!(credential.header().await.unwrap().1, "three");
    std::fs::remove_file(&file.0).unwrap();
    tokio::time::advance(Duration::from_secs(6)).await;
    assert!(credential.header().await.is_err());
}

#[tokio::test]
async fn a_refused_credential_is_fetched_anew_for_the_next_call() {
    let file = SecretFile::new("old");
    let (url, _running) = provider(|mut stream| async move {
        while let Some(request) = read_request(&mut stream).await {
            let status = if request.contains("bearer new") { "200 OK" } else { "401 Unauthorized" };
            let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 2\r\n\r\n{{}}");
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    })
    .await;
    let upstream = with(file.reference(), Dialect::OpenAi, &url);
    assert_eq!(ask(&upstream, empty(post(CHAT))).await.status(), StatusCode::BAD_GATEWAY);
    std::fs::write(&file.0, "new").unwrap();
    assert_eq!(ask(&upstream, empty(post(CHAT))).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_credential_is_never_shown() {
    let file = SecretFile::new("top-secret");
    let upstream = with(file.reference(), Dialect::OpenAi, "https://h");
    upstream.check_credential().await.unwrap();
    assert!(!format!("{upstream:?}").contains("top-secret"));
    let refused = "sk-top-secret".parse::<SecretRef>().unwrap_err();
    assert!(!format!("{refused} {refused:?}").contains("top-secret"));
    let header = upstream.inner.credential.as_ref().unwrap().header().await.unwrap();
    assert!(!format!("{header:?}").contains("top-secret"));
}
