//! A server that does not prove what it is, or has no TLS, under `sslmode=require`: refused by everything that connects,
//! and told nothing.

use futures_util::future::join_all;
use serde_json::Value;

use super::{
    authority::Flaw,
    front::{Front, Manner, Seen},
    harness::until,
    process::{Folder, Gateway, run},
    providers::Provider,
    server::{Server, server, url},
};

/// What stands in the way, and what the program says of it.
fn faults(server: &Server) -> Vec<(Manner, &'static str)> {
    let mut faults: Vec<_> =
        Flaw::ALL.into_iter().map(|flaw| (server.ending(flaw), flaw.word())).collect();
    let none = "server does not support TLS";
    faults.extend([(server.denying(), none), (server.without_tls(), none)]);
    faults
}

/// They came, and said nothing.
async fn told_nothing(front: &Front, what: &str) {
    // The front may notice it a moment later than we do.
    until(&format!("{what} has connected"), async || front.seen() != Seen::default()).await;
    let seen = front.seen();
    assert_eq!(seen, Seen { hung_up: seen.hung_up, ..Seen::default() }, "{what}");
}

#[tokio::test]
async fn no_command_tells_a_server_anything_that_is_not_proven_to_be_the_one() {
    let server = server().await;
    let name = &server.database().await;
    let folder = &Folder::new();
    // Each opens its first connection by another part of the program. All of them meet the two kinds of fault, and
    // the first one meets each.
    let commands = [
        "reconcile",
        "migrate",
        "prove",
        "org move 0192f0c0-0000-7000-8000-000000000001 --to schema",
        "dev --listen 127.0.0.1:0",
    ];
    for (manner, word) in faults(server) {
        let manner = &manner;
        let all = word == Flaw::UnknownRoot.word() || matches!(manner, Manner::Denies(_));
        let some = if all { commands.len() } else { 1 };
        join_all(commands.into_iter().take(some).map(|line| async move {
            let front = Front::start(manner.clone()).await;
            let database = url("postgres", &front, name, "sslmode=require");
            let mut arguments: Vec<&str> = line.split(' ').collect();
            arguments.extend(["--database-url", &database]);
            let (ok, said) = run(folder.tollgate(&arguments)).await;
            assert!(!ok && said.contains(word), "{line}, {word}: {said}");
            assert!(!said.contains("walnut"), "{line} says the password: {said}");
            told_nothing(&front, line).await;
        }))
        .await;
    }
}

#[tokio::test]
async fn a_gateway_does_not_start_on_such_a_server() {
    let server = server().await;
    let name = &server.database().await;
    let folder = &Folder::new();
    folder.write("serve.toml", &Provider::nowhere());
    join_all(faults(server).into_iter().map(|(manner, word)| async move {
        let front = Front::start(manner).await;
        let login = url("tollgate_login", &front, name, "sslmode=require");
        let serve = folder.about(&login, &["serve", "--config", "serve.toml"]);
        let said = Gateway::start(serve).await.unwrap_err();
        assert!(said.contains(word), "{word}: {said}");
        told_nothing(&front, "serve").await;
    }))
    .await;
}

#[tokio::test]
async fn a_gateway_whose_way_is_taken_over_says_nothing_on_it() {
    let server = server().await;
    let name = server.database().await;
    let folder = Folder::new();
    let provider = Provider::start().await;
    let org = provider.organization(&folder, &server.socket_url(&name)).await;
    folder.write("serve.toml", &provider.config(&provider.url));
    // A start meets every fault; one of each kind is enough here.
    let none = (server.denying(), "server does not support TLS");
    for (manner, word) in [(server.ending(Flaw::UnknownRoot), Flaw::UnknownRoot.word()), none] {
        let front = Front::start(server.passing()).await;
        let login = url("tollgate_login", &front, &name, "sslmode=require");
        let mut serve = folder.about(&login, &["serve", "--config", "serve.toml"]);
        // What is not heard is a warning once, and then said at this level.
        serve.env("TOLLGATE_LOG__LEVEL", "info,tollgate=debug");
        let gateway = Gateway::start(serve).await.unwrap();
        assert_eq!(provider.call(gateway.address, &org).await.status, 200);

        // All connections break, and every new one ends up with somebody else.
        front.becomes(manner);
        let sql = "select pg_terminate_backend(pid) from pg_stat_activity where datname = $1 and client_addr is not null";
        server.admin("postgres").await.query(sql, &[&name]).await.unwrap();
        until("calls are refused", async || {
            provider.call(gateway.address, &org).await.status == 503
        })
        .await;
        until("what listens has tried as well", async || {
            gateway.log().lines().any(|line| {
                let entry: Value = serde_json::from_str(line).unwrap_or_default();
                let about = entry["fields"]["deaf"].as_str().or(entry["deaf"].as_str());
                about.is_some_and(|deaf| deaf.contains(word))
            })
        })
        .await;
        assert_eq!(provider.call(gateway.address, &org).await.status, 503, "{word}");
        let seen = front.seen();
        assert!(seen.hung_up > 0 && seen.plain == 0 && seen.deceived == 0, "{word}: {seen:?}");
        assert!(!gateway.log().contains("walnut"), "the log holds the password or the prompt");

        // The right server again: nobody has to do anything.
        front.becomes(server.passing());
        until("calls go on", async || provider.call(gateway.address, &org).await.status == 200)
            .await;
    }
    let (ok, said) = run(folder.about(&server.socket_url(&name), &["reconcile"])).await;
    assert!(ok, "{said}");
}
