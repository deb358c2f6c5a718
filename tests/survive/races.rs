//! More concurrent calls than the credits suffice for.

use std::num::NonZeroU32;

use futures_util::future::join_all;
use tollgate::{
    domain::{
        credits::Credits,
        ids::OrganizationId,
        policy::{Budgets, Disconnect, Policy, Rates},
    },
    gateway::{
        config::{Credit, Server},
        issuer::Grant,
    },
    provider::mock::Served,
    store::admin::{CreditAdmin, PolicyAdmin},
};
use uuid::Uuid;

use super::harness::{
    Answer, Ask, Client, DEADLINE, House, Org, RICH, Row, Setup, cost, plain_cost, until,
};

/// Calls wait for what others hold until it has come back: none is refused for want of time.
async fn patient() -> House {
    let credit = Credit { wait_max: 10 * DEADLINE, ..Credit::default() };
    let mut house = House::with(Setup { credit, ..Setup::default() }).await;
    house.start().await;
    house
}

/// Sends all calls at once, spread over all gateways, each on a connection of its own.
async fn all_at_once(house: &House, org: &Org, ask: &Ask, calls: usize) -> Vec<Answer> {
    let opening = (0..calls).map(|number| {
        let gateway = &house.gateways[number % house.gateways.len()];
        Client::open(gateway.address)
    });
    let asking = join_all(opening).await.into_iter().map(async |mut client| {
        client.send(&ask.bytes(&org.token)).await;
        client.answer().await.unwrap()
    });
    join_all(asking).await
}

/// How many passed; all others were refused with this.
fn passed(answers: &[Answer], refusal: u16) -> usize {
    let (passed, others): (Vec<_>, Vec<_>) =
        answers.iter().partition(|answer| answer.status == 200);
    for other in others {
        assert_eq!(other.status, refusal, "{}", other.text());
    }
    passed.len()
}

/// A call that costs exactly what is held for it, and how much that is.
async fn exact(house: &House) -> (Ask, i64) {
    let org = house.organization(RICH).await;
    let ask = Ask::chat().at_most(10).mock("output-tokens", 10);
    assert_eq!(house.ask(&org, &ask).await.status, 200);
    let held = house.check().await.pop().unwrap().held;
    // The dearest class that input could be is one that writes to the cache.
    let input = (held - plain_cost(0, 10)) / cost_of_cache_write();
    let ask = ask.mock("input-tokens", input).mock("cache-write-tokens", input);
    assert_eq!(house.ask(&org, &ask).await.status, 200);
    let row = house.check().await.pop().unwrap();
    assert_eq!(row.charged, cost(&row.served));
    (ask, held)
}

fn cost_of_cache_write() -> i64 {
    cost(&Served { input_tokens: 1, cache_write_tokens: 1, ..Served::default() })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn credits_for_fifty_calls_let_fifty_of_five_hundred_pass_through_two_gateways() {
    let mut house = House::open().await;
    house.start().await;
    let (ask, held) = exact(&house).await;
    let before = house.rows().await;
    let each = before.last().unwrap().charged;
    let org = house.organization(50 * held).await;
    let answers = all_at_once(&house, &org, &ask, 500).await;
    let rows = house.check().await;
    // Fifty holds fit; what their rounding gives back is less than one more.
    assert!(50 * (held - each) < held);
    assert_eq!((passed(&answers, 402), rows.len() - before.len()), (50, 50));
    assert_eq!(house.balance(&org).await, (50 * (held - each), 0, 0));
    house.close().await;
}

/// What calls that each hold `held` and come to `used` let through of `all`, if one is refused only where nothing that
/// others hold could help it: as long as there is as much as a hold.
fn calls_for(all: i64, held: i64, used: i64) -> usize {
    usize::try_from((all - held) / used + 1).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn however_calls_overlap_none_is_refused_that_there_are_credits_for() {
    const ALL: i64 = 3_000_000;
    let house = patient().await;
    let org = house.organization(ALL).await;
    let ask = Ask::chat().streamed().mock("chunk-delay-ms", 1);
    let answers = all_at_once(&house, &org, &ask, 60).await;
    let rows = house.check().await;
    let (held, each) = (rows[0].held, rows[0].charged);
    // Not all fit in at once, and many more come after them.
    assert!(ALL < 10 * held && each < held / 4, "{held} {each}");
    assert!(rows.iter().all(|row| (row.held, row.charged, row.debt) == (held, each, 0)));
    let fit = calls_for(ALL, held, each);
    assert_eq!((passed(&answers, 402), rows.len()), (fit, fit));
    let left = ALL - i64::try_from(fit).unwrap() * each;
    assert!(left < held, "{left} of {held}");
    assert_eq!(house.balance(&org).await, (left, 0, 0));
    house.close().await;
}

/// An organization with this policy, in whose time zone it is about noon: its day does not end meanwhile.
async fn at_noon(house: &House, policy: Policy) -> Org {
    let id = OrganizationId::new(Uuid::now_v7());
    // Their names say how far they are behind.
    let zone = "select 'Etc/GMT' || case when hour < 12 then '-' else '+' end || abs(hour - 12)
                  from extract(hour from now() at time zone 'UTC') hour";
    let zone: String = house.admin.query_one(zone, &[]).await.unwrap().get(0);
    assert!(house.operator.create_organization(id, "Test", &zone).await.unwrap());
    house.operator.set_policy(id, &policy).await.unwrap();
    house.operator.grant_credits(id, Credits::from_nanos(RICH), None).await.unwrap();
    house.somebody(&Grant::new(id, "ann"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_budget_is_used_up_across_gateways_by_callers_never_seen_before_and_not_passed() {
    const ALL: i64 = 600;
    let house = patient().await;
    let daily_tokens = Some(u64::try_from(ALL).unwrap());
    let budgets = Budgets { daily_tokens, ..Budgets::default() };
    let org = at_noon(&house, Policy { budgets, ..Policy::default() }).await;
    let answers = all_at_once(&house, &org, &Ask::chat(), 50).await;
    let rows = house.check().await;
    let used = |row: &Row| row.served.input_tokens + row.served.output_tokens;
    let each = used(&rows[0]);
    assert!(rows.iter().all(|row| used(row) == each), "{rows:?}");
    let held = house.count("select min(tokens) from tollgate.credit_holds").await;
    let each = i64::try_from(each).unwrap();
    let fit = calls_for(ALL, held, each);
    assert_eq!((passed(&answers, 429), rows.len()), (fit, fit), "{held} held, {each} used");
    for refused in answers.iter().filter(|answer| answer.status == 429) {
        assert_eq!(refused.json()["error"]["code"], "budget_exceeded");
        // The day has some twelve hours left.
        let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
        assert!((10 * 3_600..=12 * 3_600).contains(&wait), "{wait}");
    }
    house.close().await;
}

#[tokio::test]
async fn more_calls_than_the_gateway_has_places_for_are_refused_before_they_hold_anything() {
    let server = Server { calls_in_flight_max: 3, ..Setup::giving_up().server };
    let house = House::with(Setup { server, ..Setup::default() }).await;
    let policy = Policy { disconnect: Disconnect::Cancel, ..Policy::default() };
    let org = house.organization_with(RICH, policy).await;
    let endless = Ask::chat().streamed().mock("hang", "body");
    let asking = (0..10).map(async |_| {
        let mut client = house.client().await;
        client.send(&endless.bytes(&org.token)).await;
        (client.head().await.unwrap().status, client)
    });
    let (open, refused): (Vec<_>, Vec<_>) =
        join_all(asking).await.into_iter().partition(|(status, _)| *status == 200);
    assert_eq!(open.len(), 3);
    assert!(refused.iter().all(|(status, _)| *status == 503));
    let held = "select count(*) from tollgate.credit_ledger where kind = 'hold'";
    assert_eq!((house.count(held).await, house.mock.served_total().calls), (3, 3));
    for (_, client) in open {
        client.reset();
    }
    assert_eq!(house.check().await.len(), 3);
    assert_eq!(house.ask(&org, &Ask::chat()).await.status, 200);
    assert_eq!(house.count(held).await, 4);
    house.close().await;
}

#[tokio::test]
async fn a_call_is_in_flight_until_its_body_ends() {
    let house = House::with(Setup::giving_up()).await;
    let rates = Rates { calls_in_flight: NonZeroU32::new(3), ..Rates::default() };
    let disconnect = Disconnect::Cancel;
    let policy = Policy { rates, disconnect, ..Policy::default() };
    let org = house.organization_with(RICH, policy).await;
    let slow = Ask::chat().streamed().mock("chunk-delay-ms", 60_000);
    let mut open = Vec::new();
    for _ in 0..3 {
        let mut client = house.client().await;
        client.send(&slow.bytes(&org.token)).await;
        assert_eq!(client.head().await.unwrap().status, 200);
        open.push(client);
    }
    assert_eq!(house.ask(&org, &Ask::chat()).await.status, 429);
    assert_eq!(house.mock.served_total().calls, 3);
    open.pop().unwrap().reset();
    until("there is a place again", async || house.ask(&org, &Ask::chat()).await.status == 200)
        .await;
    open.into_iter().for_each(Client::reset);
    house.close().await;
}
