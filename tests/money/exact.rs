//! A budget for an exact number of calls, and twenty times as many concurrent calls through two gateways.

use std::{num::NonZeroU32, time::Duration};

use futures_util::future::join_all;
use serde_json::{Value, from_value, json};
use tokio::time::Instant;
use tollgate::{
    domain::{
        ids::{KeyId, TeamId},
        policy::Policy,
        scope::Scope,
    },
    gateway::{config::Credit, issuer::Grant},
    provider::mock::Served,
};
use uuid::Uuid;

use super::{
    harness::{Ask, Client, House, Org, RICH, Setup, cost, plain_cost},
    process::Process,
};

/// How many calls the budget is for.
const COVERED: usize = 20;
const TIMES: usize = 20;

/// How many calls passed, and how often one could not be taken, which a rate counts as well.
#[derive(Clone, Copy, Debug)]
struct Passed {
    calls: usize,
    again: usize,
}

/// Two gateways over one database.
struct Pair {
    house: House,
    gateways: [Process; 2],
}

impl Pair {
    async fn open(wait_max: Duration) -> Self {
        let credit = Credit { wait_max, ..Credit::default() };
        let house = House::with(Setup { credit, ..Setup::default() }).await;
        let gateways = [house.start_process().await, house.start_process().await];
        Self { house, gateways }
    }

    /// All calls at once, each on a connection of its own, half of them to each gateway; all that did not pass were
    /// refused with one of these.
    async fn asked(&self, callers: &[Org], ask: &Ask, calls: usize, refusals: &[u16]) -> Passed {
        let opening = (0..calls).map(|number| Client::open(self.gateways[number % 2].address));
        let clients = join_all(opening).await;
        let asking = clients.into_iter().enumerate().map(async |(number, mut client)| {
            let caller = &callers[number / 2 % callers.len()];
            let mut again = 0;
            loop {
                client.send(&ask.bytes(&caller.token)).await;
                let answer = client.answer().await.unwrap();
                match answer.status {
                    200 => return (true, again),
                    // A machine that is busy enough: its call is in the books, or it was not taken.
                    503 if answer.text().contains("withheld") => return (true, again),
                    503 => again += 1,
                    other => {
                        assert!(refusals.contains(&other), "{other} {}", answer.text());
                        return (false, again);
                    }
                }
            }
        });
        let told = join_all(asking).await;
        let calls = told.iter().filter(|(passed, _)| *passed).count();
        Passed { calls, again: told.iter().map(|(_, again)| again).sum() }
    }

    /// As [`asked`](Self::asked), of what is not used up by a call that could not be taken: how many passed.
    async fn passed(&self, callers: &[Org], ask: &Ask, calls: usize, refusals: &[u16]) -> usize {
        self.asked(callers, ask, calls, refusals).await.calls
    }

    /// So many streams at once, none of which ends before all have been told whether it may begin.
    async fn open_at_once(&self, org: &Org, calls: usize) -> Passed {
        let ask = Ask::chat().streamed().mock("chunk-delay-ms", 500).mock("chunks", 1_000);
        let opening = (0..calls).map(async |number| {
            let mut client = Client::open(self.gateways[number % 2].address).await;
            client.send(&ask.bytes(&org.token)).await;
            let status = client.head().await.unwrap().status;
            assert!([200, 429, 503].contains(&status), "{status}");
            (status, client)
        });
        let told = join_all(opening).await;
        let of = |wanted| told.iter().filter(|(status, _)| *status == wanted).count();
        // Whoever is in leaves only now.
        Passed { calls: of(200), again: of(503) }
    }

    /// An organization in whose time zone no day ends while the test goes on: it is about noon there.
    async fn at_noon(&self, nanos: i64, policy: Policy) -> Org {
        let org = self.house.organization_with(nanos, policy).await;
        let sql = format!(
            "update tollgate.organizations
               set time_zone = 'Etc/GMT' || to_char(extract(hour from now() at time zone 'UTC') - 12, 'FMSG00')
               where organization_id = '{}'",
            org.id
        );
        self.house.admin.batch_execute(&sql).await.unwrap();
        org
    }

    async fn close(self) {
        for gateway in self.gateways {
            gateway.close().await;
        }
        self.house.close().await;
    }
}

/// Calls that use exactly what is held for them, and how much that is.
struct Exact {
    in_credits: Ask,
    credits: i64,
    in_tokens: Ask,
    tokens: i64,
}

impl Exact {
    async fn find(house: &House) -> Self {
        let org = house.organization(RICH).await;
        let ask = Ask::chat().at_most(10).mock("output-tokens", 10);
        assert_eq!(house.ask(&org, &ask).await.status, 200);
        let held = house.check().await.pop().unwrap().held;
        // The dearest class that input could be is one that writes to the cache.
        let write = cost(&Served { input_tokens: 1, cache_write_tokens: 1, ..Served::default() });
        let input = (held - plain_cost(0, 10)) / write;
        let in_credits = ask.clone().mock("input-tokens", input).mock("cache-write-tokens", input);
        assert_eq!(house.ask(&org, &in_credits).await.status, 200);
        let row = house.check().await.pop().unwrap();
        assert!(held - row.charged < write, "{row:?}");
        let tokens = "select tokens from tollgate.credit_holds order by created_at desc limit 1";
        let tokens = house.count(tokens).await;
        let in_tokens = ask.mock("input-tokens", tokens - 10);
        Self { in_credits, credits: held, in_tokens, tokens }
    }
}

async fn limit(house: &House, org: &Org, table: &str, columns: &str, values: &str) {
    let sql = format!(
        "insert into tollgate.{table} (organization_id, {columns}) values ('{}', {values})",
        org.id
    );
    house.admin.batch_execute(&sql).await.unwrap();
}

fn policy(document: Value) -> Policy {
    from_value(document).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_a_hold_is_the_cost_exactly_as_many_calls_pass_as_are_paid_for() {
    let pair = Pair::open(Duration::from_secs(2)).await;
    let house = &pair.house;
    let exact = Exact::find(house).await;
    let covered = i64::try_from(COVERED).unwrap();
    let all = COVERED * TIMES;

    let org = house.organization(covered * exact.credits).await;
    assert_eq!(pair.passed(&[org], &exact.in_credits, all, &[402]).await, COVERED, "credits");

    for window in ["daily_tokens", "monthly_tokens"] {
        let budgets = json!({"budgets": {window: covered * exact.tokens}});
        let org = pair.at_noon(RICH, policy(budgets)).await;
        assert_eq!(pair.passed(&[org], &exact.in_tokens, all, &[429]).await, COVERED, "{window}");
    }

    // Each team, person and key on its own, none of them seen before.
    for scope in [Scope::Team, Scope::User, Scope::Key] {
        for (unit, cap, ask) in [
            ("tokens_max", exact.tokens, &exact.in_tokens),
            ("credits_max", exact.credits, &exact.in_credits),
        ] {
            let org = pair.at_noon(RICH, Policy::default()).await;
            let values = format!("'{scope}', '*', 'day', {}", covered * cap);
            let columns = format!("scope, scope_id, window_kind, {unit}");
            limit(house, &org, "budgets", &columns, &values).await;
            let callers: Vec<_> = ["ann", "bob"]
                .into_iter()
                .map(|user| {
                    house.somebody(&Grant {
                        team_id: Some(TeamId::new(Uuid::new_v4())),
                        key_id: Some(KeyId::new(Uuid::new_v4())),
                        ..Grant::new(org.id, user)
                    })
                })
                .collect();
            let passed = pair.passed(&callers, ask, 2 * all, &[429]).await;
            assert_eq!(passed, 2 * COVERED, "{scope} {unit}");
        }
    }
    pair.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn budgets_of_all_scopes_hold_at_once_and_no_call_is_in_anothers_way() {
    let pair = Pair::open(Duration::from_secs(2)).await;
    let house = &pair.house;
    let exact = Exact::find(house).await;
    let org = pair.at_noon(RICH, Policy::default()).await;
    // The team's is spent first, before all of those of its two people, and of their keys.
    let [all, team, person, key] = [40, 24, 20, 15];
    for (scope, id, calls) in [
        (Scope::Organization, "", all),
        (Scope::Team, "*", team),
        (Scope::User, "*", person),
        (Scope::Key, "*", key),
    ] {
        for window in ["day", "month"] {
            let values = format!("'{scope}', '{id}', '{window}', {}", calls * exact.credits);
            limit(house, &org, "budgets", "scope, scope_id, window_kind, credits_max", &values)
                .await;
        }
    }
    let team_id = Some(TeamId::new(Uuid::new_v4()));
    let callers: Vec<_> = ["ann", "ann", "bob", "bob"]
        .into_iter()
        .map(|user| {
            let key_id = Some(KeyId::new(Uuid::new_v4()));
            house.somebody(&Grant { team_id, key_id, ..Grant::new(org.id, user) })
        })
        .collect();
    let passed = pair.passed(&callers, &exact.in_credits, 200, &[429]).await;
    assert_eq!(passed, usize::try_from(team).unwrap());
    for (by, most) in [("user_id", person), ("key_id", key), ("team_id", team)] {
        let sql = format!(
            "select count(*) from tollgate.usage where organization_id = '{}' group by {by}",
            org.id
        );
        let rows = house.admin.query(&sql, &[]).await.unwrap();
        let each: Vec<i64> = rows.iter().map(|row| row.get(0)).collect();
        assert_eq!(each.iter().sum::<i64>(), team, "{by}: {each:?}");
        assert!(each.iter().all(|calls| *calls <= most), "{by}: {each:?}");
    }
    let deadlocks = "select deadlocks from pg_stat_database where datname = current_database()";
    assert_eq!(house.count(deadlocks).await, 0);
    pair.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_a_hold_is_ten_times_the_cost_nobody_is_refused_because_others_hold_more_than_they_use()
 {
    // As long as it takes on a busy machine: what is asked here is who passes, not how fast.
    let pair = Pair::open(Duration::from_secs(30)).await;
    let house = &pair.house;
    // No cap is sent: a thousand tokens are held, and some ninety are used.
    let mut ask = Ask::chat().mock("output-tokens", 80).field("max_tokens", Value::Null);
    ask = ask.mock("input-tokens", 10);
    let rich = house.organization(RICH).await;
    assert_eq!(house.ask(&rich, &ask).await.status, 200);
    let row = house.check().await.pop().unwrap();
    let (held, each) = (row.held, row.charged);
    assert!(held >= 10 * each, "{row:?}");
    // Most of them wait for their turn all the time: fewer than elsewhere, or a busy machine is done too late.
    let (covered, all) = (i64::try_from(COVERED).unwrap(), 2 * COVERED);

    // What the last one uses, and what must be held for it: nobody before it needs more.
    let before_last = (covered - 1) * each;
    let org = house.organization(before_last + held).await;
    let passed = pair.passed(std::slice::from_ref(&org), &ask, all, &[402]).await;
    assert_eq!(passed, COVERED, "credits");
    assert_eq!(house.balance(&org).await, (held - each, 0, 0));

    let tokens = "select tokens, tokens_used from tollgate.credit_holds where request_id = $1";
    let tokens = house.admin.query_one(tokens, &[&row.request]).await.unwrap();
    let (held, each): (i64, i64) = (tokens.get(0), tokens.get(1));
    assert!(held >= 10 * each, "{held} {each}");
    let budgets = json!({"budgets": {"daily_tokens": (covered - 1) * each + held}});
    let org = pair.at_noon(RICH, policy(budgets)).await;
    let passed = pair.passed(&[org], &ask, all, &[429]).await;
    assert_eq!(passed, COVERED, "tokens");
    pair.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rates_and_calls_in_flight_are_shared_by_replicas_and_never_exceeded() {
    let mut house = House::unopened(Setup::giving_up()).await;
    house.replicas = NonZeroU32::new(2).unwrap();
    house.start().await;
    let gateways = [house.start_process().await, house.start_process().await];
    let pair = Pair { house, gateways };
    let house = &pair.house;
    let minute = Duration::from_mins(1).as_nanos();
    // Odd ones, of which each replica grants another part: of a single one, one of them grants nothing.
    for limit in [1, 3, COVERED + 1] {
        let rates = json!({"rates": {"requests_per_minute": limit}});
        let org = house.organization_with(RICH, policy(rates)).await;
        let begun = Instant::now();
        let passed = pair.asked(&[org], &Ask::chat(), limit * TIMES, &[429]).await;
        // A minute's burst, and what came back while they were being asked: of few, none.
        let took = begun.elapsed().as_nanos();
        let back = [limit / 2, limit.div_ceil(2)]
            .map(|part| usize::try_from(took * u128::try_from(part).unwrap() / minute).unwrap());
        let most = limit + back[0] + back[1];
        let taken = passed.calls + passed.again;
        assert!((limit..=most).contains(&taken), "{passed:?} of {limit}, {most} at the most");
    }

    let rates = json!({"rates": {"calls_in_flight": COVERED + 1}, "disconnect": "cancel"});
    let org = house.organization_with(RICH, policy(rates)).await;
    let passed = pair.open_at_once(&org, COVERED * TIMES).await;
    assert!(passed.calls <= COVERED + 1 && passed.calls + passed.again > COVERED, "{passed:?}");
    let rows = house.check().await;
    let rows = rows.iter().filter(|row| row.organization == org.id.as_uuid());
    assert_eq!(rows.filter(|row| row.ending == "abandoned").count(), passed.calls);
    pair.close().await;
}
