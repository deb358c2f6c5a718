//! Organizations, credits and policies.

use serde_json::json;

use super::kit::{Dev, Folder, run, run_json, stderr};

#[tokio::test]
async fn an_operator_makes_an_organization_gives_it_credits_and_stops_it() {
    let folder = Folder::new();
    let dev = Dev::start(folder.path()).await;
    let here = folder.path();
    let made = run_json(here, &["org", "create", "--name", "Umbrella", "--json"]).await;
    let id = made["organization_id"].as_str().unwrap();
    run_json(
        here,
        &[
            "credits",
            "grant",
            "--org",
            id,
            "--amount",
            "12.5",
            "--reference",
            "invoice 1",
            "--json",
        ],
    )
    .await;
    let again = run_json(
        here,
        &[
            "credits",
            "grant",
            "--org",
            id,
            "--amount",
            "12.5",
            "--reference",
            "invoice 1",
            "--json",
        ],
    )
    .await;
    assert_eq!(again["replayed"].as_bool(), Some(true));
    let shown = run_json(here, &["org", "show", id, "--json"]).await;
    assert_eq!(shown["credits"]["posted"].as_i64(), Some(12_500_000_000), "{shown}");

    let wrong = run(here, &["policy", "set", "--org", id, r#"{"model": ["a"]}"#]).await;
    assert!(!wrong.status.success() && stderr(&wrong).contains("model"), "{}", stderr(&wrong));
    run_json(here, &["policy", "set", "--org", id, r#"{"models": ["gpt-4o-mini"]}"#, "--json"])
        .await;
    let policy = run_json(here, &["policy", "show", "--org", id, "--json"]).await;
    assert_eq!(policy["models"], json!(["gpt-4o-mini"]));

    let shown = async || run_json(here, &["org", "show", id, "--json"]).await;
    run_json(here, &["org", "suspend", id, "--reason", "unpaid", "--json"]).await;
    run_json(here, &["org", "suspend", id, "--user", "ann", "--json"]).await;
    let on = shown().await;
    assert_eq!((&on["suspended"], &on["suspended_reason"]), (&json!(true), &json!("unpaid")));
    assert_eq!(
        (&on["kill_switches"][0]["scope_id"], &on["kill_switches"][1]),
        (&json!("ann"), &json!(null))
    );
    let text = run(here, &["org", "show", id]).await;
    let text = String::from_utf8_lossy(&text.stdout).into_owned();
    assert!(text.contains("suspended (unpaid)") && text.contains("user ann"), "{text}");
    run_json(here, &["org", "resume", id, "--json"]).await;
    let resumed = run_json(here, &["org", "resume", id, "--user", "ann", "--json"]).await;
    let said =
        json!({"organization_id": id, "suspended": false, "scope": "user", "scope_id": "ann"});
    assert_eq!(resumed, said);
    let off = shown().await;
    assert_eq!((&off["suspended"], &off["kill_switches"]), (&json!(false), &json!([])));
    assert_eq!(run_json(here, &["migrate", "--json"]).await["applied"].as_u64(), Some(0));
    let nobody = uuid::Uuid::new_v4().to_string();
    for about in [
        vec!["org", "show", &nobody],
        vec!["org", "suspend", &nobody],
        vec!["org", "suspend", &nobody, "--user", "ann"],
        vec!["org", "resume", &nobody, "--user", "ann"],
    ] {
        let refused = run(here, &about).await;
        assert!(stderr(&refused).contains("no organization"), "{about:?}: {}", stderr(&refused));
    }
    dev.stop().await;
}
