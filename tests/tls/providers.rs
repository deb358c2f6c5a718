//! Providers over TLS: the one that proves what it is gets the call and the credential, and no other gets anything.

use std::net::SocketAddr;

use serde_json::Value;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};
use tollgate::{
    domain::ids::OrganizationId,
    gateway::issuer::{DevIssuer, Grant, JWKS_PATH},
    provider::mock::{self, MockProvider},
};
use uuid::Uuid;

use super::{
    authority::Flaw,
    door::{Door, redirecting},
    harness::{Answer, Ask, Client},
    process::{Folder, Gateway, run},
    server::{Server, server},
};

const MODEL: &str = "gpt-4o-mini";
/// What is granted, in nano-dollars.
const GRANTED: i64 = 5_000_000_000;

/// A provider and an issuer, both without TLS.
pub(crate) struct Provider {
    pub(crate) mock: MockProvider,
    pub(crate) address: SocketAddr,
    pub(crate) url: String,
    pub(crate) keys: SocketAddr,
    issuer: DevIssuer,
    issuer_url: String,
    _closing: DropGuard,
}

pub(crate) struct Org {
    pub(crate) id: String,
    pub(crate) token: String,
}

impl Provider {
    pub(crate) async fn start() -> Self {
        let closing = CancellationToken::new();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let keys = listener.local_addr().unwrap();
        let issuer_url = format!("http://{keys}");
        let issuer = DevIssuer::ephemeral(&issuer_url, "tollgate").unwrap();
        tokio::spawn(closing.clone().run_until_cancelled_owned(issuer.clone().serve(listener)));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mock = MockProvider::new();
        let serving = mock::serve(mock.clone(), listener, closing.clone().cancelled_owned());
        tokio::spawn(async move { serving.await.unwrap() });
        let url = format!("http://{address}");
        Self { mock, address, url, keys, issuer, issuer_url, _closing: closing.drop_guard() }
    }

    /// The configuration of a gateway that sends its calls to `upstream`.
    pub(crate) fn config(&self, upstream: &str) -> String {
        self.config_with_keys(upstream, &self.issuer_url)
    }

    pub(crate) fn config_with_keys(&self, upstream: &str, keys: &str) -> String {
        configuration(&self.issuer_url, &format!("{keys}{JWKS_PATH}"), upstream)
    }

    /// That of a gateway that does not come so far.
    pub(crate) fn nowhere() -> String {
        let nobody = "http://127.0.0.1:9";
        configuration(nobody, nobody, nobody)
    }

    /// An organization with credits, and a token of a member; made by commands.
    pub(crate) async fn organization(&self, folder: &Folder, database: &str) -> Org {
        let id = Uuid::now_v7().to_string();
        for arguments in [
            &["prices", "import", "--built-in"][..],
            &["org", "create", "--name", "Acme", "--id", &id],
            &["credits", "grant", "--org", &id, "--amount", "5"],
        ] {
            let (ok, said) = run(folder.about(database, arguments)).await;
            assert!(ok, "{arguments:?}: {said}");
        }
        let grant = Grant::new(id.parse::<OrganizationId>().unwrap(), "ada");
        Org { id, token: self.issuer.issue(&grant).unwrap().token }
    }

    pub(crate) async fn call(&self, gateway: SocketAddr, org: &Org) -> Answer {
        self.ask(gateway, org, Ask::chat().model(MODEL)).await
    }

    pub(crate) async fn ask(&self, gateway: SocketAddr, org: &Org, ask: Ask) -> Answer {
        let mut client = Client::open(gateway).await;
        client.send(&ask.bytes(&org.token)).await;
        client.answer().await.unwrap()
    }
}

fn configuration(issuer: &str, keys: &str, upstream: &str) -> String {
    format!(
        "[identity]\nissuer = \"{issuer}\"\naudience = \"tollgate\"\njwks_url = \"{keys}\"\nrole_claim = \"/role\"\n\
         [[upstream]]\nname = \"theirs\"\nbase_url = \"{upstream}\"\nmodels = [\"*\"]\ncredential = \"env:THEIR_KEY\"\n"
    )
}

/// A gateway in front of `upstream`, and an organization of its own database.
pub(crate) struct Case {
    pub(crate) server: &'static Server,
    pub(crate) database: String,
    pub(crate) folder: Folder,
    pub(crate) provider: Provider,
    pub(crate) org: Org,
}

impl Case {
    pub(crate) async fn open() -> Self {
        let server = server().await;
        let (database, folder, provider) =
            (server.database().await, Folder::new(), Provider::start().await);
        let org = provider.organization(&folder, &server.socket_url(&database)).await;
        Self { server, database, folder, provider, org }
    }

    pub(crate) async fn serve(&self, config: &str) -> Result<Gateway, String> {
        self.folder.write("serve.toml", config);
        let login = self.server.socket_url(&self.database).replace("postgres@", "tollgate_login@");
        Gateway::start(self.folder.about(&login, &["serve", "--config", "serve.toml"])).await
    }

    /// Ending, status and cost of the calls that are written, the oldest first.
    pub(crate) async fn calls(&self) -> Vec<(String, i32, i64)> {
        let admin = self.server.admin(&self.database).await;
        let sql = "select ending, status, cost from tollgate.usage order by request_id";
        let rows = admin.query(sql, &[]).await.unwrap();
        rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect()
    }

    /// The books are right, and this much of the credits is left; none of it is held.
    pub(crate) async fn left(&self, nanos: i64) {
        let url = self.server.socket_url(&self.database);
        let (ok, said) = run(self.folder.about(&url, &["reconcile"])).await;
        assert!(ok, "{said}");
        let (ok, said) =
            run(self.folder.about(&url, &["org", "show", &self.org.id, "--json"])).await;
        let shown: Value = serde_json::from_str(&said).unwrap();
        let credits = &shown["credits"];
        assert!(ok && credits["posted"] == nanos && credits["held"] == 0, "{said}");
    }
}

#[tokio::test]
async fn a_provider_that_proves_what_it_is_is_called_by_the_protocol_it_prefers() {
    let case = Case::open().await;
    let mut charged = 0;
    for (protocols, spoken) in [
        (&["h2", "http/1.1"][..], "h2"),
        (&["http/1.1"], "http/1.1"),
        // No choice of protocols at all.
        (&[], ""),
    ] {
        let door = Door::open(Flaw::None, protocols, case.provider.address).await;
        let gateway = case.serve(&case.provider.config(&door.url())).await.unwrap();
        for ask in [Ask::chat().model(MODEL), Ask::chat().model(MODEL).streamed()] {
            let answer = case.provider.ask(gateway.address, &case.org, ask.clone()).await;
            assert_eq!(answer.status, 200, "{spoken}: {}", answer.text());
            assert!(!ask.stream || answer.has_end(), "{}", answer.text());
        }
        let seen = door.seen();
        assert!(!seen.inside.is_empty() && seen.hung_up == 0, "{seen:?}");
        assert!(seen.inside.iter().all(|protocol| protocol == spoken), "{seen:?}");
        let calls = case.calls().await;
        charged = calls.iter().map(|(_, _, cost)| cost).sum();
        assert!(calls.iter().all(|(ending, ..)| ending == "complete"), "{calls:?}");
        assert!(calls.iter().all(|(.., cost)| *cost == calls[0].2 && *cost > 0), "{calls:?}");
    }
    assert_eq!(case.calls().await.len(), 6);
    case.left(GRANTED - charged).await;
}

#[tokio::test]
async fn a_provider_that_does_not_prove_what_it_is_gets_neither_call_nor_credential() {
    let case = Case::open().await;
    for flaw in Flaw::ALL {
        let door = Door::open(flaw, &["h2", "http/1.1"], case.provider.address).await;
        let gateway = case.serve(&case.provider.config(&door.url())).await.unwrap();
        refused(&case, &gateway, &format!("{flaw:?}")).await;
        door.was_told_nothing(&format!("{flaw:?}")).await;
    }
}

#[tokio::test]
async fn a_provider_without_tls_where_some_is_wanted_is_not_called() {
    let case = Case::open().await;
    let url = case.provider.url.replace("http://", "https://");
    let gateway = case.serve(&case.provider.config(&url)).await.unwrap();
    refused(&case, &gateway, "plain").await;
}

#[tokio::test]
async fn a_redirect_of_a_provider_is_not_followed() {
    let case = Case::open().await;
    // The first as a browser would follow it, the others with the body.
    for status in [302, 307, 308] {
        let elsewhere = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let location = format!("http://{}/v1/chat/completions", elsewhere.local_addr().unwrap());
        let (address, _serving) = redirecting(status, location).await;
        let door = Door::open(Flaw::None, &["http/1.1"], address).await;
        let gateway = case.serve(&case.provider.config(&door.url())).await.unwrap();
        refused(&case, &gateway, &status.to_string()).await;
        assert_eq!(door.seen().inside.len(), 1, "{status}");
        let followed =
            std::future::poll_fn(|cx| std::task::Poll::Ready(elsewhere.poll_accept(cx).is_ready()));
        assert!(!followed.await, "{status} was followed");
    }
}

/// A call is answered with 502, costs nothing, and leaves nothing held.
async fn refused(case: &Case, gateway: &Gateway, what: &str) {
    let before = case.calls().await;
    let answer = case.provider.call(gateway.address, &case.org).await;
    assert_eq!(answer.status, 502, "{what}: {}", answer.text());
    assert_eq!(answer.json()["error"]["code"], "provider_failed", "{what}: {}", answer.text());
    assert!(!answer.text().contains("sk-theirs"), "{what}");
    assert_eq!(case.provider.mock.served_total().calls, 0, "{what}");
    let written = [&before[..], &[("failed".to_owned(), 502, 0)]].concat();
    assert_eq!(case.calls().await, written, "{what}");
    case.left(GRANTED).await;
    assert!(!gateway.log().contains("sk-theirs"), "{what}: {}", gateway.log());
}
