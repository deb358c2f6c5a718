//! Budgets, rates, mark-ups and heartbeats, in every place and across moves.

use std::time::Duration;

use tollgate::{
    gateway::config::Credit,
    postgres::{Place, places::Mover},
    store::admin::AgreementAdmin,
};

use super::{
    command::must,
    harness::{Ask, Client, House, Org, Setup, cost, until},
    residence::{close_at, house, made},
    street::{FAR, far, far_database},
};

/// Renewed four times as often: whoever is late by less than three quarters of it lets no hold expire.
const HOLD_TTL: Duration = Duration::from_secs(12);

/// What a gateway that has heard of nothing answers to two calls, with the code of a refusal.
async fn ask_a_new_one(house: &mut House, org: &Org) -> [(u16, String); 2] {
    house.start().await;
    let mut client = Client::open(house.gateways.last().unwrap().address).await;
    let mut ask = async || {
        client.send(&Ask::chat().bytes(&org.token)).await;
        let answer = client.answer().await.unwrap();
        (answer.status, answer.json()["error"]["code"].as_str().unwrap_or_default().to_owned())
    };
    [ask().await, ask().await]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn budgets_and_rates_are_set_met_and_taken_along() {
    let mut house = house().await;
    let org = made(&house, &Place::Row).await;
    let (id, mover) = (org.id.to_string(), Mover::new(house.places.clone()));
    let ok = (200, String::new());
    let day = ["--org", &id, "--scope", "organization", "--window", "day"];
    assert_eq!(ask_a_new_one(&mut house, &org).await, [ok.clone(), ok.clone()]);
    for to in [Place::Schema, far(), Place::Row] {
        // Spent where it was, refused where it is.
        must(&house, &[&["budgets", "set"], &day[..], &["--tokens", "1"]].concat()).await;
        let rate = ["--org", &id, "--scope", "organization"];
        must(&house, &[&["limits", "set"], &rate[..], &["--requests-per-minute", "1"]].concat())
            .await;
        mover.move_to(org.id, &to).await.unwrap();
        let [spent, _] = ask_a_new_one(&mut house, &org).await;
        assert_eq!(spent, (429, "budget_exceeded".to_owned()), "{to}");
        let shown = must(&house, &["budgets", "show", "--org", &id]).await;
        assert_eq!(shown["budgets"].as_array().unwrap().len(), 1, "{shown}");
        assert!(shown["budgets"][0]["now"]["tokens_used"].as_i64() > Some(1), "{shown}");
        let events = must(&house, &["budgets", "events", "--org", &id]).await;
        assert!(
            events["events"].as_array().unwrap().iter().any(|one| one["refused"] == true),
            "{events}"
        );
        must(&house, &[&["budgets", "remove"], &day[..]].concat()).await;
        // One call a minute: the second one is too many.
        let shown = must(&house, &["limits", "show", "--org", &id]).await;
        assert_eq!(shown["limits"][0]["requests_per_minute"], 1, "{shown}");
        let limited = (429, "rate_limit_exceeded".to_owned());
        assert_eq!(ask_a_new_one(&mut house, &org).await, [ok.clone(), limited], "{to}");
        must(&house, &[&["limits", "remove"], &rate[..]].concat()).await;
        assert_eq!(ask_a_new_one(&mut house, &org).await, [ok.clone(), ok.clone()], "{to}");
    }
    house.check().await;
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mark_up_is_charged_in_each_placement() {
    let house = house().await;
    let org = made(&house, &Place::Row).await;
    let (id, mover) = (org.id.to_string(), Mover::new(house.places.clone()));
    house.operator.set_markup(org.id, 10_000, None).await.unwrap();
    for to in [Place::Schema, far(), Place::Row] {
        mover.move_to(org.id, &to).await.unwrap();
        assert_eq!(house.ask(&org, &Ask::chat()).await.status, 200);
    }
    let books = must(&house, &["reconcile"]).await;
    assert_eq!(books["ok"], true, "{books}");
    let bill = must(&house, &["prices", "rebill", "--org", &id, "--from", "2020-01-01"]).await;
    assert_eq!(bill["ok"], true, "{bill}");
    let rows = close_at(house, |row| 2 * cost(&row.served)).await;
    assert_eq!(rows.len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_calls_hold_is_renewed_where_it_has_gone() {
    let placements = vec![(FAR.to_owned(), far_database().await)];
    let credit = Credit { hold_ttl: HOLD_TTL, ..Credit::default() };
    let house = House::with(Setup { credit, placements, ..Setup::giving_up() }).await;
    let org = made(&house, &Place::Row).await;
    let mover = Mover::new(house.places.clone());
    let ask = Ask::chat().streamed().mock("output-tokens", 4).mock("hang", "body");
    let mut client = Client::open(house.address()).await;
    client.send(&ask.bytes(&org.token)).await;
    assert_eq!(client.head().await.unwrap().status, 200);
    for to in [Place::Schema, far()] {
        mover.move_to(org.id, &to).await.unwrap();
        let config = if to == far() { &house.setup.placements[0].1 } else { &house.database };
        let schema = to.schema(org.id);
        let there = super::street::connect(config).await;
        let expires = format!("select max(expires_at)::text from {schema}.credit_holds");
        let expires =
            async || -> Option<String> { there.query_one(&expires, &[]).await.unwrap().get(0) };
        let arrived = expires().await.unwrap();
        until("its hold is renewed there", async || expires().await != Some(arrived.clone())).await;
    }
    must(&house, &["org", "suspend", &org.id.to_string()]).await;
    client.read_to(b"\r\n0\r\n\r\n").await;
    let rows = house.check().await;
    assert_eq!(rows.iter().map(|row| row.ending.as_str()).collect::<Vec<_>>(), ["cut"]);
    assert_eq!(must(&house, &["reconcile"]).await["expired"], 0);
    house.close().await;
}
