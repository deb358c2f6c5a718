//! Kill switches, set by command and over HTTP, and their effect on calls.

use http::Request;
use http_body_util::Full;
use serde_json::json;
use uuid::Uuid;

use super::kit::{Dev, Folder, done, json_of, question, run, stderr};

#[tokio::test]
async fn a_team_and_a_key_are_suspended_and_resumed_by_the_operator() {
    let folder = Folder::new();
    let dev = Dev::start(folder.path()).await;
    let (here, org) = (folder.path(), dev.organization());
    let [team, key] = [Uuid::new_v4(), Uuid::new_v4()];
    let of_team = dev.issued(here, &format!("--user ann --team {team}")).await;
    let of_key = dev.issued(here, &format!("--user ann --key {key}")).await;
    let neither = dev.issued(here, "--user ann").await;
    let call = async |token: &str| dev.call(token, &question(false)).await;
    for (part, id, hit, missed) in
        [("team", team, &of_team, &of_key), ("key", key, &of_key, &of_team)]
    {
        let suspended = done(here, &format!("org suspend {org} --{part} {id} --reason leak")).await;
        assert_eq!((&suspended["suspended"], &suspended["scope"]), (&json!(true), &json!(part)));
        assert_eq!(call(hit).await, (403, format!("{part}_suspended")));
        assert_eq!([call(missed).await.0, call(&neither).await.0], [200, 200], "{part}");
        let shown = done(here, &format!("org show {org}")).await;
        let on = &shown["kill_switches"][0];
        assert_eq!((&on["scope"], &on["scope_id"]), (&json!(part), &json!(id)), "{shown}");
        assert_eq!(on["reason"], "leak", "{shown}");

        done(here, &format!("org resume {org} --{part} {id}")).await;
        assert_eq!(call(hit).await.0, 200, "{part}");
    }
    dev.stop().await;
}

#[tokio::test]
async fn a_switch_is_turned_on_by_http_as_curl_sends_it() {
    let folder = Folder::new();
    let dev = Dev::start(folder.path()).await;
    let me = dev.issued(folder.path(), "--user me").await;
    let url = dev.url("/admin/v1/kill-switches/user/me");
    let owner = format!("Bearer {}", dev.token("owner"));
    let request = |method: &str, body: &str| {
        let request = Request::builder().method(method).uri(&url).header("authorization", &owner);
        // What `curl -d` says of whatever it sends.
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        request.body(Full::from(body.to_owned())).unwrap()
    };
    let on = dev.send(request("PUT", r#"{"reason":"a leaked key"}"#)).await;
    assert_eq!(on.status(), 200, "{:?}", on.body());
    assert_eq!(json_of(&on)["reason"], "a leaked key", "{:?}", on.body());
    assert_eq!(dev.call(&me, &question(false)).await, (403, "user_suspended".to_owned()));
    let off = dev.send(request("DELETE", "")).await;
    assert!(off.status().is_success(), "{:?}", off.body());
    assert_eq!(dev.call(&me, &question(false)).await.0, 200);
    dev.stop().await;
}

#[tokio::test]
async fn a_reason_that_is_too_long_for_http_is_too_long_for_the_command() {
    let folder = Folder::new();
    let dev = Dev::start(folder.path()).await;
    let (here, org) = (folder.path(), dev.organization());
    let put = async |reason: &str| {
        let request = Request::put(dev.url("/admin/v1/kill-switches/user/me"))
            .header("authorization", format!("Bearer {}", dev.token("owner")))
            .body(Full::from(json!({"reason": reason}).to_string()));
        dev.send(request.unwrap()).await.status().as_u16()
    };
    let suspend = async |reason: &str| {
        run(here, &["org", "suspend", org, "--user", "me", "--reason", reason]).await
    };
    let (longest, too_long) = ("x".repeat(2_000), "x".repeat(2_001));
    assert_eq!(put(&too_long).await, 400);
    let refused = suspend(&too_long).await;
    assert_eq!(refused.status.code(), Some(1));
    assert_eq!(stderr(&refused), "error: the reason is a text of 2000 bytes at the most\n");
    assert_eq!(done(here, &format!("org show {org}")).await["kill_switches"], json!([]));
    assert_eq!(put(&longest).await, 200);
    let suspended = suspend(&longest).await;
    assert!(suspended.status.success(), "{}", stderr(&suspended));
    dev.stop().await;
}
