//! A gateway checks the books beside its calls, and its metrics say what it finds.

use std::time::Duration;

use tollgate::{
    Tenant,
    domain::{credits::Credits, hold::HoldRequest, ids::RequestId},
    gateway::config::Credit,
    store::Ledger,
};

use crate::{
    harness::{Ask, Client, House, Org, RICH, Setup, until},
    process::Process,
};

/// What the gateway's metrics say of this, without its prefix.
async fn figure(gateway: &Process, name: &str) -> Option<String> {
    let mut client = Client::open(gateway.address).await;
    client.send(b"GET /metrics HTTP/1.1\r\nhost: gateway\r\n\r\n").await;
    let answer = client.answer().await.unwrap().text().to_owned();
    let name = format!("tollgate_books_{name} ");
    answer.lines().find_map(|line| line.strip_prefix(&name)).map(str::to_owned)
}

async fn says(gateway: &Process, figures: &[(&str, &str)]) {
    for (name, expected) in figures {
        let what = format!("{name} is {expected}");
        until(&what, async || figure(gateway, name).await.as_deref() == Some(expected)).await;
    }
}

/// Posts so much more than the ledger says.
async fn falsify(house: &House, org: &Org, nanos: i64) {
    let sql = format!(
        "update tollgate.credit_balances set posted = posted + {nanos} where organization_id = '{}'",
        org.id
    );
    house.admin.batch_execute(&sql).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateways_metrics_say_whose_books_are_broken_and_what_was_not_billed_at_the_most() {
    let reconcile_every = Duration::from_millis(50);
    let credit = Credit { reconcile_every, ..Credit::default() };
    let mut house = House::with(Setup { credit, connections: 1, ..Setup::default() }).await;
    house.some_lost = true;
    let gateway = house.start_process().await;
    let (org, other) = (house.organization(RICH).await, house.organization(RICH).await);
    assert_eq!(house.ask(&org, &Ask::chat()).await.status, 200);
    says(&gateway, &[("organizations", "2"), ("broken", "0"), ("findings", "0")]).await;
    says(&gateway, &[("holds_expired", "0"), ("unbilled_dollars_max", "0")]).await;

    // A call whose gateway is gone: it may have used all that was held for it.
    let hold = HoldRequest {
        request_id: RequestId::generate(),
        amount: Credits::from_nanos(1_500_000),
        tokens: 10,
        ttl: Duration::ZERO,
    };
    house.places.hold(&Tenant::new(org.id, "ann"), hold).await.unwrap();
    house.places.sweep().await.unwrap();
    says(&gateway, &[("holds_expired", "1"), ("unbilled_dollars_max", "0.0015")]).await;

    falsify(&house, &other, 1).await;
    says(&gateway, &[("broken", "1")]).await;
    assert_ne!(figure(&gateway, "findings").await.as_deref(), Some("0"));
    falsify(&house, &other, -1).await;
    says(&gateway, &[("broken", "0"), ("findings", "0")]).await;

    // It has a connection of its own: what calls have is theirs.
    let open = "select count(*) from pg_stat_activity where datname = current_database()
                  and usename = 'tollgate_login' and application_name = 'tollgate'";
    assert!(house.count(open).await <= 2, "two gateways with one connection each");
    gateway.close().await;
    house.close().await;
}
