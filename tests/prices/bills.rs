//! Bills computed anew, and statements of account.

use serde_json::Value;
use tollgate::{
    Tenant,
    domain::{ids::TeamId, usage::Usage},
};
use uuid::Uuid;

use super::{Desk, own, text};

/// Nano-dollars a token: a thousand in, four thousand out.
const PRICES: &[(&str, &str, &str)] = &[("small", "1", "4")];

async fn with_calls(desk: &Desk) -> Tenant {
    let list = desk.file("prices.json", &own(PRICES));
    desk.json(&format!("prices import {list}"));
    let ann = desk.organization("Europe/Berlin", 1_000_000).await;
    let bob = Tenant::new(ann.organization_id(), "=bob, \"the\" builder")
        .with_team(TeamId::new(Uuid::now_v7()));
    desk.call(&ann, "small", Usage { input: 10, output: 5, ..Usage::default() }).await;
    desk.call(&bob, "small", Usage { input: 7, ..Usage::default() }).await;
    ann
}

#[tokio::test]
async fn a_month_is_billed_anew_and_beside_other_prices() {
    let desk = Desk::open().await;
    let ann = with_calls(&desk).await;
    let id = ann.organization_id().to_string();
    let dearer = desk.file("dearer.json", &own(&[("small", "2", "4")]));
    desk.json(&format!("prices import {dearer}"));
    let window = format!("prices rebill --org {id} --from 2026-01-01");
    let plain = desk.json(&window);
    assert_eq!(plain["ok"].as_bool(), Some(true));
    let total = &plain["organizations"][0]["total"];
    assert_eq!(
        (total["calls"].as_u64(), total["charged"].as_i64(), total["recomputed"].as_i64()),
        (Some(2), Some(37_000), Some(37_000))
    );
    assert!(total.get("other").is_none());
    let compared = desk.json(&format!("{window} --at current"));
    assert_eq!(compared["organizations"][0]["models"]["small"]["other"].as_i64(), Some(54_000));
    let all = desk.json("prices rebill --all --from 2026-01-01");
    assert_eq!(all["organizations"][0], plain_without_until(&plain, &all));

    let output = desk.run(&format!("{window} --at current --csv"));
    assert_eq!(output.status.code(), Some(0));
    let mut table = csv::Reader::from_reader(&output.stdout[..]);
    let header = table.headers().unwrap().clone();
    let rows: Vec<csv::StringRecord> = table.records().map(Result::unwrap).collect();
    let cell = |row: usize, name: &str| {
        rows[row][header.iter().position(|column| column == name).unwrap()].to_owned()
    };
    assert_eq!(
        (cell(0, "line"), cell(0, "model"), cell(0, "charged"), cell(0, "other")),
        ("model".into(), "small".into(), "0.000037".into(), "0.000054".into())
    );
    assert_eq!((cell(1, "line"), cell(1, "recomputed")), ("total".into(), "0.000037".into()));

    // A bill that does not come out as it was charged.
    let admin = desk.database.connect().await.unwrap();
    admin
        .batch_execute(
            "update tollgate.usage set input_tokens = input_tokens + 1 where output_tokens = 5",
        )
        .await
        .unwrap();
    let differs = desk.refused(&window);
    assert_eq!(differs["organizations"][0]["differences_count"].as_u64(), Some(1));
    let difference = &differs["organizations"][0]["differences"][0];
    assert_eq!(
        (difference["charged"].as_i64(), difference["recomputed"].as_i64()),
        (Some(30_000), Some(31_000))
    );
    let books = desk.run("reconcile");
    assert_eq!(books.status.code(), Some(1));
    assert!(text(&books).contains("by its price it comes to 31000"), "{}", text(&books));
    let empty = desk.run(&format!("prices rebill --org {id} --from 2026-01-02 --to 2026-01-02"));
    assert!(empty.status.code() == Some(1) && text(&empty).contains("the window is empty"));
}

/// The same bill, taken at the later moment.
fn plain_without_until(plain: &Value, later: &Value) -> Value {
    let mut bill = plain["organizations"][0].clone();
    bill["until"] = later["organizations"][0]["until"].clone();
    bill
}

#[tokio::test]
async fn a_statement_of_account_has_every_movement_and_adds_up() {
    let desk = Desk::open().await;
    let ann = with_calls(&desk).await;
    let id = ann.organization_id().to_string();
    let window = format!("statement --org {id} --from 2026-01-01 --to 2999-01-01");
    let statement = desk.json(&window);
    assert_eq!(statement["time_zone"].as_str(), Some("Europe/Berlin"));
    assert_eq!(
        (statement["from"].as_str(), statement["final"].as_bool()),
        (Some("2025-12-31T23:00:00Z"), Some(false))
    );
    assert_eq!(statement["opening"]["posted"].as_i64(), Some(0));
    assert_eq!(statement["closing"]["posted"].as_i64(), Some(1_000_000 - 37_000));
    let kinds = |statement: &Value| -> Vec<String> {
        let lines = statement["lines"].as_array().unwrap();
        lines.iter().map(|line| line["kind"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(kinds(&statement), ["grant", "settle", "settle"]);
    assert_eq!(
        kinds(&desk.json(&format!("{window} --all"))),
        ["grant", "hold", "settle", "hold", "settle"]
    );
    assert_eq!(statement["movements"]["hold"]["count"].as_u64(), Some(2));
    assert_eq!(statement["lines"][0]["reference"].as_str(), Some("invoice 1"));
    let model = &statement["models"][0];
    assert_eq!(
        (model["calls"].as_u64(), model["cost"].as_i64(), model["usage"]["input"].as_u64()),
        (Some(2), Some(37_000), Some(17))
    );
    assert_eq!(statement["users"].as_array().unwrap().len(), 2);
    assert_eq!(statement["teams"].as_array().unwrap().len(), 2);
    let people = text(&desk.run(&window));
    assert!(
        people.contains("Closing: 0.000963 dollars")
            && people.contains("2 × settle: -0.000037 posted"),
        "{people}"
    );
    let empty = desk.run(&format!("statement --org {id} --from 2026-01-02 --to 2026-01-01"));
    assert!(empty.status.code() == Some(1) && text(&empty).contains("the window is empty"));
}

#[tokio::test]
async fn a_statement_is_a_table_that_any_reader_of_rfc_4180_takes() {
    let desk = Desk::open().await;
    let ann = with_calls(&desk).await;
    let id = ann.organization_id().to_string();
    let output = desk.run(&format!("statement --org {id} --from 2026-01-01 --csv --all"));
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.lines().count() > 1 && text.split("\r\n").count() == text.lines().count() + 1);
    let mut table = csv::Reader::from_reader(text.as_bytes());
    let header = table.headers().unwrap().clone();
    let rows: Vec<csv::StringRecord> = table.records().map(Result::unwrap).collect();
    let cell = |row: &csv::StringRecord, name: &str| {
        row[header.iter().position(|column| column == name).unwrap()].to_owned()
    };
    // Dollars as exact decimals: the sum of all movements is what the closing row says.
    let nanos = |text: String| text.parse::<tollgate::domain::credits::Credits>().unwrap().nanos();
    let movements: Vec<_> = rows.iter().filter(|row| cell(row, "line") == "movement").collect();
    assert_eq!(movements.len(), 5);
    for column in ["posted", "held", "debt"] {
        let moved: i64 = movements.iter().map(|row| nanos(cell(row, column))).sum();
        let summed: i64 = rows
            .iter()
            .filter(|row| cell(row, "line") == "summary")
            .map(|row| nanos(cell(row, column)))
            .sum();
        let closing = rows.iter().find(|row| cell(row, "line") == "closing").unwrap();
        let opening = rows.iter().find(|row| cell(row, "line") == "opening").unwrap();
        let after = format!("{column}_after");
        assert_eq!(nanos(cell(opening, &after)) + moved, nanos(cell(closing, &after)), "{column}");
        assert_eq!(moved, summed);
    }
    // No spreadsheet takes what somebody is called for a formula.
    assert!(rows.iter().any(|row| cell(row, "user_id") == "'=bob, \"the\" builder"));
    assert!(movements.iter().any(|row| cell(row, "cost") == "0.00003"));
    let days: Vec<_> = movements.iter().map(|row| cell(row, "day").len()).collect();
    assert_eq!(days, [10; 5]);
}

#[tokio::test]
async fn a_statement_of_a_ledger_that_does_not_add_up_fails_and_says_where() {
    let desk = Desk::open().await;
    let id = with_calls(&desk).await.organization_id().to_string();
    let client = desk.database.connect().await.unwrap();
    let line = format!("statement --org {id} --from 2026-01-01");
    for seq in [1, 3] {
        let alter = async |by: i64| {
            let sql = format!(
                "update tollgate.credit_ledger set d_posted = d_posted + {by} where seq = {seq}"
            );
            client.batch_execute(&sql).await.unwrap();
        };
        alter(1).await;
        for form in ["", " --json", " --csv"] {
            let output = desk.run(&format!("{line}{form}"));
            assert_eq!(output.status.code(), Some(1), "{form}: {}", text(&output));
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(said.contains(&format!("does not add up at movement {seq}")), "{form}: {said}");
        }
        alter(-1).await;
        desk.json(&line);
    }
}
