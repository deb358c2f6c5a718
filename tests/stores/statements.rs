//! Statements of account: days in the organization's time zone, and sums that match the balances.

use tokio_postgres::types::Type;
use tollgate::{
    Tenant,
    domain::{
        credits::Credits,
        ids::{OrganizationId, TeamId},
        instant::{Moment, rfc3339_micros},
        price_file::PriceFile,
        role::Role,
        statement::{Amounts, Line, Sums},
    },
    postgres::{Door, DoorRole, Query},
    store::{
        Journal, Ledger, PriceStore,
        admin::{
            AccountAdmin, AccountWindow, BillAdmin, ImportOptions, OtherPrices, PriceAdmin,
            RebillWindow,
        },
    },
};
use uuid::Uuid;

use super::{
    fixture::{Fixture, Postgres, Sealed, costing, hold, releasing},
    fuzz::Dice,
    suite::price,
};

/// The lines of a window, and that they add up to what it says.
async fn read(
    f: &Postgres,
    id: OrganizationId,
    from: &str,
    until: &str,
) -> (AccountWindow, Vec<Line>, Sums) {
    let (from, until): (Moment, Moment) = (from.parse().unwrap(), until.parse().unwrap());
    let window = f.operator.account_window(id, &from, Some(&until)).await.unwrap();
    let (mut lines, mut after) = (Vec::new(), window.opening_seq);
    let mut sums = Sums::opening(window.opening_seq, window.opening);
    loop {
        let more = f.operator.account_lines(&window, after).await.unwrap();
        let Some(last) = more.last() else { break };
        after = last.seq;
        for line in &more {
            sums.add(line).unwrap();
        }
        lines.extend(more);
    }
    sums.close(window.closing_seq, window.closing).unwrap();
    (window, lines, sums)
}

fn posted(amounts: Amounts) -> i64 {
    amounts.posted.nanos()
}

/// A grant of a nano-dollar at each of these moments.
async fn granted_at(f: &Postgres, id: OrganizationId, moments: &[&str]) {
    let admin = f.database.connect().await.unwrap();
    let sql = "insert into tollgate.credit_ledger
        select $1, n, 'grant', null, null, 1, 0, 0, n, 0, 0, at::timestamptz from unnest($2::text[]) with ordinality as m (at, n)";
    admin.execute(sql, &[&id.as_uuid(), &moments]).await.unwrap();
}

#[tokio::test]
async fn a_day_is_the_organizations_own_also_when_the_clocks_change() {
    let f = Postgres::start().await;
    // Berlin: 23 hours on 29 March 2026, 25 on 25 October; ends of months and of a leap day.
    let berlin = f.organization(0).await.organization_id();
    f.set_time_zone(berlin, "Europe/Berlin").await;
    granted_at(
        &f,
        berlin,
        &[
            "2024-02-28T22:59:59.999999Z",
            "2024-02-28T23:00:00Z",
            "2024-02-29T22:59:59.999999Z",
            "2024-02-29T23:00:00Z",
            "2026-03-28T22:59:59.999999Z",
            "2026-03-28T23:00:00Z",
            "2026-03-29T00:59:59Z",
            "2026-03-29T01:00:00Z",
            "2026-03-29T21:59:59.999999Z",
            "2026-03-29T22:00:00Z",
            "2026-10-24T22:00:00Z",
            "2026-10-25T22:59:59.999999Z",
            "2026-10-25T23:00:00Z",
        ],
    )
    .await;
    for (from, until, lines, hours) in [
        ("2024-02-28", "2024-02-29", 1, 24),
        ("2024-02-29", "2024-03-01", 2, 24),
        ("2024-03-01", "2024-03-02", 1, 24),
        ("2024-02-01", "2024-03-01", 3, 29 * 24),
        ("2026-03-28", "2026-03-29", 1, 24),
        ("2026-03-29", "2026-03-30", 4, 23),
        ("2026-03-30", "2026-03-31", 1, 24),
        ("2026-10-25", "2026-10-26", 2, 25),
        ("2026-10-26", "2026-10-27", 1, 24),
        ("2026-03-01", "2026-04-01", 6, 31 * 24 - 1),
        ("2024-01-01", "2027-01-01", 13, (366 + 365 + 365) * 24),
    ] {
        let (window, found, _) = read(&f, berlin, from, until).await;
        assert_eq!(found.len(), lines, "{from}");
        assert_eq!((window.until_micros - window.from_micros) / 3_600_000_000, hours, "{from}");
        assert_eq!(posted(window.closing) - posted(window.opening), i64::try_from(lines).unwrap());
        assert!(found.iter().all(|line| line.day.as_str() >= from && line.day.as_str() < until));
    }

    // Santiago has no midnight on 6 September 2026: its day begins at one.
    let santiago = OrganizationId::new(Uuid::now_v7());
    f.operator.create_organization(santiago, "Sur", "America/Santiago").await.unwrap();
    granted_at(
        &f,
        santiago,
        &[
            "2026-09-06T03:59:59.999999Z",
            "2026-09-06T04:00:00Z",
            "2026-09-07T02:59:59Z",
            "2026-09-07T03:00:00Z",
        ],
    )
    .await;
    for (from, until, lines) in [
        ("2026-09-05", "2026-09-06", 1),
        ("2026-09-06", "2026-09-07", 2),
        ("2026-09-07", "2026-09-08", 1),
    ] {
        let (_, found, _) = read(&f, santiago, from, until).await;
        assert_eq!(found.len(), lines, "{from}");
        assert!(found.iter().all(|line| line.day == from), "{found:?}");
    }
}

#[tokio::test]
async fn windows_that_meet_share_a_balance_wherever_they_meet() {
    let f = Postgres::start().await;
    let id = f.organization(0).await.organization_id();
    // Several movements in one moment, and none for days.
    let moments: Vec<String> = (0..97_i64)
        .map(|n| rfc3339_micros(1_770_000_000_000_000 + n / 3 * n * 1_000_003))
        .collect();
    let texts: Vec<&str> = moments.iter().map(String::as_str).collect();
    granted_at(&f, id, &texts).await;
    let cuts = [
        "2020-01-01",
        texts[0],
        texts[1],
        texts[30],
        texts[31],
        texts[50],
        texts[51],
        texts[52],
        texts[96],
        "2026-03-30",
        "2030-01-01",
    ];
    let mut opens_with = Amounts::default();
    let mut seen = 0;
    for pair in cuts.windows(2) {
        if pair[0] == pair[1] {
            continue;
        }
        let (window, lines, _) = read(&f, id, pair[0], pair[1]).await;
        assert_eq!(window.opening, opens_with, "{pair:?}");
        opens_with = window.closing;
        seen += lines.len();
        let before = texts.iter().filter(|at| **at < pair[0] && pair[0].len() > 10).count();
        if pair[0].len() > 10 {
            assert_eq!(window.opening_seq, i64::try_from(before).unwrap(), "{pair:?}");
        }
    }
    assert_eq!((seen, posted(opens_with)), (97, 97));
}

#[tokio::test]
async fn whatever_happens_opening_and_movements_come_to_closing_and_the_next_window_goes_on() {
    let f = Postgres::start().await;
    let admin = f.database.connect().await.unwrap();
    let ann = f.organization(500).await;
    let id = ann.organization_id();
    let team = TeamId::new(Uuid::now_v7());
    let people = [ann.clone(), Tenant::new(id, "bob"), Tenant::new(id, "cleo").with_team(team)];
    let mut dice = Dice(11);
    let mut cuts = Vec::new();
    let mut open = Vec::new();
    for step in 0..240 {
        let who = &people[usize::try_from(dice.below(3)).unwrap()];
        let amount = i64::try_from(dice.below(60)).unwrap();
        match dice.below(10) {
            0..=3 => {
                let mut request = hold(amount, 1);
                if dice.below(4) == 0 {
                    request.ttl = std::time::Duration::ZERO;
                }
                f.store.hold(who, request.clone()).await.unwrap();
                open.push((who.clone(), request.request_id));
            }
            4..=6 if !open.is_empty() => {
                let (who, request) = open.swap_remove(
                    usize::try_from(dice.below(u64::try_from(open.len()).unwrap())).unwrap(),
                );
                f.store.finish(&who, &costing(request, amount, 1)).await.unwrap();
            }
            7 if !open.is_empty() => {
                let (who, request) = open.swap_remove(0);
                f.store.finish(&who, &releasing(request)).await.unwrap();
            }
            8 => drop(f.store.expire(id).await.unwrap()),
            _ => drop(f.grant(id, amount + 1).await),
        }
        if step % 24 == 0 {
            let now = "select (extract(epoch from clock_timestamp()) * 1000000)::bigint";
            cuts.push(rfc3339_micros(admin.query_one(now, &[]).await.unwrap().get(0)));
        }
    }
    cuts.push("2090-01-01".into());
    let whole = read(&f, id, "2026-01-01", "2090-01-01").await;
    assert!(!whole.0.is_final);
    let (mut opens_with, mut after) = (Amounts::default(), 0);
    let mut from = "2026-01-01".to_owned();
    let mut lines = Vec::new();
    for until in &cuts {
        let (window, found, sums) = read(&f, id, &from, until).await;
        assert_eq!((window.opening, window.opening_seq), (opens_with, after));
        (opens_with, after) = (window.closing, window.closing_seq);
        lines.extend(found);
        // Each column comes to what the calls were charged, debts included.
        let charges = |totals: &std::collections::BTreeMap<
            String,
            tollgate::domain::statement::Total,
        >| { totals.values().map(|total| total.cost.nanos()).sum::<i64>() };
        let taken: i64 = sums
            .kinds()
            .iter()
            .filter(|(kind, _)| ["settle", "late_settle", "expire"].contains(&kind.as_str()))
            .map(|(_, movements)| movements.change.debt.nanos() - movements.change.posted.nanos())
            .sum();
        for totals in [sums.models(), sums.users(), sums.teams()] {
            assert_eq!(charges(totals), taken);
        }
        from.clone_from(until);
    }
    assert_eq!(lines, whole.1);
    let balance = f.balance(id).await;
    let now = Amounts { posted: balance.posted, held: balance.held, debt: balance.debt };
    assert_eq!(opens_with, now);
    let kinds: Vec<&str> = whole.2.kinds().keys().map(String::as_str).collect();
    assert_eq!(kinds, ["expire", "grant", "hold", "late_settle", "release", "settle"]);
    // Who it was, and with which team, stands with each settlement.
    assert!(whole.2.users().keys().any(|user| user == "bob"));
    assert!(whole.2.teams().contains_key(&team.to_string()) && whole.2.teams().contains_key(""));
    assert!(whole.2.models().contains_key("small"));
    assert_eq!(f.books(&ann).await.0, balance.posted.nanos());
}

#[tokio::test]
async fn a_window_is_final_once_nothing_can_come_into_it() {
    let f = Postgres::start().await;
    let id = f.organization(0).await.organization_id();
    granted_at(&f, id, &["2026-03-01T00:00:00Z"]).await;
    let from: Moment = "2026-01-01".parse().unwrap();
    let is_final = async |until: Option<&str>| {
        let until = until.map(|until| until.parse().unwrap());
        f.operator.account_window(id, &from, until.as_ref()).await.unwrap().is_final
    };
    assert!(is_final(Some("2026-04-01")).await);
    assert!(!is_final(None).await && !is_final(Some("2090-01-01")).await);
    // A movement bears the moment at which its statement began: for a minute one may still be on its way.
    let admin = f.database.connect().await.unwrap();
    let ago = async |seconds: i64| {
        let sql = "select (extract(epoch from clock_timestamp()) * 1000000)::bigint";
        let now: i64 = admin.query_one(sql, &[]).await.unwrap().get(0);
        rfc3339_micros(now - seconds * 1_000_000)
    };
    assert!(!is_final(Some(&ago(30).await)).await);
    assert!(is_final(Some(&ago(90).await)).await);
}

const WINDOW: Query = Query::new(
    "select closing_posted from tollgate.account_window($1, '2026-01-01', null)",
    &[Type::UUID],
);
const LINES: Query = Query::new(
    "select seq, kind, model from tollgate.account_lines($1, 0, 100, 100)",
    &[Type::UUID],
);

#[tokio::test]
async fn an_owner_reads_the_own_statement_by_row_security_and_nobody_elses() {
    let f = Postgres::start().await;
    let (ann, bob) = (f.organization(100).await, f.organization(200).await);
    let request = hold(10, 1);
    f.store.hold(&ann, request.clone()).await.unwrap();
    f.store.finish(&ann, &costing(request.request_id, 7, 1)).await.unwrap();
    let door = Door::new(f.store.pool().clone());
    let owner = ann.clone().with_role(Role::Owner);
    let ours = ann.organization_id().as_uuid();
    let window = door.run(owner.claims(), DoorRole::Owner, &WINDOW, &[&ours]).await.unwrap();
    assert_eq!(window[0].get::<_, i64>(0), 93);
    let lines = door.run(owner.claims(), DoorRole::Owner, &LINES, &[&ours]).await.unwrap();
    let kinds: Vec<(&str, Option<&str>)> =
        lines.iter().map(|row| (row.get(1), row.get(2))).collect();
    assert_eq!(kinds, [("grant", None), ("hold", Some("small")), ("settle", Some("small"))]);
    let theirs = bob.organization_id().as_uuid();
    for statement in [&WINDOW, &LINES] {
        let rows = door.run(owner.claims(), DoorRole::Owner, statement, &[&theirs]).await.unwrap();
        assert!(rows.is_empty());
        for (role, door_role) in [
            (Role::Admin, DoorRole::Admin),
            (Role::Member, DoorRole::Member),
            (Role::Viewer, DoorRole::Viewer),
        ] {
            let other = ann.clone().with_role(role);
            assert!(door.run(other.claims(), door_role, statement, &[&ours]).await.is_err());
            // The role of the database alone gains nothing.
            let rows = door.run(other.claims(), DoorRole::Owner, statement, &[&ours]).await;
            assert!(rows.unwrap().is_empty());
        }
    }
}

#[tokio::test]
async fn a_ledger_that_was_tampered_with_does_not_add_up() {
    let f = Postgres::start().await;
    let id = f.organization(0).await.organization_id();
    granted_at(&f, id, &["2026-03-01T00:00:00Z", "2026-03-02T00:00:00Z", "2026-03-03T00:00:00Z"])
        .await;
    let admin = f.database.connect().await.unwrap();
    let sql = "update tollgate.credit_ledger set d_posted = 2 where seq = 2";
    admin.batch_execute(sql).await.unwrap();
    let (from, until): (Moment, Moment) =
        ("2026-01-01".parse().unwrap(), "2026-04-01".parse().unwrap());
    let window = f.operator.account_window(id, &from, Some(&until)).await.unwrap();
    let mut sums = Sums::opening(window.opening_seq, window.opening);
    let lines = f.operator.account_lines(&window, 0).await.unwrap();
    assert_eq!(sums.add(&lines[0]), Ok(()));
    assert_eq!(sums.add(&lines[1]).unwrap_err().0, 2);
    assert_eq!(lines[0].change.posted, Credits::from_nanos(1));
}

#[tokio::test]
async fn prices_bills_and_statements_are_read_under_seals_too() {
    let f = Sealed::start().await;
    let ann = f.organization(100).await;
    let id = ann.organization_id();
    f.agree(id, 500, &[price("own", 7)]).await;
    assert_eq!(f.store.agreement(&ann).await.unwrap().markup_bps(), 500);
    let request = hold(10, 1);
    f.store.hold(&ann, request.clone()).await.unwrap();
    f.store.finish(&ann, &costing(request.request_id, 7, 1)).await.unwrap();
    assert_eq!(f.books(&ann).await, (93, 0, 0));
    let from: Moment = "2026-01-01".parse().unwrap();
    let window = f.operator.account_window(id, &from, None).await.unwrap();
    assert_eq!((posted(window.closing), window.closing_seq), (93, 3));
    assert_eq!(f.operator.account_lines(&window, 0).await.unwrap().len(), 3);
    let window = RebillWindow { from, until: None };
    let bill = f.operator.rebill(id, &window, &OtherPrices::Current).await.unwrap();
    assert!(bill.holds() && bill.total.calls == 1, "{bill:?}");
    // A file that leaves out what is in use asks every organization for it.
    let file = PriceFile { prices: vec![price("new", 1)], skipped: Vec::new() };
    let refused = f.operator.import_price_file(&file, &ImportOptions::default()).await.unwrap();
    assert_eq!(refused.review.objections.len(), 1);
}
