//! Two organizations may use the same id for two people. Whoever has the id in one of them learns nothing of the other.

use tokio_postgres::{Client, SimpleQueryMessage};
use tollgate::postgres::cluster::testing;
use uuid::Uuid;

use super::resident;

const PEOPLE: [(&str, &str); 5] = [
    ("tollgate_owner", "owner"),
    ("tollgate_admin", "admin"),
    ("tollgate_member", "member"),
    ("tollgate_viewer", "viewer"),
    ("tollgate_platform", "platform"),
];

/// What only computes from its argument, and reads no table.
const COMPUTES: &str = "tollgate.arrived_at(uuid)";
/// The functions that people's roles may call with an id of any kind, found in the catalog: name and arguments.
const TAKE_AN_ID: &str = "
    select p.oid::regprocedure::text, format('select * from tollgate.%I(%s)', p.proname, string_agg(
             case when name = 'p_organization_id' then ':other' when name = 'p_claims' then ':claims'
                  when kind = 'uuid' then ':other' when kind = 'text' then quote_literal('canary')
                  when kind in ('bigint', 'integer', 'smallint', 'numeric') then '1' else 'null' end || '::' || kind, ', ' order by n)),
           has_function_privilege($1, p.oid, 'execute')
      from pg_proc p
      cross join lateral (select coalesce(p.proargnames[n], '') as name, format_type(p.proargtypes[n - 1], null) as kind, n
                            from generate_series(1, p.pronargs) as n) as argument
      where p.pronamespace = 'tollgate'::regnamespace
      group by p.oid, p.proname having bool_or(kind in ('uuid', 'uuid[]'))
      order by 1";

async fn answer(client: &Client, sql: &str) -> Option<Vec<String>> {
    let messages = client.simple_query(sql).await.ok()?;
    let rows = messages.iter().filter_map(|message| {
        if let SimpleQueryMessage::Row(row) = message { Some(row) } else { None }
    });
    let texts = rows.flat_map(|row| (0..row.len()).filter_map(|at| row.get(at).map(str::to_owned)));
    Some(texts.collect())
}

#[tokio::test]
async fn no_function_answers_about_another_organization_to_somebody_with_the_same_id() {
    let database = testing::database().await.unwrap();
    let client = database.connect().await.unwrap();
    let (own, other) = (Uuid::new_v4(), Uuid::new_v4());
    for id in [own, other] {
        resident(&client, id).await;
    }
    let mut called = 0;
    for (role, word) in PEOPLE {
        let claims = format!(
            r#"{{"organization_id": "{own}", "sub": "ann", "role_in_organization": "{word}", "team_id": "{other}", "key_id": "{other}"}}"#
        );
        for row in client.query(TAKE_AN_ID, &[&role]).await.unwrap() {
            let (function, sql, may): (String, String, bool) = (row.get(0), row.get(1), row.get(2));
            if !may || function == COMPUTES {
                continue;
            }
            let sql = sql.replace(":other", &format!("'{other}'"));
            let sql = sql.replace(":claims", &format!("'{claims}'"));
            client.batch_execute("begin").await.unwrap();
            let enter = format!(
                "select set_config('request.jwt.claims', '{claims}', true), set_config('role', '{role}', true)"
            );
            client.batch_execute(&enter).await.unwrap();
            let said = answer(&client, &sql).await.unwrap_or_default();
            client.batch_execute("rollback").await.unwrap();
            let nothing = |text: &String| matches!(text.as_str(), "" | "f" | "0" | "{}" | "[]");
            assert!(said.iter().all(nothing), "{function} as {role}: {said:?}");
            called += 1;
        }
    }
    assert!(called > 15, "{called}");
}

#[tokio::test]
async fn ones_own_organization_is_still_answered_about() {
    let database = testing::database().await.unwrap();
    let client = database.connect().await.unwrap();
    let own = Uuid::new_v4();
    resident(&client, own).await;
    let sql = format!(
        r#"begin; set local role tollgate_member; set local "request.jwt.claims" = '{{"organization_id": "{own}", "sub": "ann"}}'"#
    );
    client.batch_execute(&sql).await.unwrap();
    let asked =
        "select tollgate.get_org_role($1), tollgate.is_org_member($1), tollgate.current_org_role()";
    let row = client.query_one(asked, &[&own]).await.unwrap();
    assert_eq!(
        (row.get::<_, &str>(0), row.get::<_, bool>(1), row.get::<_, &str>(2)),
        ("owner", true, "owner")
    );
}
