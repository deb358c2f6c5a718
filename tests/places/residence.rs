//! Living in each placement: made, paid, called, configured, counted and proven by the same commands.

use serde_json::json;
use tollgate::{
    domain::ids::OrganizationId,
    gateway::Stores,
    postgres::{Place, migrate},
};
use uuid::Uuid;

use crate::{
    command::{must, run},
    harness::{Ask, House, Org, Setup, cost},
    street::{FAR, connect, far, far_database, rows},
};

pub(crate) async fn house() -> House {
    let placements = vec![(FAR.to_owned(), far_database().await)];
    House::with(Setup { placements, ..Setup::default() }).await
}

/// Made by command, with credits.
pub(crate) async fn made(house: &House, place: &Place) -> Org {
    let org = house.nobody();
    let id = org.id.to_string();
    let mut arguments = vec!["org", "create", "--name", "Made", "--id", &id];
    arguments.extend(["--placement", place.placement()]);
    if *place == far() {
        arguments.extend(["--database", FAR]);
    }
    let made = must(house, &arguments).await;
    assert_eq!(made["placement"]["kind"], place.placement());
    must(house, &["credits", "grant", "--org", &id, "--amount", "10", "--reference", "a"]).await;
    org
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_organization_lives_in_each_placement_as_in_any_other() {
    let house = house().await;
    let mut charged = 0;
    for place in [Place::Row, Place::Schema, far()] {
        let org = made(&house, &place).await;
        let id = org.id.to_string();
        let again =
            must(&house, &["credits", "grant", "--org", &id, "--amount", "10", "--reference", "a"])
                .await;
        assert_eq!(
            (&again["replayed"], &again["credits"]["posted"]),
            (&json!(true), &json!(10_000_000_000_i64))
        );
        let (_, made_twice, said) =
            run(&house, &["org", "create", "--name", "Made", "--id", &id, "--placement", "schema"])
                .await;
        assert!(!made_twice && said.contains("already"), "{said}");

        for ask in [Ask::chat(), Ask::chat().streamed()] {
            let answer = house.ask(&org, &ask).await;
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
        must(&house, &["org", "suspend", &id]).await;
        assert_eq!(house.ask(&org, &Ask::chat()).await.status, 403);
        assert_eq!(must(&house, &["org", "show", &id]).await["suspended"], true);
        must(&house, &["org", "resume", &id]).await;
        must(&house, &["policy", "set", "--org", &id, r#"{"budgets": {"daily_tokens": 1}}"#]).await;
        assert_eq!(house.ask(&org, &Ask::chat()).await.status, 429);
        must(&house, &["policy", "set", "--org", &id, "--replace", "{}"]).await;
        assert_eq!(house.ask(&org, &Ask::chat()).await.status, 200);

        for other in [Place::Row, Place::Schema, far()] {
            let there = rows(&house, org.id, &other).await;
            let expected =
                if other == place { there.max(2) } else { i64::from(other == Place::Row) };
            assert_eq!(there, expected, "{place} has rows in {other}");
        }
        let calls = house.rows().await;
        let own = calls.iter().filter(|row| row.organization == org.id.as_uuid());
        charged += own.map(|row| cost(&row.served)).sum::<i64>();
    }
    house.check().await;
    // As gateways do it by themselves, and as the operator does.
    let checked = Stores::over(house.places.clone()).upkeep.reconcile().await.unwrap();
    assert!(checked.organizations == 3 && checked.broken.is_empty(), "{checked:?}");
    let books = must(&house, &["reconcile"]).await;
    assert_eq!((&books["organizations"], &books["charged"]), (&json!(3), &json!(charged)));
    let listed = must(&house, &["org", "show"]).await;
    assert_eq!(listed["organizations"].as_array().unwrap().len(), 3);
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn usage_names_a_price_that_is_in_its_place() {
    let house = house().await;
    for place in [Place::Schema, far()] {
        let org = made(&house, &place).await;
        assert_eq!(house.ask(&org, &Ask::chat()).await.status, 200);
        let config = if place == far() { &house.setup.placements[0].1 } else { &house.database };
        let (client, schema) = (connect(config).await, place.schema(org.id));
        let priced = format!(
            "select count(*) from {schema}.usage join {schema}.prices using (price_id) join {schema}.price_tiers using (price_id) where organization_id = $1"
        );
        let count = async || -> i64 {
            client.query_one(&priced, &[&org.id.as_uuid()]).await.unwrap().get(0)
        };
        assert_eq!(count().await, 1, "{place}");
        // A new price is there with the next import.
        let mut dearer = crate::harness::price();
        dearer.tiers[0].rates.input += 1_000_000;
        house.operator.import_prices([&dearer]).await.unwrap();
        let sql = format!("select count(*) from {schema}.prices");
        assert!(client.query_one(&sql, &[]).await.unwrap().get::<_, i64>(0) >= 2);
        house.operator.import_prices([&crate::harness::price()]).await.unwrap();
    }
    house.check().await;
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_made_leaves_nothing() {
    let house = house().await;
    let create = ["org", "create", "--name", "X"];
    for (more, why) in [
        (vec!["--placement", "schema", "--time-zone", "Atlantis/Centre"], "no time zone"),
        (
            vec!["--placement", "database", "--database", "nowhere"],
            "no database:nowhere in the configuration",
        ),
        (vec!["--placement", "row", "--database", FAR], "--database names the place"),
        (vec!["--placement", "database"], "--database <NAME>"),
    ] {
        let (_, ok, said) = run(&house, &[&create[..], &more].concat()).await;
        assert!(!ok && said.contains(why), "{said}");
    }
    assert_eq!(migrate::own_schemas(&house.database).await.unwrap(), []);
    assert_eq!(must(&house, &["org", "show"]).await["organizations"], json!([]));
    let nobody = OrganizationId::new(Uuid::now_v7()).to_string();
    let (_, ok, said) = run(&house, &["org", "move", &nobody, "--to", "schema"]).await;
    assert!(!ok && said.contains("there is no organization"), "{said}");
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_gateways_own_login_moves_nobody() {
    let house = house().await;
    let org = made(&house, &Place::Row).await;
    let mut command =
        crate::command::tollgate(&house, &["org", "move", &org.id.to_string(), "--to", "schema"]);
    command.env("DATABASE_URL", house.url("tollgate_login"));
    let output = command.output().await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("needs the administrator"), "{said}");
    assert_eq!(house.ask(&org, &Ask::chat()).await.status, 200);
    house.check().await;
    house.close().await;
}
