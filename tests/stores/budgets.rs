//! Budgets of every scope, in tokens and in credits, on Postgres: which calls they cover, what they count, and which
//! events they report.

use std::time::Duration;

use tollgate::{
    Tenant,
    domain::{
        hold::{Exceeded, HoldRequest, HoldVerdict, Unit, Window},
        ids::{KeyId, TeamId},
        policy::{Budgets, Policy},
        scope::Scope,
    },
    store::{Journal, Ledger},
};
use uuid::Uuid;

use super::fixture::{Fixture, Postgres, costing, hold, releasing};

const GRANTED: HoldVerdict = HoldVerdict::Granted;

struct Budget<'a> {
    scope: Scope,
    id: &'a str,
    window: &'a str,
    tokens: Option<i64>,
    credits: Option<i64>,
}

async fn set(f: &Postgres, tenant: &Tenant, budget: Budget<'_>) {
    let client = f.database.connect().await.unwrap();
    let sql = "insert into tollgate.budgets (organization_id, scope, scope_id, window_kind, tokens_max, credits_max) \
        values ($1, $2, $3, $4, $5, $6) on conflict (organization_id, scope, scope_id, window_kind) \
        do update set tokens_max = excluded.tokens_max, credits_max = excluded.credits_max, updated_at = clock_timestamp()";
    let Budget { scope, id, window, tokens, credits } = budget;
    let organization = tenant.organization_id().as_uuid();
    client
        .execute(sql, &[&organization, &scope.as_str(), &id, &window, &tokens, &credits])
        .await
        .unwrap();
}

async fn remove(f: &Postgres, tenant: &Tenant) {
    let client = f.database.connect().await.unwrap();
    let sql = "delete from tollgate.budgets where organization_id = $1";
    client.execute(sql, &[&tenant.organization_id().as_uuid()]).await.unwrap();
}

/// Whose budget refused, in what, and whether it only waits for others.
async fn refused(f: &Postgres, tenant: &Tenant, request: HoldRequest) -> (Scope, Unit, bool) {
    let verdict = f.store.hold(tenant, request).await.unwrap();
    let HoldVerdict::BudgetExceeded(Exceeded { scope, unit, may_wait, .. }) = verdict else {
        panic!("{verdict:?}");
    };
    (scope, unit, may_wait)
}

fn of_all(tenant: &Tenant) -> Tenant {
    tenant.clone().with_team(TeamId::new(Uuid::new_v4())).with_key(KeyId::new(Uuid::new_v4()))
}

fn id_of(tenant: &Tenant, scope: Scope) -> String {
    match scope {
        Scope::Organization => String::new(),
        Scope::Team => tenant.team_id().unwrap().to_string(),
        Scope::User => tenant.user_id().to_owned(),
        Scope::Key => tenant.key_id().unwrap().to_string(),
    }
}

#[tokio::test]
async fn a_budget_of_each_scope_window_and_unit_refuses_what_it_does_not_cover_and_nothing_else() {
    let f = Postgres::start().await;
    for scope in Scope::ALL {
        for window in ["day", "month"] {
            for unit in [Unit::Tokens, Unit::Credits] {
                let ann = of_all(&f.organization(1_000_000).await);
                let (tokens, credits) = match unit {
                    Unit::Tokens => (Some(100), None),
                    Unit::Credits => (None, Some(100)),
                };
                let id = id_of(&ann, scope);
                set(&f, &ann, Budget { scope, id: &id, window, tokens, credits }).await;
                let of = |figure: i64| match unit {
                    Unit::Tokens => hold(1, figure),
                    Unit::Credits => hold(figure, 1),
                };
                let first = of(60);
                assert_eq!(f.store.hold(&ann, first.clone()).await.unwrap(), GRANTED);
                assert_eq!(refused(&f, &ann, of(41)).await, (scope, unit, true));
                assert_eq!(refused(&f, &ann, of(101)).await, (scope, unit, false));
                // What was not used comes back, and what was used stays.
                let finish = match unit {
                    Unit::Tokens => costing(first.request_id, 1, 25),
                    Unit::Credits => costing(first.request_id, 25, 1),
                };
                f.store.finish(&ann, &finish).await.unwrap();
                assert_eq!(refused(&f, &ann, of(76)).await, (scope, unit, false));
                assert_eq!(f.store.hold(&ann, of(75)).await.unwrap(), GRANTED);
                // Somebody else of the organization is not in the same team, nor has the same key.
                let bob = of_all(&Tenant::new(ann.organization_id(), "bob"));
                let verdict = f.store.hold(&bob, of(75)).await.unwrap();
                assert_eq!(verdict == GRANTED, scope != Scope::Organization, "{scope} {verdict:?}");
                f.books(&ann).await;
            }
        }
    }
}

#[tokio::test]
async fn a_budget_of_each_is_everybodys_own_and_ones_own_replaces_it() {
    let f = Postgres::start().await;
    for scope in [Scope::Team, Scope::User, Scope::Key] {
        let ann = of_all(&f.organization(1_000_000).await);
        let each =
            Budget { scope, id: Scope::EACH, window: "day", tokens: Some(10), credits: None };
        set(&f, &ann, each).await;
        for name in ["bob", "eve"] {
            // Never seen before, and several at once.
            let person = of_all(&Tenant::new(ann.organization_id(), name));
            let asked = (0..20).map(|_| f.store.hold(&person, hold(1, 2)));
            let verdicts = futures_util::future::join_all(asked).await;
            let granted = verdicts.iter().filter(|verdict| matches!(verdict, Ok(GRANTED)));
            assert_eq!(granted.count(), 5, "{scope}");
        }
        let id = id_of(&ann, scope);
        let own = Budget { scope, id: &id, window: "day", tokens: Some(12), credits: None };
        set(&f, &ann, own).await;
        assert_eq!(f.store.hold(&ann, hold(1, 12)).await.unwrap(), GRANTED);
        assert_eq!(refused(&f, &ann, hold(1, 1)).await, (scope, Unit::Tokens, true));
        f.books(&ann).await;
    }
}

#[tokio::test]
async fn a_budget_that_is_set_in_the_middle_of_its_window_counts_what_was_used_before() {
    let f = Postgres::start().await;
    let ann = of_all(&f.organization(1_000_000).await);
    let (ended, open) = (hold(50, 50), hold(20, 20));
    for request in [&ended, &open] {
        assert_eq!(f.store.hold(&ann, request.clone()).await.unwrap(), GRANTED);
    }
    f.store.finish(&ann, &costing(ended.request_id, 40, 30)).await.unwrap();
    for scope in Scope::ALL {
        let id = id_of(&ann, scope);
        let budget =
            Budget { scope, id: &id, window: "month", tokens: Some(60), credits: Some(90) };
        set(&f, &ann, budget).await;
    }
    // Thirty were used; the one that is open was held before there was a budget.
    assert_eq!(refused(&f, &ann, hold(1, 31)).await.1, Unit::Tokens);
    assert_eq!(f.store.hold(&ann, hold(1, 20)).await.unwrap(), GRANTED);
    f.store.finish(&ann, &costing(open.request_id, 20, 9)).await.unwrap();
    f.books(&ann).await;
    assert_eq!(refused(&f, &ann, hold(1, 2)).await.1, Unit::Tokens);
    // Taken away and set again, it has missed nothing.
    remove(&f, &ann).await;
    let unseen = hold(1, 500);
    assert_eq!(f.store.hold(&ann, unseen.clone()).await.unwrap(), GRANTED);
    f.store.finish(&ann, &costing(unseen.request_id, 1, 400)).await.unwrap();
    let budget = Budget {
        scope: Scope::User,
        id: "ann",
        window: "month",
        tokens: Some(439 + 20),
        credits: None,
    };
    set(&f, &ann, budget).await;
    assert_eq!(refused(&f, &ann, hold(1, 1)).await, (Scope::User, Unit::Tokens, true));
    f.books(&ann).await;
}

#[tokio::test]
async fn a_raised_budget_and_a_top_up_count_for_the_next_call() {
    let f = Postgres::start().await;
    let ann = f.organization(10).await;
    let cap = |tokens| Budget {
        scope: Scope::Organization,
        id: "",
        window: "day",
        tokens: Some(tokens),
        credits: None,
    };
    set(&f, &ann, cap(5)).await;
    assert_eq!(refused(&f, &ann, hold(1, 6)).await, (Scope::Organization, Unit::Tokens, false));
    set(&f, &ann, cap(6)).await;
    assert_eq!(f.store.hold(&ann, hold(10, 6)).await.unwrap(), GRANTED);
    let refused = f.store.hold(&ann, hold(5, 0)).await.unwrap();
    assert!(matches!(refused, HoldVerdict::Insufficient { may_wait: true, .. }), "{refused:?}");
    f.grant(ann.organization_id(), 5).await;
    assert_eq!(f.store.hold(&ann, hold(5, 0)).await.unwrap(), GRANTED);
}

#[tokio::test]
async fn thresholds_are_told_once_by_whole_numbers() {
    let f = Postgres::start().await;
    let ann = f.organization(1_000_000).await;
    let client = f.database.connect().await.unwrap();
    let told = async || -> Vec<(i32, bool, i64)> {
        let sql = "select percent, refused, used from tollgate.budget_events \
            where organization_id = $1 and unit = 'tokens' order by happened_at, percent";
        let rows = client.query(sql, &[&ann.organization_id().as_uuid()]).await.unwrap();
        rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect()
    };
    let budget = Budget {
        scope: Scope::User,
        id: "ann",
        window: "day",
        tokens: Some(15),
        credits: Some(i64::MAX),
    };
    set(&f, &ann, budget).await;
    let spend = async |tokens| {
        let request = hold(1, tokens);
        assert_eq!(f.store.hold(&ann, request.clone()).await.unwrap(), GRANTED);
        f.store.finish(&ann, &costing(request.request_id, 1, tokens)).await.unwrap();
    };
    spend(7).await;
    assert_eq!(told().await, [], "seven of fifteen is not half");
    spend(1).await;
    assert_eq!(told().await, [(50, false, 8)]);
    spend(3).await;
    assert_eq!(told().await, [(50, false, 8)], "eleven of fifteen is not four fifths");
    spend(1).await;
    assert_eq!(told().await, [(50, false, 8), (80, false, 12)]);
    // A call that is refused for good says so, once; one that waits says nothing.
    for _ in 0..2 {
        assert_eq!(refused(&f, &ann, hold(1, 4)).await, (Scope::User, Unit::Tokens, false));
    }
    let open = hold(1, 2);
    assert_eq!(f.store.hold(&ann, open.clone()).await.unwrap(), GRANTED);
    assert_eq!(refused(&f, &ann, hold(1, 3)).await, (Scope::User, Unit::Tokens, true));
    f.store.finish(&ann, &releasing(open.request_id)).await.unwrap();
    spend(3).await;
    assert_eq!(told().await, [(50, false, 8), (80, false, 12), (100, true, 12), (100, false, 15)]);
}

/// The day and the first day of the month where an organization is, by the database's clock.
async fn today(f: &Postgres, tenant: &Tenant) -> (String, String) {
    let client = f.database.connect().await.unwrap();
    let sql = "select (now() at time zone time_zone)::date::text, date_trunc('month', now() at time zone time_zone)::date::text
          from tollgate.organizations where organization_id = $1";
    let row = client.query_one(sql, &[&tenant.organization_id().as_uuid()]).await.unwrap();
    (row.get(0), row.get(1))
}

/// Which windows its calls are counted in, and whether there are any others.
async fn windows(f: &Postgres, tenant: &Tenant) -> Vec<(String, String)> {
    let client = f.database.connect().await.unwrap();
    let sql = "select window_kind, window_start::text from tollgate.budget_usage where organization_id = $1 order by 1";
    let rows = client.query(sql, &[&tenant.organization_id().as_uuid()]).await.unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

/// Whether this is the last day of its month.
fn ends_with(day: &str, month: &str) -> bool {
    let number = |date: &str, part: usize| date.split('-').nth(part).unwrap().parse().unwrap();
    let (year, month): (u32, u32) = (number(month, 0), number(month, 1));
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let days = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    number(day, 2) == days
}

#[tokio::test]
async fn windows_are_days_and_months_of_the_organizations_time_zone() {
    let f = Postgres::start().await;
    // Where it is another day than in UTC at any hour: one of the first two is.
    for zone in ["Pacific/Kiritimati", "Etc/GMT+12", "America/New_York", "Europe/Berlin"] {
        loop {
            let ann = f.organization(1_000).await;
            f.set_time_zone(ann.organization_id(), zone).await;
            let budgets = Budgets { daily_tokens: Some(10), monthly_tokens: Some(10) };
            f.set_policy(ann.organization_id(), Policy { budgets, ..Policy::default() }).await;
            let before = today(&f, &ann).await;
            assert_eq!(f.store.hold(&ann, hold(1, 5)).await.unwrap(), GRANTED);
            let refused = f.store.hold(&ann, hold(1, 6)).await.unwrap();
            let (day, month) = today(&f, &ann).await;
            if (&before.0, &before.1) != (&day, &month) {
                // Midnight came in between: nobody knows on which side of each of them.
                continue;
            }
            let HoldVerdict::BudgetExceeded(Exceeded { window, .. }) = refused else {
                panic!("{zone}: {refused:?}");
            };
            // Whichever ends later; the day where both end with it.
            let longest = if ends_with(&day, &month) { Window::Day } else { Window::Month };
            assert_eq!(window, longest, "{zone}");
            let expected = [("day".to_owned(), day), ("month".to_owned(), month)];
            assert_eq!(windows(&f, &ann).await, expected, "{zone}");
            f.books(&ann).await;
            break;
        }
    }
}

/// Makes it this moment for whoever asks for a hold.
async fn set_clock(f: &Postgres, hold: &str, moment: &str) {
    let client = f.database.connect().await.unwrap();
    let (clock, stopped) = ("clock_timestamp()", format!("timestamptz '{moment}'"));
    assert!(hold.contains(clock));
    client.batch_execute(&hold.replace(clock, &stopped)).await.unwrap();
}

const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;

#[tokio::test]
async fn a_window_ends_where_the_next_one_begins_also_when_the_clocks_change() {
    let f = Postgres::start().await;
    let client = f.database.connect().await.unwrap();
    let sql = "select pg_get_functiondef(oid) from pg_proc where proname = 'hold' and pronamespace = 'tollgate'::regnamespace";
    let function: String = client.query_one(sql, &[]).await.unwrap().get(0);
    for (zone, moment, day, left_of_day, month, left_of_month) in [
        // Twenty-three hours, and twenty-five; in the middle of an hour that comes twice.
        (
            "Europe/Berlin",
            "2026-03-29 00:30:00+01",
            "2026-03-29",
            22 * HOUR + 30 * MINUTE,
            "2026-03-01",
            70 * HOUR + 30 * MINUTE,
        ),
        (
            "Europe/Berlin",
            "2026-10-25 00:30:00+02",
            "2026-10-25",
            24 * HOUR + 30 * MINUTE,
            "2026-10-01",
            168 * HOUR + 30 * MINUTE,
        ),
        (
            "Europe/Berlin",
            "2026-10-25 02:30:00+01",
            "2026-10-25",
            21 * HOUR + 30 * MINUTE,
            "2026-10-01",
            165 * HOUR + 30 * MINUTE,
        ),
        // The last of a month and the first; rounded up to a millisecond.
        ("Europe/Berlin", "2026-06-30 23:59:59.9995+02", "2026-06-30", 1, "2026-06-01", 1),
        (
            "Europe/Berlin",
            "2026-07-01 00:00:00+02",
            "2026-07-01",
            24 * HOUR,
            "2026-07-01",
            31 * 24 * HOUR,
        ),
        ("UTC", "2028-02-28 12:00:00Z", "2028-02-28", 12 * HOUR, "2028-02-01", 36 * HOUR),
        ("UTC", "2026-12-31 23:00:00Z", "2026-12-31", HOUR, "2026-12-01", HOUR),
        // The same moment is another month where the sun has risen before.
        (
            "Pacific/Kiritimati",
            "2026-12-31 23:00:00Z",
            "2027-01-01",
            11 * HOUR,
            "2027-01-01",
            (30 * 24 + 11) * HOUR,
        ),
        // There is no midnight on 6 September: that day begins at one, when the hour is over.
        (
            "America/Santiago",
            "2026-09-05 23:30:00-04",
            "2026-09-05",
            30 * MINUTE,
            "2026-09-01",
            (24 * 24 + 23) * HOUR + 30 * MINUTE,
        ),
    ] {
        set_clock(&f, &function, moment).await;
        for (kind, begins, left) in [("day", day, left_of_day), ("month", month, left_of_month)] {
            let ann = f.organization(1_000).await;
            f.set_time_zone(ann.organization_id(), zone).await;
            let scope = Scope::Organization;
            set(&f, &ann, Budget { scope, id: "", window: kind, tokens: Some(1), credits: None })
                .await;
            let refused = f.store.hold(&ann, hold(1, 2)).await.unwrap();
            let HoldVerdict::BudgetExceeded(Exceeded { retry_after, .. }) = refused else {
                panic!("{moment} {zone}: {refused:?}");
            };
            assert_eq!(retry_after, Duration::from_millis(left), "{moment} {zone}, {kind}");
            let expected = [(kind.to_owned(), begins.to_owned())];
            assert_eq!(windows(&f, &ann).await, expected, "{moment} {zone}");
        }
    }
}

#[tokio::test]
async fn sums_at_the_edge_are_refused_and_never_wrap() {
    let f = Postgres::start().await;
    let ann = f.organization(i64::MAX).await;
    let most = Some(i64::MAX);
    for scope in Scope::ALL.into_iter().take(3) {
        let id = if scope == Scope::User { "ann" } else { "" };
        if scope != Scope::Team {
            set(&f, &ann, Budget { scope, id, window: "day", tokens: most, credits: most }).await;
        }
    }
    assert_eq!(f.store.hold(&ann, hold(i64::MAX - 1, i64::MAX)).await.unwrap(), GRANTED);
    assert_eq!(refused(&f, &ann, hold(1, 1)).await.1, Unit::Tokens);
    assert_eq!(f.store.hold(&ann, hold(1, 0)).await.unwrap(), GRANTED);
    let verdict = f.store.hold(&ann, hold(i64::MAX, 0)).await.unwrap();
    assert!(matches!(verdict, HoldVerdict::Insufficient { .. }), "{verdict:?}");
    assert_eq!(f.books(&ann).await, (i64::MAX, i64::MAX, 0));
}
