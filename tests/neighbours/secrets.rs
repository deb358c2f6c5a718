//! An organization with something to hide in every place, and what its books hold.

use std::collections::BTreeMap;

use serde_json::{from_value, json};
use tokio_postgres::Client;
use tollgate::domain::{policy::Policy, role::Role, switch::Switch};
use tollgate::store::admin::SwitchAdmin;
use uuid::Uuid;

use super::harness::{Ask, BOTH, House, Org, RICH};

/// In every word that belongs to the other organization.
pub(crate) const CANARY: &str = "canaryblue";
/// A model that only the other organization may use.
pub(crate) const MODEL: &str = "canaryblue-model";
/// The caller's own name for the other organization's calls.
pub(crate) const REQUEST: &str = "request-of-theirs";

/// The secret model has a price.
pub(crate) async fn price(house: &House) {
    let price =
        tollgate::domain::price::ModelPrice { model: MODEL.into(), ..super::harness::price() };
    house.operator.import_prices([&price]).await.unwrap();
}

/// An organization that may use the model of all, and has enough.
pub(crate) async fn plain(house: &House) -> Org {
    let policy: Policy = from_value(json!({"models": ["small"]})).unwrap();
    house.organization_with(RICH, policy).await
}

/// An organization with members, calls, prompts and a model of its own.
pub(crate) async fn secretive(house: &House) -> Org {
    let policy: Policy = from_value(json!({"models": ["small", MODEL]})).unwrap();
    let org = house.organization_with(RICH, policy).await;
    house.operator.set_role(org.id, CANARY, Role::Owner).await.unwrap();
    let somebody = Switch::User(CANARY.into());
    assert!(house.operator.turn_on(org.id, &somebody, Some(CANARY)).await.unwrap());
    for ask in BOTH.map(Ask::of) {
        for ask in [ask.clone(), ask.streamed().model(MODEL)] {
            // Not as the model is called, whose name may be in a log.
            let ask = ask.saying(format!("{CANARY}-words")).header("x-request-id", REQUEST);
            let answer = house.ask(&org, &ask).await;
            assert_eq!(answer.status, 200, "{}", answer.text());
            assert!(answer.text().contains(CANARY));
        }
    }
    org
}

/// Every row of an organization, in whatever tables there are: how many, and their digest.
pub(crate) async fn rows_of(admin: &Client, organization: Uuid) -> BTreeMap<String, (i64, String)> {
    let tables = "select a.attrelid::regclass::text from pg_attribute a
        join pg_class c on c.oid = a.attrelid and c.relkind in ('r', 'p') and not c.relispartition
        where c.relnamespace = 'tollgate'::regnamespace and a.attname = 'organization_id'";
    let mut found = BTreeMap::new();
    for table in admin.query(tables, &[]).await.unwrap() {
        let table: String = table.get(0);
        let digest = format!(
            "select count(*), coalesce(md5(string_agg(r::text, ',' order by r::text)), '')
               from {table} r where organization_id = $1"
        );
        let row = admin.query_one(&digest, &[&organization]).await.unwrap();
        found.insert(table, (row.get(0), row.get(1)));
    }
    found
}
