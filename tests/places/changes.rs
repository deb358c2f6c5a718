//! Changes by the operator while an organization is being moved.

use std::{collections::BTreeSet, num::NonZeroU32};

use tollgate::{
    domain::{
        credits::Credits,
        hold::Window,
        ids::OrganizationId,
        policy::{AllowList, Policy},
        role::Role,
        scope::Scope,
        switch::Switch,
    },
    postgres::{Operator, Place, places::Step},
    store::admin::{
        AgreementAdmin, BudgetAdmin, Budgeted, CapChange, CreditAdmin, LimitAdmin, Limited,
        PolicyAdmin, RateChange, RateChanges, SwitchAdmin,
    },
};

use super::{
    harness::{price, until},
    moves::everything,
    street::{Street, connect, far},
    walk::Walk,
};

/// What the operator's role may write of an organization: its tables, and the columns of its own row.
const WRITABLE: &str = "
    select table_name::text from information_schema.table_privileges join information_schema.columns using (table_schema, table_name)
      where table_schema = 'tollgate' and grantee = 'tollgate_platform' and privilege_type in ('INSERT', 'UPDATE', 'DELETE')
        and column_name = 'organization_id'
    union
    select table_name || '.' || column_name from information_schema.column_privileges
      where table_schema = 'tollgate' and grantee = 'tollgate_platform' and table_name = 'organizations' and privilege_type = 'UPDATE'
    order by 1";

/// An organization's own row in a place, without where it is.
async fn own_row(street: &Street, id: OrganizationId, place: &Place) -> serde_json::Value {
    let (client, schema) = street.look(id, place).await;
    let sql = format!(
        "select (to_jsonb(o) - array['placement', 'place', 'moving_to', 'held_up', 'moved_from'])::text
           from {schema}.organizations o where organization_id = $1"
    );
    let row = client.query_one(&sql, &[&id.as_uuid()]).await.unwrap();
    serde_json::from_str(row.get(0)).unwrap()
}

/// Changes everything that the operator can change, to what it was in no round before.
async fn change_all(street: &Street, operator: &Operator, id: OrganizationId, at: &Place, n: u32) {
    let (whoever, some) = (format!("person {n}"), NonZeroU32::new(100 + n).unwrap());
    if n % 2 == 1 {
        assert!(operator.turn_on(id, &Switch::Organization, Some(&whoever)).await.unwrap());
    } else {
        operator.turn_off(id, &Switch::Organization).await.unwrap();
    }
    operator.turn_on(id, &Switch::User(whoever.as_str().into()), None).await.unwrap();
    let models = AllowList::Only(vec![whoever.clone()]);
    operator.set_policy(id, &Policy { models, ..Policy::default() }).await.unwrap();
    operator.set_role(id, &whoever, Role::Viewer).await.unwrap();
    operator.grant_credits(id, Credits::from_nanos(n.into()), Some(&whoever)).await.unwrap();
    operator.set_markup(id, n, None).await.unwrap();
    operator.agree_prices(id, &[price()], None).await.unwrap();
    let budgeted = Budgeted { scope: Scope::User, scope_id: &whoever, window: Window::Day };
    operator.set_budget(id, budgeted, CapChange::To(1_000), CapChange::Keep).await.unwrap();
    let limited = Limited { scope: Scope::User, scope_id: &whoever, model_pattern: "*" };
    let rates = RateChanges { requests_per_minute: RateChange::To(some), ..RateChanges::default() };
    operator.set_rate_limit(id, limited, rates).await.unwrap();
    // What no command changes, and the operator's role may.
    let (client, schema) = street.look(id, at).await;
    let zone = ["Europe/Berlin", "Asia/Tokyo", "America/Lima"][usize::try_from(n % 3).unwrap()];
    let sql = format!(
        "update {schema}.organizations set name = $2, time_zone = $3 where organization_id = $1"
    );
    client.execute(&sql, &[&id.as_uuid(), &whoever, &zone]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_operator_changes_while_an_organization_is_copied_arrives() {
    let street = Street::open().await;
    let (id, operator) = (street.resident().await, street.operator());
    let writable: Vec<String> = connect(&street.main)
        .await
        .query(WRITABLE, &[])
        .await
        .unwrap()
        .iter()
        .map(|row| row.get(0))
        .collect();
    let mut at = Place::Row;
    for (n, to) in (1..).zip([Place::Schema, far(), Place::Row]) {
        let mut walk = Walk::begin(street.places_as(None), id, &to);
        walk.reaches(Step::Copying).await;
        let (before, own_before) =
            (everything(&street, id, &at).await, own_row(&street, id, &at).await);
        // What may be long is copied table by table: the last one is in the way until all others are there.
        let (client, schema) = street.look(id, &at).await;
        let last = format!("begin; lock table {schema}.usage in access exclusive mode");
        client.batch_execute(&last).await.unwrap();
        walk.goes_on();
        let asked = format!(
            "select count(*) from pg_locks where relation = '{schema}.usage'::regclass and not granted"
        );
        until("all but the last table is there", async || {
            client.query_one(&asked, &[]).await.unwrap().get::<_, i64>(0) > 0
        })
        .await;
        change_all(&street, &operator, id, &at, n).await;
        client.batch_execute("commit").await.unwrap();
        let (after, own_after) =
            (everything(&street, id, &at).await, own_row(&street, id, &at).await);
        assert_eq!(untouched(&writable, &before, &after, &own_before, &own_after), [""; 0]);

        walk.reaches(Step::HeldUp).await;
        // Too late for the old place: it waits for the new one.
        let late = tokio::spawn({
            let operator = operator.clone();
            async move { operator.set_role(id, &format!("late {n}"), Role::Admin).await }
        });
        walk.reaches(Step::Moved).await;
        late.await.unwrap().unwrap();
        walk.arrives().await.unwrap().unwrap();
        let mut there = everything(&street, id, &to).await;
        let before = there.len();
        there
            .retain(|row| !(row.starts_with("memberships ") && row.contains(&format!("late {n}"))));
        assert_eq!((there.len(), &there), (before - 1, &after), "{to}");
        assert_eq!(own_row(&street, id, &to).await, own_after, "{to}");
        at = to;
    }
}

/// What may be written and is as it was before.
fn untouched<'a>(
    writable: &'a [String],
    before: &[String],
    after: &[String],
    own_before: &serde_json::Value,
    own_after: &serde_json::Value,
) -> Vec<&'a str> {
    let (before, after): (BTreeSet<_>, BTreeSet<_>) =
        (before.iter().collect(), after.iter().collect());
    let changed = |name: &str| {
        if let Some((_, column)) = name.split_once('.') {
            return own_before[column] != own_after[column];
        }
        let begin = format!("{name} ");
        before.symmetric_difference(&after).any(|row| row.starts_with(&begin))
    };
    writable.iter().map(String::as_str).filter(|name| !changed(name)).collect()
}
