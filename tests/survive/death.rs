//! A gateway that is gone from one moment to the next.

use futures_util::future::join_all;

use crate::harness::{Ask, BOTH, Client, House, RICH};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_dies_under_load_leaves_books_that_another_one_goes_on_with() {
    let mut house = House::open().await;
    let org = house.organization(RICH).await;
    let (address, runtime) = house.start_apart().await;
    let quick = async |number: usize| {
        let mut client = Client::open(address).await;
        client.send(&Ask::of(BOTH[number % 2]).streamed().bytes(&org.token)).await;
        assert!(client.answer().await.unwrap().has_end());
    };
    join_all((0..10).map(quick)).await;
    // Some have begun to answer, some have not, some are being read on without their client.
    let mut open = Vec::new();
    for number in 0..30 {
        let wait = ["chunk-delay-ms", "latency-ms"][number / 2 % 2];
        let ask = Ask::of(BOTH[number % 2]).streamed().mock(wait, 60_000);
        let mut client = Client::open(address).await;
        client.send(&ask.bytes(&org.token)).await;
        open.push(client);
    }
    house.reached(40).await;
    open.drain(..10).for_each(Client::reset);
    runtime.shutdown_background();
    for client in &mut open {
        client.drain().await;
    }
    assert!(Client::try_open(address).await.is_err());

    // Answers that were given are in the books; holds of the others stand until they expire.
    let rows = house.rows().await;
    assert_eq!(rows.iter().filter(|row| row.ending == "complete").count(), 10);
    assert_eq!(house.ask(&org, &Ask::chat()).await.status, 200);
    let (posted, held, _) = house.balance(&org).await;
    assert!(held > 0 && posted >= held);
    house.admin.batch_execute("update tollgate.credit_holds set expires_at = now()").await.unwrap();
    assert!(house.places.sweep().await.unwrap() >= 1);
    house.some_lost = true;
    let charged: i64 = house.check().await.iter().map(|row| row.charged).sum();
    assert_eq!(house.balance(&org).await, (RICH - charged, 0, 0));
    house.close().await;
}
