//! A further database that does not answer: its organizations wait for it, and no others do.

use std::time::Duration;

use tollgate::postgres::{
    Place,
    cluster::{Cluster, Options},
    migrate,
};

use super::{
    command::run,
    harness::{Ask, House, Setup, cost, until},
    residence::made,
    street::{FAR, far, far_database},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_its_own_organizations_miss_a_database_that_is_away() {
    let cluster = Cluster::temporary(Options::ephemeral()).await.unwrap();
    let config = cluster.config("postgres");
    migrate::run(&config).await.unwrap();
    let placements = vec![(FAR.to_owned(), config)];
    let wait = Duration::from_secs(2);
    let house = House::with(Setup { wait, placements, ..Setup::default() }).await;
    let (near, apart) = (made(&house, &Place::Row).await, made(&house, &Place::Schema).await);
    let gone = made(&house, &far()).await;
    let statuses = async |expected: [u16; 3]| {
        for (org, expected) in [&near, &apart, &gone].into_iter().zip(expected) {
            for ask in [Ask::chat(), Ask::chat().streamed()] {
                let answer = house.ask(org, &ask).await;
                assert_eq!(answer.status, expected, "{}", answer.text());
            }
        }
        assert!(house.ready().await);
    };
    statuses([200, 200, 200]).await;
    // A stream whose database goes away while it is open.
    let mut open = house.client().await;
    let slow = Ask::chat().streamed().mock("chunk-delay-ms", 100).mock("output-tokens", 20);
    open.send(&slow.bytes(&gone.token)).await;
    let head = open.head().await.unwrap();
    assert_eq!(head.status, 200);
    cluster.stop().await.unwrap();
    let reached = house.mock.served_total().calls;
    statuses([200, 200, 503]).await;
    assert_eq!(
        house.mock.served_total().calls,
        reached + 4,
        "nothing was sent for who was refused"
    );

    let (books, right, _) = run(&house, &["reconcile"]).await;
    assert!(!right, "{books}");
    assert_eq!(books["broken"].as_array().unwrap().len(), 1, "{books}");
    assert_eq!(books["broken"][0]["organization_id"], gone.id.to_string());
    let (listed, _, said) = run(&house, &["org", "show"]).await;
    assert_eq!(listed["organizations"].as_array().unwrap().len(), 3, "{said}");

    // What cannot be written is not let go: the stream ends in an error, and is charged when its database is back.
    let cut = open.rest(head).await;
    assert!(cut.ends_in_error() && !cut.has_end(), "{}", cut.text());
    cluster.restart().await.unwrap();
    until("its calls go on", async || house.ask(&gone, &Ask::chat()).await.status == 200).await;
    statuses([200, 200, 200]).await;
    let rows = house.check().await;
    let whole: Vec<_> = rows.iter().filter(|row| row.served.output_tokens == 20).collect();
    assert!(
        matches!(&whole[..], [row] if row.ending == "failed" && row.charged == cost(&row.served)),
        "{whole:?}"
    );
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_main_database_those_in_another_go_on() {
    let cluster = Cluster::temporary(Options::ephemeral()).await.unwrap();
    let placements = vec![(FAR.to_owned(), far_database().await)];
    let setup = Setup { placements, wait: Duration::from_secs(2), ..Setup::default() };
    let mut house = House::on_its_own(&cluster, setup).await;
    let (near, unknown) = (made(&house, &Place::Row).await, made(&house, &far()).await);
    let far = made(&house, &far()).await;
    for org in [&near, &far] {
        assert_eq!(house.ask(org, &Ask::chat()).await.status, 200);
    }
    cluster.stop().await.unwrap();
    assert_eq!(house.ask(&near, &Ask::chat()).await.status, 503);
    // Its database is there, but nobody can say that it is this one: no call of it has asked before.
    assert_eq!(house.ask(&unknown, &Ask::chat()).await.status, 503);
    for ask in [Ask::chat(), Ask::chat().streamed()] {
        let answer = house.ask(&far, &ask).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    assert!(!house.ready().await);
    cluster.restart().await.unwrap();
    house.admin = house.stranger().await;
    for org in [&near, &unknown] {
        until("its calls go on", async || house.ask(org, &Ask::chat()).await.status == 200).await;
    }
    until("it is ready", async || house.ready().await).await;
    house.close().await;
}
