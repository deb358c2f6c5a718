//! `tollgate serve`, and commands whose counterpart is not running.

use std::fs;

use super::kit::{Folder, run, stderr};

#[tokio::test]
async fn serve_refuses_to_start_without_what_it_needs_and_names_it() {
    let folder = Folder::new();
    let here = folder.path();
    let identity = "[identity]\nissuer = \"http://127.0.0.1:9\"\naudience = \"tollgate\"\njwks_url = \"http://127.0.0.1:9/keys\"\n";
    let upstream =
        "[[upstream]]\nname = \"a\"\nbase_url = \"http://127.0.0.1:9\"\nmodels = [\"*\"]\n";
    let database = "[database]\nurl = \"postgres://tollgate_login@127.0.0.1:9/x\"\n";
    let server = "[server]\nlisten = \"127.0.0.1:0\"\n";
    for (text, named) in [
        (format!("{server}{identity}{upstream}"), "DATABASE_URL"),
        (format!("{server}{database}{upstream}"), "identity.issuer"),
        (
            format!("{server}{database}{upstream}{}", identity.replace("jwks_url", "# ")),
            "identity.jwks_url",
        ),
        (format!("{server}{database}{identity}"), "[[upstream]]"),
        (format!("{server}{database}{identity}{upstream}"), "database"),
        (format!("{server}{database}{identity}{upstream}[limit]\n"), "`limit`"),
    ] {
        fs::write(here.join("tollgate.toml"), &text).unwrap();
        let refused = run(here, &["serve", "--config", "tollgate.toml"]).await;
        assert!(
            !refused.status.success() && stderr(&refused).contains(named),
            "{named}: {}",
            stderr(&refused)
        );
    }
    let missing = run(here, &["serve", "--config", "nowhere.toml"]).await;
    assert!(stderr(&missing).contains("nowhere.toml"), "{}", stderr(&missing));
}

#[tokio::test]
async fn a_command_without_its_counterpart_says_what_to_start() {
    let folder = Folder::new();
    let id = uuid::Uuid::new_v4().to_string();
    // Ours, so that nobody else answers there, and without a listener, so that nobody does.
    let silent = tokio::net::TcpSocket::new_v4().unwrap();
    silent.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let token = run(
        folder.path(),
        &["token", "--org", &id, "--user", "ada", "--role", "member", "--url", &url],
    )
    .await;
    assert!(
        !token.status.success() && stderr(&token).contains("tollgate dev"),
        "{}",
        stderr(&token)
    );
    let books = run(folder.path(), &["reconcile"]).await;
    assert!(
        !books.status.success() && stderr(&books).contains("DATABASE_URL"),
        "{}",
        stderr(&books)
    );
}
