//! Every way to Postgres under `sslmode=require`: commands, the gateway's calls, what listens, and moves.

use serde_json::Value;
use uuid::Uuid;

use super::{
    front::{Front, Seen},
    harness::{Client, until},
    process::{Folder, Gateway, run},
    server::{Server, server, url},
};

/// How the sessions that came over the network are made: what they call themselves, and whether they have TLS.
const SESSIONS: &str = "select distinct application_name, ssl from pg_stat_ssl join pg_stat_activity using (pid) \
     where client_addr is not null and datname = $1 order by 1";

/// A way to the server on which no connection may be plain.
struct Watched {
    front: Front,
    before: Seen,
}

impl Watched {
    async fn to(server: &Server) -> Self {
        Self { front: Front::start(server.passing()).await, before: Seen::default() }
    }

    /// Some have come since this was asked last, and all of them began TLS.
    fn all_encrypted(&mut self, what: &str) {
        let now = self.front.seen();
        assert!(now.encrypted > self.before.encrypted, "{what} did not connect: {now:?}");
        assert_eq!(now, Seen { encrypted: now.encrypted, ..Seen::default() }, "{what}");
        self.before = now;
    }
}

#[tokio::test]
async fn every_command_talks_to_the_database_within_tls_only() {
    let server = server().await;
    let (main, big) = (server.empty_database().await, server.empty_database().await);
    let mut watched = Watched::to(server).await;
    let mut further = Watched::to(server).await;
    let [url, big_url] = [(&watched, &main), (&further, &big)]
        .map(|(way, name)| url("postgres", &way.front, name, "sslmode=require"));
    let folder = Folder::new();
    folder.write("key", &"c0ffee42".repeat(8));
    let about = |arguments: &[&str]| {
        let mut command = folder.about(&url, arguments);
        command.env("TOLLGATE_DATABASE__PLACEMENTS__BIG__URL", &big_url);
        command
    };
    let org = Uuid::now_v7().to_string();
    for line in [
        "migrate",
        "migrate --membership tollgate",
        "migrate --seal-key file:key",
        "prices import --built-in",
        "prices show",
        "org create --name Acme --placement schema --id ORG",
        "org show ORG",
        "credits grant --org ORG --amount 5",
        "policy set --org ORG {}",
        "policy show --org ORG",
        "limits set --org ORG --scope organization --requests-per-minute 9",
        "limits show --org ORG",
        "budgets set --org ORG --scope organization --window day --tokens 9",
        "budgets show --org ORG",
        "prices markup --org ORG --bps 100",
        "org suspend ORG --user ada",
        "org resume ORG --user ada",
        "reconcile",
        "statement --org ORG --from 2026-01-01 --to 2026-01-02",
        "prices rebill --org ORG --from 2026-01-01 --to 2026-01-02 --at current",
        "org move ORG --to row",
        "org move ORG --to database --database big",
        "migrate --unseal",
        "reconcile",
    ] {
        let line = line.replace("ORG", &org);
        let arguments: Vec<&str> = line.split(' ').collect();
        let (ok, said) = run(about(&arguments)).await;
        assert!(ok, "{line}: {said}");
        watched.all_encrypted(&line);
    }
    further.all_encrypted("migrate, and a move there");
    // Of the main database alone, because it takes long.
    let (ok, said) = run(folder.about(&url, &["prove", "--read-only"])).await;
    assert!(ok, "{said}");
    watched.all_encrypted("prove");
    let there = server.admin(&big).await;
    let sql = "select count(*) from tollgate.organizations";
    assert_eq!(there.query_one(sql, &[]).await.unwrap().get::<_, i64>(0), 1);
}

#[tokio::test]
async fn a_gateway_calls_listens_and_checks_the_books_within_tls_only() {
    let server = server().await;
    let name = server.database().await;
    let mut watched = Watched::to(server).await;
    let folder = Folder::new();
    let admin = url("postgres", &watched.front, &name, "sslmode=require");
    let provider = super::providers::Provider::start().await;
    let org = provider.organization(&folder, &admin).await;
    watched.all_encrypted("the operator");

    let login = url("tollgate_login", &watched.front, &name, "sslmode=require");
    folder.write("serve.toml", &provider.config(&provider.url));
    let serve = folder.about(&login, &["serve", "--config", "serve.toml"]);
    let gateway = Gateway::start(serve).await.unwrap();
    assert_eq!(provider.call(gateway.address, &org).await.status, 200);
    until("changes are heard of", async || {
        gateway.metric("tollgate_listen_connected").await == Some(1.0)
    })
    .await;
    watched.all_encrypted("the gateway");
    let looking = server.admin(&name).await;
    let rows = looking.query(SESSIONS, &[&name]).await.unwrap();
    let sessions: Vec<(String, bool)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    for expected in ["tollgate", "tollgate listen"] {
        assert!(sessions.contains(&(expected.to_owned(), true)), "{sessions:?}");
    }
    assert!(sessions.iter().all(|(_, ssl)| *ssl), "{sessions:?}");

    // A switch that is turned on is heard of on that connection.
    let (ok, said) = run(folder.about(&admin, &["org", "suspend", &org.id])).await;
    assert!(ok, "{said}");
    assert_eq!(provider.call(gateway.address, &org).await.status, 403);
    let (ok, said) = run(folder.about(&admin, &["reconcile", "--json"])).await;
    let books: Value = serde_json::from_str(&said).unwrap();
    assert!(ok && books["ok"] == true, "{said}");
    watched.all_encrypted("the end");
}

#[tokio::test]
async fn a_password_is_bound_to_the_channel_so_that_a_certificate_alone_is_not_enough() {
    let server = server().await;
    let name = server.database().await;
    let folder = Folder::new();
    let bound = "sslmode=require&channel_binding=require";
    let good = Front::start(server.passing()).await;
    let reconcile =
        |front: &Front| folder.about(&url("postgres", front, &name, bound), &["reconcile"]);
    let (ok, said) = run(reconcile(&good)).await;
    assert!(ok, "{said}");
    // One who has a certificate that we trust, and passes all of it on.
    let between = Front::start(server.ending(super::authority::Flaw::None)).await;
    let (ok, said) = run(reconcile(&between)).await;
    assert!(!ok && said.contains("channel binding"), "{said}");
    assert_eq!(between.seen().plain, 0);
}

#[tokio::test]
async fn a_client_of_the_mock_front_itself_is_counted_as_what_it_is() {
    // The detector: without it, a front that counts nothing would let everything above pass.
    let server = server().await;
    let name = server.database().await;
    let folder = Folder::new();
    let front = Front::start(server.denying()).await;
    let plain = url("postgres", &front, &name, "sslmode=disable");
    let (ok, said) = run(folder.about(&plain, &["reconcile"])).await;
    assert!(ok, "{said}");
    let seen = front.seen();
    assert!(seen.plain > 0 && seen == Seen { plain: seen.plain, ..Seen::default() }, "{seen:?}");
    let front = Front::start(server.ending(super::authority::Flaw::None)).await;
    let deceived = url("postgres", &front, &name, "sslmode=require");
    let (ok, said) = run(folder.about(&deceived, &["reconcile"])).await;
    assert!(ok, "{said}");
    let seen = front.seen();
    assert!(seen.deceived > 0 && seen == Seen { deceived: seen.deceived, ..Seen::default() });
    // One that hangs up.
    let client = Client::open(front.address).await;
    client.leave().await;
    until("it is counted", async || front.seen().hung_up == 1).await;
}
