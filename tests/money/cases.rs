//! Bugs that were found in other gateways, each of which must be impossible here. [`covered`](super::covered) lists the
//! tests of further such bugs.

use serde_json::{Value, from_value, json};
use tokio_postgres::error::SqlState;
use tollgate::domain::policy::Policy;

use super::harness::{Answer, Ask, House, Org, RICH, cost};

/// The next rows that are written to this table fail, so many of them, as a deadlock's victim does.
async fn lose(house: &House, table: &str, times: u32) {
    // A sequence is not rolled back.
    let sql = format!(
        "create sequence public.lost_{table};
         create function public.lose_{table}() returns trigger language plpgsql security definer as $$
         begin
           if nextval('public.lost_{table}') <= {times} then
             raise exception 'lost' using errcode = '40P01';
           end if;
           return new;
         end $$;
         create trigger lose before insert on tollgate.{table} for each row execute function public.lose_{table}()"
    );
    house.admin.batch_execute(&sql).await.unwrap();
}

/// How many rows have been written to it since, those that failed among them.
async fn tried(house: &House, table: &str) -> i64 {
    house.count(&format!("select last_value from public.lost_{table}")).await
}

#[tokio::test]
async fn a_finish_that_loses_deadlocks_is_written_all_the_same_and_its_answer_given() {
    let house = House::open().await;
    let org = house.organization(RICH).await;
    // More often than the pool tries, in its first part and in its last.
    lose(&house, "usage", 6).await;
    assert_eq!(house.ask(&org, &Ask::chat()).await.status, 200);
    lose(&house, "audit_events", 3).await;
    assert!(house.ask(&org, &Ask::chat().streamed()).await.has_end());
    let rows = house.check().await;
    assert_eq!(rows.len(), 2);
    assert!(rows.iter().all(|row| row.ending == "complete" && row.charged == cost(&row.served)));
    // Each was lost as often as it was to be, and then written; with the record its usage is lost, too.
    assert_eq!((tried(&house, "usage").await, tried(&house, "audit_events").await), (11, 4));
    house.close().await;
}

#[tokio::test]
async fn a_hold_that_loses_deadlocks_is_given_or_refused_for_now_and_never_skipped() {
    let house = House::open().await;
    let org = house.organization(RICH).await;
    lose(&house, "credit_holds", 3).await;
    assert_eq!(house.ask(&org, &Ask::chat()).await.status, 200);
    lose(&house, "credit_ledger", 4).await;
    let answer = house.ask(&org, &Ask::chat()).await;
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert!(answer.header("retry-after").is_some());
    assert_eq!(house.mock.served_total().calls, 1, "nothing is sent upstream without a hold");
    assert_eq!(house.ask(&org, &Ask::chat()).await.status, 200);
    assert_eq!(house.check().await.len(), 2);
    assert!(tried(&house, "credit_holds").await > 3 && tried(&house, "credit_ledger").await > 4);
    house.close().await;
}

async fn get(house: &House, org: &Org, path: &str) -> Answer {
    let mut client = house.client().await;
    let request = format!(
        "GET {path} HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {}\r\n\r\n",
        org.token
    );
    client.send(request.as_bytes()).await;
    client.answer().await.unwrap()
}

fn policy(document: Value) -> Policy {
    from_value(document).unwrap()
}

#[tokio::test]
async fn looking_at_the_models_uses_up_nothing() {
    let house = House::open().await;
    let rates = json!({"rates": {"requests_per_minute": 2, "tokens_per_minute": 1_000}});
    let org = house.organization_with(RICH, policy(rates)).await;
    for _ in 0..75 {
        assert_eq!(get(&house, &org, "/v1/models").await.status, 200);
        assert_eq!(get(&house, &org, "/v1/models/small").await.status, 200);
    }
    let answer = house.ask(&org, &Ask::chat()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("x-ratelimit-remaining-requests"), Some("1"));
    assert_eq!(house.check().await.len(), 1);
    house.close().await;
}

/// An embedding of this text.
async fn embed(house: &House, org: &Org, input: &str) -> Answer {
    let body = json!({"model": "small", "input": input}).to_string();
    let head = Ask::chat().head(&org.token, body.len());
    let mut client = house.client().await;
    client.send(head.replace("/chat/completions", "/embeddings").as_bytes()).await;
    client.send(body.as_bytes()).await;
    client.answer().await.unwrap()
}

#[tokio::test]
async fn an_embedding_is_held_for_and_settled_like_any_other_call() {
    let house = House::open().await;
    let org = house.organization(RICH).await;
    assert_eq!(embed(&house, &org, "walnut and pecan").await.status, 200);
    let row = house.check().await.pop().unwrap();
    assert!(row.charged > 0 && row.held >= row.charged, "{row:?}");
    assert_eq!(row.charged, cost(&row.served));

    let poor = house.organization(row.held - 1).await;
    assert_eq!(embed(&house, &poor, "walnut and pecan").await.status, 402);
    let budgets = json!({"budgets": {"daily_tokens": 2}});
    let budgeted = house.organization_with(RICH, policy(budgets)).await;
    assert_eq!(embed(&house, &budgeted, "walnut and pecan").await.status, 429);
    assert_eq!(house.mock.served_total().calls, 1);
    house.close().await;
}

#[tokio::test]
async fn the_database_itself_takes_no_books_that_cannot_be() {
    let house = House::open().await;
    // With a budget, or nothing is used of one.
    let budgets = json!({"budgets": {"daily_tokens": 1_000_000}});
    let org = house.organization_with(RICH, policy(budgets)).await;
    assert_eq!(house.ask(&org, &Ask::chat()).await.status, 200);
    let movement = |kind: &str, posted: i64, held: i64, debt: i64| {
        format!(
            "insert into tollgate.credit_ledger (organization_id, seq, kind, request_id, d_posted, d_held, d_debt,
                                                 posted_after, held_after, debt_after)
               select organization_id, seq + 1, '{kind}', gen_random_uuid(), {posted}, {held}, {debt}, posted, held, debt
                 from tollgate.credit_balances"
        )
    };
    let twice = "insert into tollgate.credit_ledger (organization_id, seq, kind, request_id, d_posted, d_held, d_debt,
                                                     posted_after, held_after, debt_after)
                   select organization_id, seq + 1000, kind, request_id, d_posted, d_held, d_debt,
                          posted_after, held_after, debt_after
                     from tollgate.credit_ledger where kind = 'settle'";
    let check = SqlState::CHECK_VIOLATION;
    for (what, sql, code) in [
        ("less than nothing", "update tollgate.credit_balances set posted = -1".into(), &check),
        ("more held", "update tollgate.credit_balances set held = posted + 1".into(), &check),
        ("less held", "update tollgate.credit_balances set held = -1".into(), &check),
        ("owed to us", "update tollgate.credit_balances set debt = -1".into(), &check),
        ("more back", "update tollgate.credit_holds set refund = amount + 1".into(), &check),
        ("less back", "update tollgate.credit_holds set refund = -1".into(), &check),
        ("a gift", "update tollgate.credit_holds set charged = -1".into(), &check),
        ("nothing held", "update tollgate.credit_holds set amount = -1".into(), &check),
        ("a settlement that pays", movement("settle", 1, 0, 0), &check),
        ("a late one that pays", movement("late_settle", 1, 0, 0), &check),
        ("an expiry that pays", movement("expire", 1, 0, 0), &check),
        ("a release that pays", movement("release", 1, -1, 0), &check),
        ("a release that holds", movement("release", 0, 1, 0), &check),
        ("a grant that takes", movement("grant", -1, 0, 0), &check),
        ("a settlement made twice", twice.into(), &SqlState::UNIQUE_VIOLATION),
        ("a price that pays", "update tollgate.price_tiers set output = -1".into(), &check),
        ("a call that pays", "update tollgate.prices set per_request = -1".into(), &check),
        ("a usage that pays", "update tollgate.usage set cost = -1".into(), &check),
        ("no input", "update tollgate.usage set input_tokens = -1".into(), &check),
        ("unused tokens", "update tollgate.budget_usage set used = -1".into(), &check),
    ] {
        let refused = house.admin.batch_execute(&sql).await;
        let refused = refused.err().and_then(|error| error.code().cloned());
        assert_eq!(refused.as_ref(), Some(code), "{what}");
    }
    house.close().await;
}
