//! The metrics of a gateway process, compared with the calls that the test has made.

use std::{collections::BTreeMap, fs, path::Path};

use super::{
    harness::{Ask, Client, House, RICH, until},
    process::Process,
};

/// Every series and its value, as the gateway prints them.
async fn series(gateway: &Process) -> BTreeMap<String, String> {
    let mut client = Client::open(gateway.address).await;
    client.send(b"GET /metrics HTTP/1.1\r\nhost: gateway\r\n\r\n").await;
    let answer = client.answer().await.unwrap();
    let lines = answer.text().lines().filter(|line| !line.starts_with('#'));
    lines
        .filter_map(|line| line.rsplit_once(' '))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metrics_count_each_call_each_refusal_and_each_hold_once() {
    let house = House::open().await;
    let gateway = house.start_process().await;
    let (org, poor) = (house.organization(RICH).await, house.organization(1).await);
    let ask = async |org, ask: Ask| {
        let mut client = Client::open(gateway.address).await;
        client.send(&ask.bytes(org)).await;
        client.answer().await.unwrap().status
    };
    assert_eq!(ask(&org.token, Ask::chat()).await, 200);
    assert_eq!(ask(&org.token, Ask::chat().streamed()).await, 200);
    assert_eq!(ask(&org.token, Ask::chat().mock("status", 500)).await, 500);
    assert_eq!(ask(&poor.token, Ask::chat()).await, 402);
    assert_eq!(ask("no.such.token", Ask::chat()).await, 401);
    until("it hears of changes", async || {
        series(&gateway).await.get("tollgate_listen_connected").is_some_and(|heard| heard == "1")
    })
    .await;

    let expected = [
        (r#"tollgate_calls_total{endpoint="chat_completions",ending="complete"}"#, "2"),
        (r#"tollgate_calls_total{endpoint="chat_completions",ending="failed"}"#, "1"),
        (r#"tollgate_calls_total{endpoint="chat_completions",ending="refused"}"#, "1"),
        (r#"tollgate_refusals_total{code="insufficient_credits"}"#, "1"),
        (r#"tollgate_refusals_total{code="invalid_token"}"#, "1"),
        (r#"tollgate_holds_total{verdict="granted"}"#, "3"),
        ("tollgate_holds_open", "0"),
        ("tollgate_finish_seconds_count", "3"),
    ];
    let found = series(&gateway).await;
    for (name, value) in expected {
        assert_eq!(found.get(name).map(String::as_str), Some(value), "{name} of {found:#?}");
    }
    let answered = |status: &str| {
        let route = format!(
            "tollgate_http_requests_total{{route=\"/v1/chat/completions\",status=\"{status}\"}}"
        );
        found.get(&route).map(String::as_str)
    };
    assert_eq!(
        [answered("2xx"), answered("4xx"), answered("5xx")],
        [Some("2"), Some("2"), Some("1")]
    );
    gateway.close().await;
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_gauge_of_what_is_heard_falls_when_the_notices_are_lost_and_rises_when_they_are_back() {
    let house = House::open().await;
    let gateway = house.start_process().await;
    let heard = async |expected: &str| {
        let what = format!("tollgate_listen_connected is {expected}");
        until(&what, async || {
            let found = series(&gateway).await.remove("tollgate_listen_connected");
            found.is_some_and(|found| found == expected)
        })
        .await;
    };
    heard("1").await;
    let refuse = async |limit: i32| {
        let sql = format!(
            "do $$ begin execute format('alter database %I connection limit {limit}', current_database()); end $$"
        );
        house.admin.batch_execute(&sql).await.unwrap();
    };
    for _ in 0..2 {
        refuse(0).await;
        let end = "select pg_terminate_backend(pid) from pg_stat_activity
            where datname = current_database() and application_name = 'tollgate listen'";
        house.admin.batch_execute(end).await.unwrap();
        heard("0").await;
        refuse(-1).await;
        heard("1").await;
    }
    gateway.close().await;
    house.close().await;
}

/// The names in `text` that stand right behind one of these.
fn names<'a>(text: &'a str, behind: &'a [&str]) -> impl Iterator<Item = &'a str> {
    behind.iter().flat_map(move |macro_| {
        text.split(macro_).skip(1).filter_map(|rest| {
            let rest = rest.trim_start().strip_prefix('"')?;
            rest.split('"').next().filter(|name| name.starts_with("tollgate_"))
        })
    })
}

fn sources(folder: &Path, all: &mut String) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            sources(&entry.path(), all);
        } else if entry.path().extension().is_some_and(|extension| extension == "rs") {
            all.push_str(&fs::read_to_string(entry.path()).unwrap());
        }
    }
}

#[test]
fn every_metric_that_is_recorded_is_described_and_none_is_described_that_is_not() {
    let mut source = String::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut source);
    let sorted = |behind: &[&str]| {
        let mut found: Vec<_> = names(&source, behind).map(str::to_owned).collect();
        found.sort();
        found.dedup();
        found
    };
    let recorded = sorted(&[
        "metrics::counter!(",
        "metrics::gauge!(",
        "metrics::histogram!(",
        "Key::from_parts(",
    ]);
    let described = sorted(&["name: "]);
    assert!(recorded.len() > 20, "{recorded:?}");
    assert_eq!(recorded, described);
}
