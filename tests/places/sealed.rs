//! Sealed claims, which every place demands.

use tollgate::postgres::{
    Place, Schema, Seal,
    prove::{self, Extent},
};

use super::{
    calls::{moves_among, nothing_lost},
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
    for to in [Place::Schema, far(), Place::Row] {
        moves_among(&house, &org, &to, &crowd).await;
    }
    let answers = crowd.disperse().await;
    assert_eq!(answers.unavailable, 0);
    nothing_lost(&house, &[(&org, answers)]).await;
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_place_asks_for_the_same_seals() {
    let house = sealed().await;
    let (apart, gone) = (made(&house, &Place::Schema).await, made(&house, &far()).await);
    let schema = Schema::of(apart.id);
    // That reading is proven under seals, by the command; and writing, for one table, which is as good as any: the whole
    // proof is made in each place without seals, and with them in the suite of the proof.
    let proofs = must(&house, &["prove", "--read-only"]).await;
    let proofs = proofs["places"].as_array().unwrap();
    assert_eq!(proofs.len(), 3);
    for proof in proofs {
        assert!(!proof["unchecked"].to_string().contains("seal"), "{proof}");
        assert!(proof["tables"].as_u64() > Some(20), "{proof}");
    }
    let far = &house.setup.placements[0].1;
    for (config, schema) in
        [(&house.database, &Schema::SHARED), (&house.database, &schema), (far, &Schema::SHARED)]
    {
        let proof = prove::run_in(config, schema, Extent::Table("credit_balances"), None).await;
        let proof = proof.unwrap();
        assert!(proof.holds() && proof.probes > 200, "{schema}: {proof}");
        let unchecked = proof.unchecked.iter().collect::<Vec<_>>();
        assert!(unchecked.iter().all(|what| !what.contains("seal")), "{schema}: {unchecked:?}");
        // What the proof of claims with another seal, or none, found.
        assert!(proof.to_string().contains("P06"), "{schema}: {proof}");
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
