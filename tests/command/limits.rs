//! `tollgate limits`: sets, shows and removes limits, and lets calls reach them.

use serde_json::json;

use super::kit::{Dev, Folder, done, question, run, run_json, stderr};

#[tokio::test]
async fn an_operator_limits_a_model_and_the_second_call_is_refused() {
    let folder = Folder::new();
    let dev = Dev::start(folder.path()).await;
    let (here, id) = (folder.path(), dev.organization());
    let line = |command: &str, more: &str| format!("limits {command} --org {id} {more} --json");
    let failed = async |command: &str, more: &str| {
        let line = line(command, more);
        let output = run(here, &line.split_whitespace().collect::<Vec<_>>()).await;
        assert!(!output.status.success(), "{line}");
        stderr(&output)
    };
    let done = async |command: &str, more: &str| {
        let line = line(command, more);
        run_json(here, &line.split_whitespace().collect::<Vec<_>>()).await
    };
    let of_all = "--scope organization --model gpt-4o-mini*";
    let typo = "--scope organization --model gpt-40-mini --requests-per-minute 1";
    assert!(failed("set", typo).await.contains("no model with a price is named `gpt-40-mini`"));
    let both = format!("{of_all} --requests-per-minute 1 --tokens-per-minute 1000000");
    let set = done("set", &both).await;
    assert_eq!((&set["requests_per_minute"], &set["scope_id"]), (&json!(1), &json!("")));
    done("set", "--scope user --each --calls-in-flight 5").await;
    done("set", "--scope team --id 0192F0C1-2345-7890-ABCD-EF0123456789 --tokens-per-minute 7")
        .await;

    let first = dev.send(dev.chat(&question(false), &[])).await;
    let second = dev.send(dev.chat(&question(false), &[])).await;
    assert_eq!((first.status().as_u16(), second.status().as_u16()), (200, 429));
    assert_eq!(first.headers()["x-ratelimit-limit-tokens"], "1000000");

    let shown = done("show", "").await;
    let listed: Vec<_> = shown["limits"]
        .as_array()
        .unwrap()
        .iter()
        .map(|limit| {
            ["scope", "scope_id", "model_pattern"]
                .map(|field| limit[field].as_str().unwrap().to_owned())
        })
        .collect();
    let expected = [
        ["organization", "", "gpt-4o-mini*"],
        ["team", "0192f0c1-2345-7890-abcd-ef0123456789", "*"],
        ["user", "*", "*"],
    ];
    assert_eq!(listed, expected);
    assert!(
        failed("set", &format!("{of_all} --requests-per-minute none --tokens-per-minute none"))
            .await
            .contains("limits remove")
    );
    let after = done("set", &format!("{of_all} --requests-per-minute none")).await;
    assert_eq!(
        (&after["requests_per_minute"], &after["tokens_per_minute"]),
        (&json!(null), &json!(1_000_000))
    );
    done("remove", of_all).await;
    assert!(failed("remove", of_all).await.contains("no such limit"));
    assert_eq!(done("show", "").await["limits"].as_array().unwrap().len(), 2);
    for (wrong, reason) in [
        ("--scope team", "pass its id with --id"),
        ("--scope team --id pecan", "UUID"),
        ("--scope user --id *", "--each"),
        ("--scope organization --each", "takes neither --id nor --each"),
    ] {
        assert!(failed("remove", wrong).await.contains(reason), "{wrong}");
    }
    dev.stop().await;
}

#[tokio::test]
async fn one_person_has_a_limit_of_its_own_in_place_of_everybodys() {
    let folder = Folder::new();
    let dev = Dev::start(folder.path()).await;
    let (here, org) = (folder.path(), dev.organization());
    done(here, &format!("limits set --org {org} --scope user --each --requests-per-minute 1"))
        .await;
    let set = format!("limits set --org {org} --scope user --id ada --requests-per-minute 3");
    let set = done(here, &set).await;
    assert_eq!((&set["scope_id"], &set["requests_per_minute"]), (&json!("ada"), &json!(3)));
    for (who, limit) in [("ada", 3), ("ann", 1), ("bob", 1)] {
        let token = dev.issued(here, &format!("--user {who}")).await;
        let mut statuses = Vec::new();
        for _ in 0..=limit {
            statuses.push(dev.call(&token, &question(false)).await.0);
        }
        assert_eq!(statuses[..limit], vec![200; limit], "{who}");
        assert_eq!(statuses[limit], 429, "{who}");
    }
    dev.stop().await;
}

#[tokio::test]
async fn tokens_and_calls_in_flight_of_a_family_of_models_are_limited_together() {
    let folder = Folder::new();
    let dev = Dev::start(folder.path()).await;
    let (here, org) = (folder.path(), dev.organization());
    let of_family = format!("--org {org} --scope organization --model gpt-4o*");
    let both = "--tokens-per-minute 100000 --calls-in-flight 1";
    let set = done(here, &format!("limits set {of_family} {both}")).await;
    let figures = ["tokens_per_minute", "calls_in_flight", "requests_per_minute"];
    assert_eq!(figures.map(|name| set[name].clone()), [json!(100_000), json!(1), json!(null)]);

    // One is open: no other of the family starts, and one of another model does.
    let slow = [("x-mock-chunks", "3"), ("x-mock-hang", "body")];
    let open = dev.client.send(dev.chat(&question(true), &slow)).await.unwrap();
    assert_eq!(open.status(), 200);
    assert_eq!(open.headers()["x-ratelimit-limit-tokens"], "100000");
    let refused = dev.send(dev.chat(&question(false), &[])).await;
    assert_eq!(refused.status(), 429, "{:?}", refused.body());
    let mut other = question(false);
    other["model"] = json!("gpt-4.1-mini");
    assert_eq!(dev.send(dev.chat(&other, &[])).await.status(), 200);

    // What is not named stays as it is. Now only one call of the family fits at a time.
    drop(open);
    done(here, &format!("limits set {of_family} --calls-in-flight none")).await;
    done(here, &format!("limits set {of_family} --tokens-per-minute 100")).await;
    let all_of_it = [("x-mock-output-tokens", "64")];
    let mut last = dev.send(dev.chat(&question(false), &all_of_it)).await;
    if last.status() == 200 {
        last = dev.send(dev.chat(&question(false), &all_of_it)).await;
    }
    assert_eq!(last.status(), 429, "{:?}", last.body());
    assert_eq!(last.headers()["x-ratelimit-limit-tokens"], "100");
    assert_eq!(dev.send(dev.chat(&other, &[])).await.status(), 200);
    // The stream that was left is read on, so an orderly end would take its time.
    drop(dev);
}
