//! Gateways that know an old place.

use tollgate::postgres::{Place, places::Mover};

use crate::{
    harness::{Ask, Client, House, Org, RICH},
    residence::house,
    street::far,
};

async fn ask_by(house: &House, gateway: usize, org: &Org, ask: &Ask) -> (u16, bool) {
    let mut client = Client::open(house.gateways[gateway].address).await;
    client.send(&ask.bytes(&org.token)).await;
    let answer = client.answer().await.unwrap();
    (answer.status, answer.has_end())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_with_an_old_map_finds_the_way_by_itself() {
    let mut house = house().await;
    house.start().await;
    let org = house.organization(RICH).await;
    let mover = Mover::new(house.places.clone());
    for to in [Place::Schema, far(), Place::Row, far(), Place::Schema, Place::Row] {
        // Begun in the old place, by both gateways; one of them is not asked again before the move is over.
        let slow = Ask::chat().streamed().mock("chunk-delay-ms", 100).mock("output-tokens", 30);
        let mut open = Vec::new();
        for gateway in 0..2 {
            let mut client = Client::open(house.gateways[gateway].address).await;
            client.send(&slow.bytes(&org.token)).await;
            assert_eq!(client.head().await.unwrap().status, 200);
            open.push(client);
        }
        mover.move_to(org.id, &to).await.unwrap();
        assert_eq!(ask_by(&house, 0, &org, &Ask::chat()).await.0, 200);
        // Settled in the new place, where its hold has gone.
        for mut client in open {
            let rest = client.read_to(b"0\r\n\r\n").await;
            assert!(String::from_utf8(rest).unwrap().contains("[DONE]"), "{to}");
        }
        assert_eq!(ask_by(&house, 1, &org, &Ask::chat().streamed()).await, (200, true), "{to}");
    }
    assert_eq!(house.check().await.len(), 24);
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_old_place_has_left_is_believed_by_nobody() {
    let mut house = house().await;
    house.start().await;
    let org = house.organization(RICH).await;
    let mover = Mover::new(house.places.clone());
    // Suspended when it left, resumed where it is, and with a policy that the old place never had.
    house.operator.set_suspended(org.id, true).await.unwrap();
    mover.move_to(org.id, &Place::Schema).await.unwrap();
    house.operator.set_suspended(org.id, false).await.unwrap();
    for gateway in 0..2 {
        assert_eq!(ask_by(&house, gateway, &org, &Ask::chat()).await.0, 200);
    }
    house.operator.set_suspended(org.id, true).await.unwrap();
    for gateway in 0..2 {
        assert_eq!(ask_by(&house, gateway, &org, &Ask::chat()).await.0, 403);
    }
    house.operator.set_suspended(org.id, false).await.unwrap();
    house.check().await;
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hold_that_nobody_waits_for_is_given_back_where_it_has_gone() {
    let house = house().await;
    let org = house.organization(RICH).await;
    // The client leaves while its hold waits for the balance, and the organization moves before it is given back.
    let stranger = house.stranger().await;
    stranger.batch_execute("begin; select from tollgate.credit_balances for update").await.unwrap();
    let mut client = house.client().await;
    client.send(&Ask::chat().bytes(&org.token)).await;
    let waiting = "select count(*) from pg_stat_activity
                     where datname = current_database() and wait_event_type = 'Lock'";
    crate::harness::until("its hold waits", async || house.count(waiting).await >= 1).await;
    client.reset();
    let mover = Mover::new(house.places.clone());
    let (outcome, ()) = tokio::join!(mover.move_to(org.id, &Place::Schema), async {
        crate::harness::until("calls are held up", async || {
            house.places.standing(org.id).await.unwrap().held_up
        })
        .await;
        stranger.batch_execute("rollback").await.unwrap();
    });
    outcome.unwrap();
    house.check().await;
    assert_eq!(house.balance(&org).await, (RICH, 0, 0));
    house.close().await;
}
