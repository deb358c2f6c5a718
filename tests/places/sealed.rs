//! Claims that must be sealed, in every place.

use tollgate::postgres::{Place, Schema, Seal, places::Mover};

use crate::{
    calls::nothing_lost,
    command::{must, tollgate},
    crowd::Crowd,
    harness::{Ask, House, RICH, Setup},
    residence::made,
    street::{FAR, connect, far, far_database},
};

fn key(digit: &str) -> String {
    digit.repeat(64)
}

async fn sealed() -> House {
    let placements = vec![(FAR.to_owned(), far_database().await)];
    let seal = Some(Seal::from_hex(&key("5")).unwrap());
    House::with(Setup { seal, placements, ..Setup::default() }).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_go_on_while_a_sealed_organization_moves() {
    let house = sealed().await;
    let org = house.organization(RICH).await;
    let crowd = Crowd::gather(&house, &org);
    let mover = Mover::new(house.places.clone());
    crowd.goes_on(20).await;
    for to in [Place::Schema, far(), Place::Row] {
        mover.move_to(org.id, &to).await.unwrap();
        crowd.goes_on(20).await;
    }
    let answers = crowd.disperse().await;
    nothing_lost(&house, &[(&org, answers)]).await;
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_place_asks_for_the_same_seals() {
    let house = sealed().await;
    let (apart, gone) = (made(&house, &Place::Schema).await, made(&house, &far()).await);
    let schema = Schema::of(apart.id);
    let proofs = must(&house, &["prove"]).await;
    for proof in proofs["places"].as_array().unwrap() {
        assert!(!proof["unchecked"].to_string().contains("seal"), "{proof}");
    }
    // Claims without a seal count for nothing in any of them.
    let asked = format!(
        "select set_config('request.jwt.claims', '{{\"organization_id\": \"{}\"}}', false); set role tollgate_viewer; select from tollgate.organizations",
        apart.id
    );
    for (config, schema) in
        [(&house.database, &schema), (&house.setup.placements[0].1, &Schema::SHARED)]
    {
        let client = connect(config).await;
        let asked = asked.replace("tollgate.organ", &format!("{schema}.organ"));
        let refused = client.batch_execute(&asked).await.unwrap_err();
        assert_eq!(refused.code().unwrap().code(), "28000", "{refused}");
    }
    // Another key, everywhere.
    let mut command = tollgate(&house, &["migrate", "--seal-key", "env:OTHER_KEY"]);
    let output = command.env("OTHER_KEY", key("6")).output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for org in [&apart, &gone] {
        assert_eq!(house.ask(org, &Ask::chat()).await.status, 503);
    }
    let mut command = tollgate(&house, &["migrate", "--seal-key", "env:OTHER_KEY"]);
    let output = command.env("OTHER_KEY", key("5")).output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for org in [&apart, &gone] {
        assert_eq!(house.ask(org, &Ask::chat()).await.status, 200);
    }
    house.check().await;
    house.close().await;
}
