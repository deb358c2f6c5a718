//! The proof of isolation for each placement, and the weaknesses that make it fail there.

use serde_json::Value;
use tokio_postgres::Client;
use tollgate::postgres::{
    Place, Schema,
    prove::{self, Extent, Proof},
};

use super::{
    command::{must, run},
    harness::{Ask, House},
    residence::{house, made},
    street::{FAR, connect, far},
};

/// The codes that are red, by place.
fn red(proofs: &Value) -> Vec<(String, String)> {
    let mut red = Vec::new();
    for proof in proofs["places"].as_array().unwrap() {
        for finding in proof["findings"].as_array().unwrap() {
            red.push((
                proof["place"].as_str().unwrap().into(),
                finding["code"].as_str().unwrap().into(),
            ));
        }
    }
    red.dedup();
    red
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_placement_is_proven_by_the_same_command() {
    let house = house().await;
    let (apart, gone) = (made(&house, &Place::Schema).await, made(&house, &far()).await);
    for org in [&apart, &gone] {
        assert_eq!(house.ask(org, &Ask::chat()).await.status, 200);
    }
    let schema = Schema::of(apart.id);
    // All of it, in all three at once: as the command does it one after the other, which takes a minute more.
    let [near, far] = [&house.database, &house.setup.placements[0].1];
    let proof = async |config, schema| prove::run_in(config, schema, Extent::Full, None).await;
    let (main, own, other) = tokio::join!(
        proof(near, &Schema::SHARED),
        proof(near, &schema),
        proof(far, &Schema::SHARED)
    );
    let proofs = [main, own, other].map(Result::unwrap);
    for (proof, place) in proofs.iter().zip(["main", schema.name(), FAR]) {
        assert!(proof.holds(), "{place}: {proof}");
        let figures = |proof: &Proof| {
            [proof.tables, proof.policies, proof.canaries, proof.probes, proof.calls]
        };
        for (figure, least) in figures(proof).into_iter().zip(figures(&proofs[0])) {
            assert!(figure >= least && least > 20, "{place}: {proof}");
        }
        // What this server has not, and nothing else.
        assert!(
            proof.unchecked.iter().all(|what| what.ends_with("this server does not have it")
                || what == "sealed claims are off"),
            "{place}: {proof}"
        );
    }
    let read_only = must(&house, &["prove", "--read-only"]).await;
    assert_eq!(red(&read_only), []);
    let places = read_only["places"].as_array().unwrap().iter();
    let places: Vec<_> = places.map(|proof| proof["place"].as_str().unwrap()).collect();
    assert_eq!(places, ["main", schema.name(), FAR]);

    // Rows that are not in their place.
    let here = connect(&house.database).await;
    let there = connect(&house.setup.placements[0].1).await;
    let stray = format!(
        "insert into tollgate.memberships (organization_id, user_id, role) values ('{}', 'ann', 'owner')",
        apart.id
    );
    here.batch_execute(&stray).await.unwrap();
    let stranger = "insert into tollgate.organizations (organization_id, name) values (gen_random_uuid(), 'x')";
    there.batch_execute(stranger).await.unwrap();
    let (proofs, holds, said) = run(&house, &["prove", "--read-only"]).await;
    assert!(!holds && proofs["ok"] == false, "{said}");
    assert_eq!(proofs["findings"].as_array().unwrap().len(), 2);
    assert_eq!(red(&proofs), [("main".into(), "P08".into()), (FAR.into(), "P08".into())]);
    here.batch_execute("delete from tollgate.memberships").await.unwrap();
    there.batch_execute("delete from tollgate.organizations where name = 'x'").await.unwrap();
    house.check().await;
    house.close().await;
}

async fn after(client: &Client, schema: &Schema, sql: &str, extent: Extent<'_>) -> Proof {
    client.batch_execute("begin").await.unwrap();
    client.batch_execute(&sql.replace("tollgate.", &format!("{schema}."))).await.unwrap();
    let proof = prove::within(client, schema, extent).await.unwrap();
    client.batch_execute("rollback").await.unwrap();
    proof
}

async fn turns_red(house: &House, place: &Place, schema: &Schema) {
    let config = if *place == far() { &house.setup.placements[0].1 } else { &house.database };
    let client = connect(config).await;
    let weak = [
        ("drop policy usage_select_owner on tollgate.usage", "C03"),
        ("alter policy audit_events_select_member on tollgate.audit_events using (true)", "P01"),
        ("alter table tollgate.credit_ledger no force row level security", "C01"),
        ("alter policy policies_select_admin on tollgate.policies using (organization_id = (select tollgate.current_organization_id()))", "P02"),
        ("drop policy settings_insert_mover on tollgate.settings", "C27"),
        ("alter policy usage_delete_mover on tollgate.usage using (organization_id = (select tollgate.current_organization_id()))", "P07"),
        ("create or replace function tollgate.expire(p_organization_id uuid, p_claims text, p_limit integer) returns integer
            language plpgsql security definer set search_path = pg_catalog, pg_temp as 'begin perform tollgate.enter(p_organization_id, p_claims); return 0; end'", "C28"),
    ];
    let wall = [
        ("alter table tollgate.usage drop constraint only_organization", "C26"),
        (
            "create or replace function tollgate.only_organization() returns uuid language sql immutable parallel safe return null::uuid",
            "C26",
        ),
    ];
    let own = if *place == Place::Schema { &wall[..] } else { &[] };
    for (sql, code) in weak.iter().chain(own) {
        // What the catalog shows by itself, and what is seen by trying on that table.
        let table = sql.split("tollgate.").nth(1).and_then(|rest| rest.split(' ').next());
        let extent =
            if code.starts_with('C') { Extent::Catalog } else { Extent::Table(table.unwrap()) };
        let proof = after(&client, schema, sql, extent).await;
        assert!(proof.findings.iter().any(|one| one.code == *code), "{place}: {sql}\n{proof}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_weakness_in_any_placement_turns_its_proof_red() {
    let house = house().await;
    let apart = made(&house, &Place::Schema).await;
    turns_red(&house, &Place::Row, &Schema::SHARED).await;
    turns_red(&house, &Place::Schema, &Schema::of(apart.id)).await;
    turns_red(&house, &far(), &Schema::SHARED).await;
    house.close().await;
}
