//! The naive form of holds and finishes, for comparison: a transaction for each, one round trip after the other, with a
//! durable commit while the balance's row is locked. It uses the same functions and the same rows.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{
    sync::{Mutex, Semaphore},
    task::JoinSet,
};
use tokio_postgres::{Client, NoTls, Statement};
use tollgate::{Tenant, domain::ids::RequestId, postgres::cluster::Cluster};
use uuid::Uuid;

use crate::{CLIENTS, CONNECTIONS, PAIRS};

const CLAIMS: &str = "select set_config('request.jwt.claims', $1, true)";
const DURABLE: &str = "set local synchronous_commit = on";

struct Connection {
    client: Client,
    claims: Statement,
    hold: Statement,
    finish: Statement,
}

impl Connection {
    async fn open(cluster: &Cluster) -> Self {
        let mut config = cluster.config("postgres");
        let (client, connection) = config.user("tollgate_login").connect(NoTls).await.unwrap();
        tokio::spawn(async move { drop(connection.await) });
        let claims = client.prepare(CLAIMS).await.unwrap();
        let hold = include_str!("../../src/postgres/sql/statements/calls/hold.sql");
        let finish = include_str!("../../src/postgres/sql/statements/calls/finish.sql");
        let hold = client.prepare(hold).await.unwrap();
        let finish = client.prepare(finish).await.unwrap();
        Self { client, claims, hold, finish }
    }

    async fn hold(&self, tenant: &Tenant, request: Uuid) {
        let organization = tenant.organization_id().as_uuid();
        self.client.batch_execute("begin").await.unwrap();
        self.client.query(&self.claims, &[&tenant.claims()]).await.unwrap();
        let (amounts, tokens, ttls) = (vec![1_000_000_i64], vec![1_000_i64], vec![900_000_i64]);
        let (users, none) = (vec![tenant.user_id()], vec![None::<Uuid>]);
        let row = self
            .client
            .query_one(
                &self.hold,
                &[
                    &organization,
                    &tenant.claims(),
                    &vec![request],
                    &amounts,
                    &tokens,
                    &ttls,
                    &users,
                    &none,
                    &none,
                ],
            )
            .await
            .unwrap();
        assert_eq!(row.get::<_, &str>(0), "granted");
        self.client.batch_execute(DURABLE).await.unwrap();
        self.client.batch_execute("commit").await.unwrap();
    }

    async fn finish(&self, tenant: &Tenant, request: RequestId) {
        let organization = tenant.organization_id().as_uuid();
        self.client.batch_execute("begin").await.unwrap();
        self.client.query(&self.claims, &[&tenant.claims()]).await.unwrap();
        let text = |text: &str| vec![Some(text.to_owned())];
        let (none, zero, false_) = (vec![None::<Uuid>], vec![0_i64], vec![false]);
        let row = self
            .client
            .query_one(
                &self.finish,
                &[
                    &organization,
                    &tenant.claims(),
                    &vec![request.as_uuid()],
                    &vec![request.arrived_ms()],
                    &vec![tenant.user_id()],
                    &none,
                    &none,
                    &vec![187_500_i64],
                    &vec![500_i64],
                    &vec![Uuid::nil()],
                    &vec![0_i32],
                    &false_,
                    &vec![None::<String>],
                    &text("chat_completions"),
                    &text("gpt-4o-mini"),
                    &text("gpt-4o-mini-2024-07-18"),
                    &text("mock"),
                    &false_,
                    &text("complete"),
                    &vec![200_i32],
                    &vec![250_i64],
                    &zero,
                    &zero,
                    &zero,
                    &vec![250_i64],
                    &zero,
                    &false_,
                    &false_,
                    &vec![5_i64],
                    &vec![5_i64],
                    &vec![true],
                    &text(&"q".repeat(1_024)),
                    &text(&"a".repeat(1_024)),
                    &false_,
                ],
            )
            .await
            .unwrap();
        assert!(!row.get::<_, bool>(2));
        self.client.batch_execute(DURABLE).await.unwrap();
        self.client.batch_execute("commit").await.unwrap();
    }
}

/// As [`many_clients`](crate::many_clients), in the naive form.
pub(crate) async fn many_clients(
    cluster: &Cluster,
    tenants: Vec<Tenant>,
    pairs: usize,
) -> Duration {
    let mut connections = Vec::new();
    for _ in 0..CONNECTIONS {
        connections.push(Connection::open(cluster).await);
    }
    let free = Arc::new((Semaphore::new(CONNECTIONS), Mutex::new(connections)));
    let (next, tenants) = (Arc::new(AtomicUsize::new(0)), Arc::new(tenants));
    let begun = Instant::now();
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let (free, next, tenants) = (Arc::clone(&free), Arc::clone(&next), Arc::clone(&tenants));
        clients.spawn(async move {
            loop {
                let pair = next.fetch_add(1, Ordering::Relaxed);
                if pair >= pairs {
                    return;
                }
                let (tenant, request) = (&tenants[pair % tenants.len()], RequestId::generate());
                for ends in [false, true] {
                    let place = free.0.acquire().await.unwrap();
                    let connection = free.1.lock().await.pop().unwrap();
                    if ends {
                        connection.finish(tenant, request).await;
                    } else {
                        connection.hold(tenant, request.as_uuid()).await;
                    }
                    free.1.lock().await.push(connection);
                    drop(place);
                }
            }
        });
    }
    while let Some(client) = clients.join_next().await {
        client.unwrap();
    }
    // Scaled up to all pairs.
    begun.elapsed() * u32::try_from(PAIRS / pairs).unwrap()
}
