//! Tests of the checker: it reports every fault in the books, and nothing else.

use std::collections::HashMap;

use tokio_postgres::Client;
use tollgate::{domain::credits::Credits, store::Balance, store::admin::BookAdmin};
use uuid::Uuid;

use super::{
    corruptions::{Model, corruptions},
    fixture::{Fixture, Postgres},
};

/// What the functions say of these books, in order.
async fn findings(client: &Client, organization: Uuid) -> Vec<String> {
    let claims =
        format!(r#"{{"organization_id":"{organization}","role_in_organization":"platform"}}"#);
    let broken = "select broken from tollgate.reconcile($1, $2)
        union all select broken from tollgate.check_prices($1, $2, null, null, 10000)";
    let rows = client.query(broken, &[&organization, &claims]).await.unwrap();
    assert_eq!(rows.len(), 2, "one row of each function");
    let mut found: Vec<String> = rows.iter().flat_map(|row| row.get::<_, Vec<_>>(0)).collect();
    found.sort();
    found
}

async fn tables_of_constraints(client: &Client) -> HashMap<String, String> {
    let sql = "select conname::text, conrelid::regclass::text from pg_constraint
        where connamespace = 'tollgate'::regnamespace";
    let rows = client.query(sql, &[]).await.unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

#[tokio::test]
async fn whatever_is_wrong_with_books_is_found_and_nothing_else() {
    let f = Postgres::start().await;
    let admin = f.database.connect().await.unwrap();
    let model = Model::written(&f.store, &f.operator, &admin).await;
    let books = f.operator.books(model.organization).await.unwrap();
    assert_eq!(books.broken, Vec::<String>::new());
    let [posted, held, debt, charged, unbilled] = [40, 40, 107, 960, 23].map(Credits::from_nanos);
    assert_eq!(books.balance, Balance { posted, held, debt });
    assert_eq!((books.charged, books.unbilled_max), (charged, unbilled));
    assert_eq!((books.holds_open, books.expired), (1, 1));

    let tables = tables_of_constraints(&admin).await;
    for corruption in corruptions() {
        let sql = model.sql(model.organization, &corruption);
        admin.batch_execute("begin").await.unwrap();
        for constraint in corruption.in_the_way {
            let refused = admin.batch_execute(&format!("savepoint whole; {sql}")).await;
            let error = refused.expect_err(&sql);
            assert_eq!(error.as_db_error().unwrap().constraint(), Some(*constraint), "{sql}");
            let out = format!(
                "rollback to savepoint whole; alter table {} drop constraint {constraint}",
                tables[*constraint]
            );
            admin.batch_execute(&out).await.unwrap();
        }
        admin.batch_execute(&sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        let found = findings(&admin, model.organization.as_uuid()).await;
        assert_eq!(found, model.findings(&corruption), "{sql}");
        admin.batch_execute("rollback").await.unwrap();
    }
    assert_eq!(f.operator.books(model.organization).await.unwrap().broken, Vec::<String>::new());
}

/// The texts of a function's findings: one for each part of what it calls so.
async fn texts(client: &Client, function: &str) -> Vec<String> {
    let sql = "select pg_get_functiondef(oid) from pg_proc
        where pronamespace = 'tollgate'::regnamespace and proname = $1";
    let definition: String = client.query_one(sql, &[&function]).await.unwrap().get(0);
    let (_, findings) = definition.split_once("findings as (").unwrap();
    let (findings, _) = findings.split_once("\n  )").unwrap();
    findings
        .split("union all")
        .map(|part| {
            let select = part.trim_start().strip_prefix("select ");
            let text = select.map(|text| text.trim_start_matches("format("));
            let text = text.and_then(|text| text.strip_prefix('\''));
            let text = text.and_then(|text| text.split_once('\''));
            text.unwrap_or_else(|| panic!("{function} begins no finding with a text: {part}")).0
        })
        .map(str::to_owned)
        .collect()
}

/// Whether it is this text, with something in each of its places.
fn says(finding: &str, text: &str) -> bool {
    let mut parts = text.split("%s");
    let Some(mut rest) = finding.strip_prefix(parts.next().unwrap_or_default()) else {
        return false;
    };
    for part in parts {
        let Some(at) = (if part.is_empty() { Some(rest.len()) } else { rest.find(part) }) else {
            return false;
        };
        rest = &rest[at + part.len()..];
    }
    rest.is_empty()
}

#[tokio::test]
async fn every_finding_there_is_has_a_corruption_that_provokes_it() {
    let f = Postgres::start().await;
    let admin = f.database.connect().await.unwrap();
    let model = Model::written(&f.store, &f.operator, &admin).await;
    let provoked: Vec<_> = corruptions().iter().flat_map(|one| model.findings(one)).collect();
    let mut all = Vec::new();
    for function in ["reconcile", "check_prices"] {
        all.extend(texts(&admin, function).await);
    }
    assert!(all.len() > 20, "{all:?}");
    for text in &all {
        assert!(
            provoked.iter().any(|finding| says(finding, text)),
            "no row of corruptions.rs provokes: {text}"
        );
    }
    for finding in &provoked {
        assert_eq!(all.iter().filter(|text| says(finding, text)).count(), 1, "{finding}");
    }
}

#[tokio::test]
async fn of_one_organization_a_hundred_findings_are_told() {
    let f = Postgres::start().await;
    let admin = f.database.connect().await.unwrap();
    let model = Model::written(&f.store, &f.operator, &admin).await;
    let id = model.organization.as_uuid();
    for (movements, unpriced, told) in [(99, 1, 100), (99, 2, 100), (101, 1, 100)] {
        let sql = format!(
            "insert into tollgate.credit_ledger (organization_id, seq, kind, request_id, d_posted, d_held, d_debt, posted_after, held_after, debt_after)
               select organization_id, seq + n, 'settle', gen_random_uuid(), 0, 0, 0, posted, held, debt
                 from tollgate.credit_balances, generate_series(1, {movements}) as n where organization_id = '{id}';
             update tollgate.credit_balances set seq = seq + {movements} where organization_id = '{id}';
             update tollgate.usage set price_id = null where organization_id = '{id}' and request_id in (
               select request_id from tollgate.usage where organization_id = '{id}' and cost > 0 order by 1 limit {unpriced})"
        );
        admin.batch_execute(&sql).await.unwrap();
        let broken = f.operator.books(model.organization).await.unwrap().broken;
        let of = |what: &str| broken.iter().filter(|one| one.contains(what)).count();
        assert_eq!(broken.len(), told, "{movements} and {unpriced}");
        let named = movements.min(100);
        assert_eq!((of("which has no hold"), of("names no price")), (named, 100 - named));
        let whole = format!(
            "delete from tollgate.credit_ledger where organization_id = '{id}' and seq > 10;
             update tollgate.credit_balances set seq = 10 where organization_id = '{id}';
             update tollgate.usage set price_id = '00000000-0000-0000-0000-000000000000' where organization_id = '{id}'"
        );
        admin.batch_execute(&whole).await.unwrap();
    }
}
