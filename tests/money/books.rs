//! A gateway checks the books in the background. Its metrics and the command report the findings.

use std::{collections::BTreeMap, ops::Range, process::Output, time::Duration};

use serde_json::{Value, json};
use tokio::process::Command;
use tollgate::{
    Tenant,
    domain::{
        credits::Credits,
        hold::HoldRequest,
        ids::{OrganizationId, RequestId},
    },
    gateway::config::Credit,
    store::Ledger,
};
use uuid::Uuid;

use super::{
    corruptions::{Corruption, Model, corruptions},
    harness::{Ask, Client, House, Org, RICH, Setup, until},
    process::Process,
};

/// What the gateway's metrics say of this, without its prefix.
async fn figure(gateway: &Process, name: &str) -> Option<String> {
    let mut client = Client::open(gateway.address).await;
    client.send(b"GET /metrics HTTP/1.1\r\nhost: gateway\r\n\r\n").await;
    let answer = client.answer().await.unwrap().text().to_owned();
    let name = format!("tollgate_books_{name} ");
    answer.lines().find_map(|line| line.strip_prefix(&name)).map(str::to_owned)
}

async fn says(gateway: &Process, figures: &[(&str, &str)]) {
    for (name, expected) in figures {
        let what = format!("{name} is {expected}");
        until(&what, async || figure(gateway, name).await.as_deref() == Some(expected)).await;
    }
}

/// Posts so much more than the ledger says.
async fn falsify(house: &House, org: &Org, nanos: i64) {
    let sql = format!(
        "update tollgate.credit_balances set posted = posted + {nanos} where organization_id = '{}'",
        org.id
    );
    house.admin.batch_execute(&sql).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateways_metrics_say_whose_books_are_broken_and_what_was_not_billed_at_the_most() {
    let reconcile_every = Duration::from_millis(50);
    let credit = Credit { reconcile_every, ..Credit::default() };
    let mut house = House::with(Setup { credit, connections: 1, ..Setup::default() }).await;
    house.some_lost = true;
    let gateway = house.start_process().await;
    let (org, other) = (house.organization(RICH).await, house.organization(RICH).await);
    assert_eq!(house.ask(&org, &Ask::chat()).await.status, 200);
    says(&gateway, &[("organizations", "2"), ("broken", "0"), ("findings", "0")]).await;
    says(&gateway, &[("holds_expired", "0"), ("unbilled_dollars_max", "0")]).await;

    lose_a_hold(&house, &org, 1_500_000).await;
    says(&gateway, &[("holds_expired", "1"), ("unbilled_dollars_max", "0.0015")]).await;

    falsify(&house, &other, 1).await;
    says(&gateway, &[("broken", "1"), ("findings", "1")]).await;
    falsify(&house, &other, -1).await;
    says(&gateway, &[("broken", "0"), ("findings", "0")]).await;

    // It has a connection of its own: what calls have is theirs.
    let open = "select count(*) from pg_stat_activity where datname = current_database()
                  and usename = 'tollgate_login' and application_name = 'tollgate'";
    assert!(house.count(open).await <= 2, "two gateways with one connection each");
    gateway.close().await;
    house.close().await;
}

/// What `tollgate reconcile` says, as text and as a document.
async fn reconciled(house: &House) -> [Output; 2] {
    let run = async |arguments: &[&str]| {
        let mut command = Command::new(super::program::tollgate());
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("TOLLGATE_") {
                command.env_remove(name);
            }
        }
        command.env("DATABASE_URL", house.url("tollgate_login")).current_dir(std::env::temp_dir());
        command.args(arguments).kill_on_drop(true).output().await.unwrap()
    };
    let (text, document) = tokio::join!(run(&["reconcile"]), run(&["reconcile", "--json"]));
    [text, document]
}

/// A hold whose gateway is gone: its call may have used all of it.
async fn lose_a_hold(house: &House, org: &Org, nanos: i64) {
    let hold = HoldRequest {
        request_id: RequestId::generate(),
        amount: Credits::from_nanos(nanos),
        tokens: 10,
        ttl: Duration::ZERO,
    };
    house.places.hold(&Tenant::new(org.id, "ann"), hold).await.unwrap();
    house.places.sweep().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_says_how_many_calls_have_no_end_and_what_they_may_have_used_unbilled() {
    let mut house = House::open().await;
    house.some_lost = true;
    let org = house.organization(RICH).await;
    house.organization(0).await;
    let said = async |expired: u64, unbilled: &str, nanos: i64| {
        let [text, document] = reconciled(&house).await;
        let (posted, _, _) = house.balance(&org).await;
        let charged = RICH - posted;
        let [posted_dollars, charged_dollars] = [posted, charged].map(Credits::from_nanos);
        let lost = format!(
            "\n{expired} holds expired before their calls ended. These calls may have used up to {unbilled} dollars that were not billed."
        );
        let expected = format!(
            "2 organizations. Credits: {posted_dollars} dollars, 0 of them held, 0 owed. Charged so far: {charged_dollars} dollars. \
             Open holds: 0.{}\nAll books are right.\n",
            if expired == 0 { "" } else { &lost }
        );
        assert_eq!(String::from_utf8(text.stdout).unwrap(), expected);
        let expected = json!({
            "ok": true,
            "organizations": 2,
            "credits": {"posted": posted, "held": 0, "debt": 0},
            "charged": charged,
            "holds_open": 0,
            "expired": expired,
            "unbilled_max": nanos,
            "broken": [],
        });
        let document: Value = serde_json::from_slice(&document.stdout).unwrap();
        assert_eq!(document, expected);
    };
    assert_eq!(house.ask(&org, &Ask::chat()).await.status, 200);
    said(0, "0", 0).await;
    lose_a_hold(&house, &org, 1_500_000).await;
    said(1, "0.0015", 1_500_000).await;
    lose_a_hold(&house, &org, 700).await;
    said(2, "0.0015007", 1_500_700).await;
    house.close().await;
}

/// The command names these findings, by their organizations, and nothing else.
async fn the_command_says(house: &House, expected: &BTreeMap<String, Vec<String>>) {
    let [text, document] = reconciled(house).await;
    let right = expected.is_empty();
    for output in [&text, &document] {
        assert_eq!(output.status.code(), Some(i32::from(!right)), "{output:?}");
    }
    let text = String::from_utf8(text.stdout).unwrap();
    let named: Vec<_> = expected
        .iter()
        .flat_map(|(id, findings)| findings.iter().map(move |one| format!("BROKEN {id}: {one}")))
        .collect();
    let mut said: Vec<_> = text.lines().filter(|line| line.starts_with("BROKEN")).collect();
    said.sort_unstable();
    assert_eq!(said, named, "{text}");
    assert_eq!(text.contains("All books are right."), right, "{text}");

    let document: Value = serde_json::from_slice(&document.stdout).unwrap();
    assert_eq!(document["ok"], right, "{document}");
    let mut said = BTreeMap::new();
    for one in document["broken"].as_array().unwrap() {
        let mut findings: Vec<String> = serde_json::from_value(one["findings"].clone()).unwrap();
        findings.sort();
        said.insert(one["organization_id"].as_str().unwrap().to_owned(), findings);
    }
    assert_eq!(&said, expected);
}

/// Takes constraints out of the schema; what puts them back, where all rows meet them.
async fn without(house: &House, constraints: &[&str]) -> String {
    let sql = "select format('alter table %s drop constraint %I', conrelid::regclass, conname),
                      format('alter table %s add constraint %I %s', conrelid::regclass, conname, pg_get_constraintdef(oid))
        from pg_constraint where connamespace = 'tollgate'::regnamespace and conname = any ($1)";
    let mut back = Vec::new();
    for row in house.admin.query(sql, &[&constraints]).await.unwrap() {
        house.admin.batch_execute(row.get(0)).await.unwrap();
        back.push(row.get::<_, String>(1));
    }
    back.join("; ")
}

/// A database with right books of one organization for each of these.
struct Copies<'a> {
    house: House,
    model: Model,
    of: Vec<(OrganizationId, &'a Corruption)>,
}

impl<'a> Copies<'a> {
    async fn of(setup: Setup, corruptions: &'a [Corruption]) -> Self {
        let house = House::unopened(setup).await;
        let model = Model::written(&house.places, &house.operator, &house.admin).await;
        let of = corruptions.iter().map(|one| (OrganizationId::new(Uuid::now_v7()), one));
        let copies = Self { house, model, of: of.collect() };
        copies.mend().await;
        copies
    }

    async fn mend(&self) {
        for (copy, _) in &self.of {
            self.house.admin.batch_execute(&self.model.copied(*copy)).await.unwrap();
        }
    }

    /// Makes the books wrong of those in this place; whose are wrong then, and how.
    async fn corrupt(&self, places: Range<usize>) -> BTreeMap<String, Vec<String>> {
        for (copy, corruption) in &self.of[places.clone()] {
            let sql = self.model.sql(*copy, corruption);
            self.house.admin.batch_execute(&sql).await.unwrap();
        }
        let wrong = self.of[..places.end].iter();
        let wrong = wrong.map(|(copy, one)| (copy.to_string(), self.model.findings(one)));
        wrong.filter(|(_, findings)| !findings.is_empty()).collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_names_whatever_is_wrong_and_whose_it_is_until_it_is_right_again() {
    // Above SQL a finding is a text: of the eight windows, one will do.
    let mut all = corruptions();
    all.retain(|one| !one.is_of_a_further_window);
    let copies = Copies::of(Setup::default(), &all).await;
    the_command_says(&copies.house, &BTreeMap::new()).await;

    let in_the_way: Vec<_> = all.iter().flat_map(|one| one.in_the_way.iter().copied()).collect();
    let put_back = without(&copies.house, &in_the_way).await;
    the_command_says(&copies.house, &copies.corrupt(0..1).await).await;
    the_command_says(&copies.house, &copies.corrupt(1..all.len()).await).await;
    copies.mend().await;
    copies.house.admin.batch_execute(&put_back).await.unwrap();
    the_command_says(&copies.house, &BTreeMap::new()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_metrics_count_whose_books_are_wrong_and_all_that_is_wrong_with_them() {
    let credit = Credit { reconcile_every: Duration::from_millis(50), ..Credit::default() };
    // A few will do: between two checks is a pause that is as long as many times what they take.
    let mut some = corruptions();
    some.retain(|one| one.in_the_way.is_empty() && !one.is_of_a_further_window);
    some.sort_by_key(Corruption::count);
    let some = [some.remove(1), some.pop().unwrap(), some.pop().unwrap()];
    let copies = Copies::of(Setup { credit, ..Setup::default() }, &some).await;
    let gateway = copies.house.start_process().await;
    says(&gateway, &[("organizations", "4"), ("broken", "0"), ("findings", "0")]).await;
    for (place, findings) in [(0, "1"), (1, "3"), (2, "5")] {
        let wrong = copies.corrupt(place..place + 1).await;
        let broken = wrong.len().to_string();
        says(&gateway, &[("broken", &broken), ("findings", findings)]).await;
    }
    copies.mend().await;
    says(&gateway, &[("organizations", "4"), ("broken", "0"), ("findings", "0")]).await;
    gateway.close().await;
}
