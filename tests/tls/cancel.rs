//! Cancel requests travel on connections of their own: within TLS, or not at all.

use tokio::task::JoinSet;
use tokio_postgres::Client as Session;

use super::{
    front::{Front, Seen},
    harness::{Client, until},
    process::{Folder, Gateway},
    providers::{Org, Provider},
    server::{Server, server, url},
};

/// What Postgres writes where a request came.
const CANCELLED: &str = "canceling statement due to user request";

struct Case {
    server: &'static Server,
    database: String,
    front: Front,
    gateway: Gateway,
    admin: Session,
    org: Org,
    _folder: Folder,
    _provider: Provider,
}

impl Case {
    async fn open() -> Self {
        let server = server().await;
        let database = server.database().await;
        let front = Front::start(server.passing()).await;
        let (folder, provider) = (Folder::new(), Provider::start().await);
        folder.write("serve.toml", &provider.config(&provider.url));
        let org = provider.organization(&folder, &server.socket_url(&database)).await;
        let login = url("tollgate_login", &front, &database, "sslmode=require");
        let mut serve = folder.about(&login, &["serve", "--config", "serve.toml"]);
        serve.env("TOLLGATE_CREDIT__RECONCILE_EVERY", "0s");
        let gateway = Gateway::start(serve).await.unwrap();
        let admin = server.admin(&database).await;
        Self { server, database, front, gateway, admin, org, _folder: folder, _provider: provider }
    }

    /// Somebody asks for what takes long, and leaves.
    async fn leave_a_statement(&self) {
        let lock = "begin; lock table tollgate.kill_switches in access exclusive mode";
        self.admin.batch_execute(lock).await.unwrap();
        let request = format!(
            "GET /admin/v1/kill-switches HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {}\r\n\r\n",
            self.org.token
        );
        let address = self.gateway.address;
        let mut asking = JoinSet::new();
        asking.spawn(async move {
            // One that is refused before it came to its statement asks again.
            loop {
                let mut client = Client::open(address).await;
                client.send(request.as_bytes()).await;
                client.head().await;
            }
        });
        until("the statement waits", async || self.waiting().await > 0).await;
        asking.shutdown().await;
        until("it does not wait any more", async || self.waiting().await == 0).await;
        self.admin.batch_execute("rollback").await.unwrap();
    }

    async fn waiting(&self) -> i64 {
        let sql = "select count(*) from pg_locks join pg_stat_activity using (pid) \
                   where not granted and datname = current_database()";
        self.admin.query_one(sql, &[]).await.unwrap().get(0)
    }

    fn cancelled(&self) -> usize {
        self.server.log(&self.database).matches(CANCELLED).count()
    }
}

#[tokio::test]
async fn a_cancel_request_is_within_tls() {
    let case = Case::open().await;
    // A machine that is busy may let the lock's own limit come first.
    until("a request has come", async || {
        case.leave_a_statement().await;
        case.cancelled() > 0
    })
    .await;
    let seen = case.front.seen();
    assert_eq!(seen, Seen { encrypted: seen.encrypted, ..Seen::default() });
}

#[tokio::test]
async fn a_cancel_request_is_not_sent_in_plain_words() {
    let case = Case::open().await;
    for manner in [case.server.denying(), case.server.without_tls()] {
        let before = case.front.seen().hung_up;
        until("a request was about to be sent", async || {
            case.front.becomes(case.server.passing());
            until("the gateway is connected", async || {
                case.gateway.get("/readyz").await.contains("\"ready\":true")
            })
            .await;
            case.front.becomes(manner.clone());
            case.leave_a_statement().await;
            let seen = case.front.seen();
            seen.hung_up > before || seen.plain > 0
        })
        .await;
    }
    assert_eq!(case.cancelled(), 0);
    assert_eq!(case.front.seen().plain, 0);
}
