//! Each placement works with the same commands: create, grant, call, configure, reconcile and prove.

use serde_json::json;
use tollgate::{
    domain::ids::OrganizationId,
    gateway::Stores,
    postgres::{Place, Schema, migrate},
    store::admin::BookAdmin,
};
use uuid::Uuid;

use super::{
    command::{must, run},
    harness::{Ask, Client, House, Org, Row, Setup, cost, price},
    street::{FAR, Street, connect, far, far_database, rows},
};

pub(crate) async fn house() -> House {
    let placements = vec![(FAR.to_owned(), far_database().await)];
    House::with(Setup { placements, ..Setup::giving_up() }).await
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

/// The rows that an organization has in one table of a place.
async fn rows_of(house: &House, org: &Org, place: &Place, table: &str) -> Vec<String> {
    let schema = place.schema(org.id);
    let sql =
        format!("select to_jsonb(t)::text from {schema}.{table} t where organization_id = $1");
    let client = connect(database_of(house, place)).await;
    let rows = client.query(&sql, &[&org.id.as_uuid()]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

/// Where a place is.
pub(crate) fn database_of<'a>(house: &'a House, place: &Place) -> &'a tokio_postgres::Config {
    if *place == far() { &house.setup.placements[0].1 } else { &house.database }
}

/// As [`House::close`], of calls that were charged otherwise than by the harness' price: each as is said. The books.
pub(crate) async fn close_at(mut house: House, charge: impl Fn(&Row) -> i64) -> Vec<Row> {
    for gateway in std::mem::take(&mut house.gateways) {
        gateway.stop.cancel();
        assert_eq!(gateway.task.await.unwrap().cut, 0, "open connections at the end of a test");
    }
    let rows = house.rows().await;
    for row in &rows {
        assert_eq!((row.charged, row.debt), (charge(row), 0), "{row:?}");
        assert_eq!((row.served.calls, row.estimated, row.clamped), (1, false, false), "{row:?}");
    }
    let served = house.mock.served_total().calls;
    assert_eq!(u64::try_from(rows.len()).unwrap(), served);
    let books = house.operator.reconcile().await.unwrap();
    assert!(books.broken.is_empty(), "{:?}", books.broken);
    assert_eq!((books.holds_open, books.balance.held.nanos()), (0, 0));
    assert_eq!(books.charged.nanos(), rows.iter().map(|row| row.charged).sum::<i64>());
    rows
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

        // Three calls, and all that belongs to them, here; elsewhere nothing but the directory's row.
        for (table, expected) in [
            ("organizations", 1),
            ("policies", 1),
            ("credit_balances", 1),
            ("credit_holds", 3),
            ("usage", 3),
            ("audit_events", 3),
            // A grant; and a hold and a settlement of each call.
            ("credit_ledger", 7),
        ] {
            let found = rows_of(&house, &org, &place, table).await;
            assert_eq!(found.len(), expected, "{place}: {table}: {found:#?}");
        }
        for other in [Place::Row, Place::Schema, far()].into_iter().filter(|other| *other != place)
        {
            let there = rows(&house, org.id, &other).await;
            assert_eq!(there, i64::from(other == Place::Row), "{place} has rows in {other}");
        }
        let calls = house.rows().await;
        let own: Vec<_> = calls.iter().filter(|row| row.organization == org.id.as_uuid()).collect();
        assert_eq!(own.len(), 3, "{place}");
        charged += own.iter().map(|row| cost(&row.served)).sum::<i64>();
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
    let mut house = house().await;
    let mut dear = Vec::new();
    for place in [Place::Schema, far()] {
        let org = made(&house, &place).await;
        let (client, schema) = (connect(database_of(&house, &place)).await, place.schema(org.id));
        let priced = format!(
            "select u.request_id, t.input from {schema}.usage u join {schema}.prices using (price_id) join {schema}.price_tiers t using (price_id)
               where organization_id = $1 order by u.request_id"
        );
        assert_eq!(house.ask(&org, &Ask::chat()).await.status, 200);
        // A new price is there with the next import; a gateway that starts then goes by it.
        let mut dearer = price();
        dearer.tiers[0].rates.input += 1_000_000;
        house.operator.import_prices([&dearer]).await.unwrap();
        house.start().await;
        let mut other = Client::open(house.gateways.last().unwrap().address).await;
        other.send(&Ask::chat().bytes(&org.token)).await;
        assert_eq!(other.answer().await.unwrap().status, 200);
        let found = client.query(&priced, &[&org.id.as_uuid()]).await.unwrap();
        let inputs: Vec<i64> = found.iter().map(|row| row.get(1)).collect();
        let rates = [price(), dearer].map(|price| price.tiers[0].rates.input);
        assert_eq!(inputs, rates, "{place}");
        dear.push(found[1].get::<_, Uuid>(0));
        house.operator.import_prices([&price()]).await.unwrap();
    }
    let rows = close_at(house, |row| {
        let more = if dear.contains(&row.request) { row.served.input_tokens } else { 0 };
        cost(&row.served) + i64::try_from(more).unwrap()
    });
    assert_eq!(rows.await.len(), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_schema_of_its_own_takes_no_row_of_another_organization() {
    let street = Street::open().await;
    let [own, other] = [(); 2].map(|()| OrganizationId::new(Uuid::now_v7()));
    street.mover().create(own, "Own", "UTC", &Place::Schema).await.unwrap();
    let (client, schema) = street.look(own, &Place::Schema).await;
    let tables = format!(
        "select attrelid::regclass::text from pg_attribute join pg_class c on c.oid = attrelid
           where relnamespace = '{schema}'::regnamespace and relkind in ('r', 'p') and not relispartition and attname = 'organization_id'"
    );
    let tables = client.query(&tables, &[]).await.unwrap();
    let mut open: Vec<String> = tables.iter().map(|row| row.get(0)).collect();
    assert!(open.len() > 30, "{open:?}");
    // As the superuser, whom no policy stops, and without regard to foreign keys.
    client.batch_execute("set session_replication_role = replica").await.unwrap();
    let rows =
        include_str!("../stores/canaries.sql").lines().filter(|line| !line.starts_with("--"));
    let rows = rows.collect::<Vec<_>>().join("\n");
    let rows = rows
        .replace(":organization", &format!("'{other}'::uuid"))
        .replace("tollgate.", &format!("{schema}."));
    for insert in rows.split_inclusive(';').filter(|sql| sql.contains("insert into")) {
        let refused = client.batch_execute(insert).await.expect_err(insert);
        let refused = refused.as_db_error().unwrap();
        assert_eq!(refused.constraint(), Some("only_organization"), "{refused}: {insert}");
        let table = insert.split_once("insert into ").unwrap().1.split(' ').next().unwrap();
        open.retain(|other| other != table);
    }
    assert_eq!(open, [""; 0], "tables that nothing was tried on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn migrating_goes_through_all_places() {
    let house = house().await;
    let org = made(&house, &Place::Schema).await;
    let schema = Schema::of(org.id);
    let all = [("main", &Schema::SHARED), (schema.name(), &schema), (FAR, &Schema::SHARED)];
    let migrated = async |each: u64| {
        let migrated = must(&house, &["migrate"]).await;
        let expected = all.map(|(place, _)| json!({"place": place, "applied": each}));
        assert_eq!(migrated["places"], json!(expected), "{migrated}");
    };
    migrated(0).await;
    // The last migration can be run again.
    for (place, schema) in &all {
        let config = if *place == FAR { &house.setup.placements[0].1 } else { &house.database };
        let forget = format!(
            "delete from {schema}.schema_history where version = (select max(version) from {schema}.schema_history)"
        );
        connect(config).await.batch_execute(&forget).await.unwrap();
    }
    migrated(1).await;
    migrated(0).await;
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_made_leaves_nothing() {
    let house = house().await;
    let create = ["org", "create", "--name", "X"];
    for (more, why) in [
        (vec!["--placement", "schema", "--time-zone", "Atlantis/Centre"], "not a time zone"),
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
        super::command::tollgate(&house, &["org", "move", &org.id.to_string(), "--to", "schema"]);
    command.env("DATABASE_URL", house.url("tollgate_login"));
    let output = command.output().await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("needs the administrator"), "{said}");
    assert_eq!(house.ask(&org, &Ask::chat()).await.status, 200);
    house.check().await;
    house.close().await;
}
