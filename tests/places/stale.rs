//! Gateways that still have an organization's old place in their cache.

use tollgate::{
    domain::policy::{AllowList, Policy},
    postgres::{
        Place,
        places::{Mover, Step},
    },
    store::admin::PolicyAdmin,
};

use super::{
    harness::{Ask, Client, House, MODEL, Org, RICH, until},
    residence::house,
    street::{far, rows},
    walk::Walk,
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

/// What each gateway answers: the status, and the code of a refusal.
async fn answers(house: &House, org: &Org) -> Vec<(u16, String)> {
    let mut answers = Vec::new();
    for gateway in &house.gateways {
        let mut client = Client::open(gateway.address).await;
        client.send(&Ask::chat().bytes(&org.token)).await;
        let answer = client.answer().await.unwrap();
        let code = answer.json()["error"]["code"].as_str().unwrap_or_default().to_owned();
        answers.push((answer.status, code));
    }
    answers
}

/// Waits until all gateways answer this.
async fn all_answer(house: &House, org: &Org, status: u16, code: &str) {
    let expected = (status, code.to_owned());
    until(&format!("{expected:?}"), async || {
        answers(house, org).await.iter().all(|answer| *answer == expected)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_old_place_has_left_is_believed_by_nobody() {
    let mut house = house().await;
    house.start().await;
    let org = house.organization(RICH).await;
    let only = |model: &str| Policy {
        models: AllowList::Only(vec![model.to_owned()]),
        ..Policy::default()
    };
    all_answer(&house, &org, 200, "").await;
    for (from, to) in [(Place::Row, Place::Schema), (Place::Schema, far())] {
        // It leaves suspended, under a policy that refuses every call; and the mover dies before anything is removed.
        house.operator.set_policy(org.id, &only("other")).await.unwrap();
        house.operator.set_suspended(org.id, true).await.unwrap();
        all_answer(&house, &org, 403, "organization_suspended").await;
        let mut walk = Walk::begin(house.places.clone(), org.id, &to);
        walk.reaches(Step::Moved).await;
        walk.dies().await;
        assert!(rows(&house, org.id, &from).await > 1, "nothing was left in {from}");
        // Resumed where it is, under a policy that the old place never had.
        house.operator.set_policy(org.id, &only(MODEL)).await.unwrap();
        house.operator.set_suspended(org.id, false).await.unwrap();
        all_answer(&house, &org, 200, "").await;
        // So reads it a gateway that has heard of nothing.
        house.start().await;
        let of_new = answers(&house, &org).await.pop();
        assert_eq!(of_new, Some((200, String::new())), "{to}");
        house.operator.set_policy(org.id, &only("other")).await.unwrap();
        all_answer(&house, &org, 403, "model_not_allowed").await;
        // The hold asks for this itself: it is in force at once.
        house.operator.set_policy(org.id, &only(MODEL)).await.unwrap();
        all_answer(&house, &org, 200, "").await;
        house.operator.set_suspended(org.id, true).await.unwrap();
        let suspended = (403, "organization_suspended".to_owned());
        assert!(answers(&house, &org).await.iter().all(|answer| *answer == suspended), "{to}");
        let mover = Mover::new(house.places.clone());
        assert_eq!(mover.move_to(org.id, &to).await.unwrap(), None);
    }
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
    until("its hold waits", async || house.count(waiting).await >= 1).await;
    client.reset();
    let mover = Mover::new(house.places.clone());
    let (outcome, ()) = tokio::join!(mover.move_to(org.id, &Place::Schema), async {
        until("calls are held up", async || {
            house.places.whereabouts(org.id).await.unwrap().held_up
        })
        .await;
        stranger.batch_execute("rollback").await.unwrap();
    });
    outcome.unwrap();
    house.check().await;
    assert_eq!(house.balance(&org).await, (RICH, 0, 0));
    house.close().await;
}
