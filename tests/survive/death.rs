//! A gateway that dies without a shutdown.

use futures_util::future::join_all;

use super::{
    harness::{Ask, BOTH, Client, House, RICH, plain_cost},
    providers::COUNTED_INPUT,
};

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
    assert_eq!(rows.len(), 10);
    assert!(rows.iter().all(|row| row.ending == "complete"), "{rows:?}");
    assert_eq!(house.ask(&org, &Ask::chat()).await.status, 200);
    let open = "from tollgate.credit_holds where status = 'open'";
    assert_eq!(house.count(&format!("select count(*) {open}")).await, 30);
    let amounts = house.count(&format!("select sum(amount)::bigint {open}")).await;
    assert_eq!(house.balance(&org).await.1, amounts);
    house.admin.batch_execute("update tollgate.credit_holds set expires_at = now()").await.unwrap();
    // The gateway that goes on looks for them, too.
    house.places.sweep().await.unwrap();
    house.some_lost = true;
    let charged: i64 = house.check().await.iter().map(|row| row.charged).sum();
    let expired = "from tollgate.credit_holds where status = 'expired'";
    assert_eq!(house.count(&format!("select count(*) {expired}")).await, 30);
    // What was used of them before the last heartbeat: where the machine was quick, there was none.
    let used = house.count(&format!("select sum(used)::bigint {expired}")).await;
    assert!((0..=30 * plain_cost(COUNTED_INPUT, 0)).contains(&used), "{used}");
    assert_eq!(house.balance(&org).await, (RICH - charged - used, 0, 0));
    house.close().await;
}
