//! `tollgate dev`: its services, its signals, and its data folder.

use http::Request;
use http_body_util::{BodyExt, Full};
use tokio_util::sync::CancellationToken;
use tollgate::{client::HttpClient, gateway::dev::DevOptions};

use super::kit::{Dev, Folder, credits, json_of, question, run, run_json, stderr};

#[tokio::test]
async fn dev_serves_calls_probes_and_tokens_and_the_books_are_right_afterwards() {
    let folder = Folder::new();
    let dev = Dev::start(folder.path()).await;
    for field in ["url", "database_url", "jwks_url", "issuer", "token_url", "mock_url"] {
        assert!(dev.ready[field].as_str().is_some_and(|text| !text.is_empty()), "{field}");
    }

    let answer = dev.send(dev.chat(&question(false), &[("x-request-id", "mine-1")])).await;
    assert_eq!(answer.status(), 200, "{:?}", answer.body());
    assert_eq!(answer.headers()["x-request-id"], "mine-1");
    assert!(json_of(&answer)["usage"]["completion_tokens"].as_u64().unwrap() > 0);
    let streamed = dev.send(dev.chat(&question(true), &[])).await;
    assert!(streamed.body().ends_with(b"data: [DONE]\n\n"), "{:?}", streamed.body());

    let ready = dev.get("/readyz").await;
    assert_eq!((ready.status().as_u16(), json_of(&ready)["ready"].as_bool()), (200, Some(true)));
    let metrics = dev.get("/metrics").await;
    let metrics = std::str::from_utf8(metrics.body()).unwrap();
    assert!(
        metrics.contains("tollgate_calls_total")
            && metrics.contains("tollgate_finish_seconds_bucket"),
        "{metrics}"
    );
    assert_eq!(dev.get("/v1/models").await.status(), 401);

    let url = dev.url("");
    let arguments =
        ["token", "--org", dev.organization(), "--user", "ada", "--role", "member", "--url", &url];
    let issued = run(folder.path(), &arguments).await;
    let token = String::from_utf8(issued.stdout.clone()).unwrap();
    assert!(issued.status.success(), "{}", stderr(&issued));
    let listing = Request::get(dev.url("/v1/models"))
        .header("authorization", format!("Bearer {}", token.trim()));
    assert_eq!(dev.send(listing.body(Full::default()).unwrap()).await.status(), 200);

    let books = run_json(folder.path(), &["reconcile", "--json"]).await;
    assert_eq!(books["ok"].as_bool(), Some(true), "{books}");
    let logs = Dev::logs(folder.path());
    assert!(logs.contains(&format!("\"organization_id\":\"{}\"", dev.organization())), "{logs}");
    for secret in [dev.token("member"), "knock"] {
        assert!(!logs.contains(secret), "the log holds {secret:?}");
    }
    dev.stop().await;
}

#[tokio::test]
async fn a_stream_that_is_open_at_sigterm_goes_on_to_its_end() {
    let folder = Folder::new();
    let dev = Dev::start(folder.path()).await;
    let slow = [("x-mock-chunks", "5"), ("x-mock-chunk-delay-ms", "100")];
    let mut body = dev.client.send(dev.chat(&question(true), &slow)).await.unwrap().into_body();
    let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
    dev.signal("-TERM");
    let rest = body.collect().await.unwrap().to_bytes();
    assert!([first, rest].concat().ends_with(b"data: [DONE]\n\n"));
    assert_eq!(dev.ended().await, Some(0));
}

#[tokio::test]
async fn a_second_start_and_one_after_a_kill_go_on_with_the_same_organizations_and_balances() {
    let folder = Folder::new();
    let dev = Dev::start(folder.path()).await;
    let organizations = |dev: &Dev| {
        dev.ready["organizations"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["id"].clone())
            .collect::<Vec<_>>()
    };
    let first = organizations(&dev);
    assert_eq!(dev.send(dev.chat(&question(false), &[])).await.status(), 200);
    let before = credits(&dev, folder.path()).await;
    dev.stop().await;

    let dev = Dev::start(folder.path()).await;
    assert_eq!(organizations(&dev), first);
    assert_eq!(credits(&dev, folder.path()).await, before);
    dev.signal("-KILL");
    assert_eq!(dev.ended().await, None);

    let dev = Dev::start(folder.path()).await;
    assert_eq!(organizations(&dev), first);
    assert_eq!(credits(&dev, folder.path()).await, before);
    assert_eq!(dev.send(dev.chat(&question(false), &[])).await.status(), 200);
    dev.stop().await;
}

#[tokio::test]
async fn two_at_once_do_not_know_of_each_other() {
    let (one_folder, other_folder) = (Folder::new(), Folder::new());
    let (one, other) = tokio::join!(Dev::start(one_folder.path()), Dev::start(other_folder.path()));
    assert_ne!(one.ready["url"], other.ready["url"]);
    let mut foreign = one.chat(&question(false), &[]);
    let token = format!("Bearer {}", other.token("member"));
    foreign.headers_mut().insert("authorization", token.parse().unwrap());
    assert_eq!(one.send(foreign).await.status(), 401);
    let ((), ()) = tokio::join!(one.stop(), other.stop());
}

#[tokio::test]
async fn dev_is_for_this_machine_and_for_its_own_database() {
    let folder = Folder::new();
    let refused = run(folder.path(), &["dev", "--in-memory", "--listen", "0.0.0.0:0"]).await;
    assert!(!refused.status.success() && stderr(&refused).contains("--expose"));

    let dev = Dev::start_with(folder.path(), |command| {
        command.env("DATABASE_URL", "postgres://nobody@127.0.0.1:1/nothing")
    })
    .await;
    assert!(!dev.ready["database_url"].as_str().unwrap().contains("nobody"));
    let asked =
        format!(r#"{{"organization_id":"{}","user_id":"ada","role":"owner"}}"#, dev.organization());
    for url in [dev.url("/dev/token"), dev.ready["token_url"].as_str().unwrap().to_owned()] {
        for (host, status) in [("evil.example", 403), ("localhost:1", 200)] {
            let request = Request::post(&url).header("host", host);
            let answer = dev.send(request.body(Full::from(asked.clone())).unwrap()).await;
            assert_eq!(answer.status(), status, "{url} {host}");
        }
    }
    dev.stop().await;

    let options = DevOptions {
        listen: "0.0.0.0:0".parse().unwrap(),
        data_dir: folder.path().to_owned(),
        upstream: None,
        database_url: None,
        in_memory: true,
        expose: true,
    };
    let exposed = tollgate::gateway::dev::Dev::start(&options).await.unwrap();
    let url = format!("{}/dev/token", exposed.summary().url);
    let running = tokio::spawn(exposed.run(CancellationToken::new()));
    let request = Request::post(url).body(Full::from(asked)).unwrap();
    assert_eq!(HttpClient::default().send(request).await.unwrap().status(), 404);
    running.abort();
}

#[tokio::test]
async fn a_taken_port_names_the_option_that_helps() {
    let folder = Folder::new();
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let refused = run(folder.path(), &["dev", "--listen", &address]).await;
    assert!(!refused.status.success());
    assert!(
        stderr(&refused).contains("--listen") && stderr(&refused).contains(&address),
        "{}",
        stderr(&refused)
    );
}

/// An answer of half a million tokens, which costs 31 dollars, of which a word is written.
const DEAR: [(&str, &str); 2] =
    [("x-mock-output-tokens", "4096"), ("x-mock-reasoning-tokens", "4096")];

#[tokio::test]
async fn dev_in_memory_serves_calls_until_the_credits_are_used_up_and_starts_no_postgres() {
    let folder = Folder::new();
    let dev = Dev::start_with(folder.path(), |command| {
        // There is no server to be found, and no database to be asked.
        command.arg("--in-memory").env("TOLLGATE_POSTGRES_BIN", "/nowhere");
        command.env("DATABASE_URL", "postgres://nobody@127.0.0.1:1/nothing")
    })
    .await;
    assert_eq!(
        (dev.ready["in_memory"].as_bool(), dev.ready["database_url"].as_str()),
        (Some(true), Some(""))
    );
    let said = Dev::logs(folder.path());
    for missing in ["row-level security", "audit records", "books are lost"] {
        assert!(said.contains(missing), "{said}");
    }
    assert!(!folder.path().join(".tollgate").exists(), "nothing is kept");
    assert_eq!(dev.get("/readyz").await.status(), 200);

    let answer = dev.send(dev.chat(&question(false), &[])).await;
    assert_eq!(answer.status(), 200, "{:?}", answer.body());
    let streamed = dev.send(dev.chat(&question(true), &[])).await;
    assert!(streamed.body().ends_with(b"data: [DONE]\n\n"), "{:?}", streamed.body());

    // A hundred dollars are three such calls.
    let mut dear = question(false);
    (dear["model"], dear["n"], dear["max_tokens"]) = ("gpt-4".into(), 128.into(), 4096.into());
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(dev.send(dev.chat(&dear, &DEAR)).await.status().as_u16());
    }
    assert_eq!(statuses, [200, 200, 200, 402]);
    let refused = dev.send(dev.chat(&dear, &DEAR)).await;
    assert_eq!(json_of(&refused)["error"]["code"], "insufficient_credits");
    // A small call is covered by what is left.
    assert_eq!(dev.send(dev.chat(&question(false), &[])).await.status(), 200);
    dev.stop().await;
}

#[tokio::test]
async fn kill_switches_in_memory_are_turned_by_those_who_may_and_stop_calls() {
    let folder = Folder::new();
    let dev = Dev::start_with(folder.path(), |command| command.arg("--in-memory")).await;
    let turn = |method: &str, token: &str| {
        let switch =
            Request::builder().method(method).uri(dev.url("/admin/v1/kill-switches/organization"));
        let switch = switch.header("authorization", format!("Bearer {token}"));
        dev.send(
            switch
                .body(Full::from(if method == "PUT" { "{\"reason\":\"a test\"}" } else { "" }))
                .unwrap(),
        )
    };
    assert_eq!(turn("PUT", dev.token("member")).await.status(), 403);
    assert_eq!(dev.send(dev.chat(&question(false), &[])).await.status(), 200);
    let on = turn("PUT", dev.token("owner")).await;
    assert_eq!((on.status().as_u16(), json_of(&on)["reason"].as_str()), (200, Some("a test")));
    let stopped = dev.send(dev.chat(&question(false), &[])).await;
    assert_eq!(json_of(&stopped)["error"]["code"], "organization_suspended");
    assert_eq!(json_of(&turn("GET", dev.token("viewer")).await)["on"], true);
    assert_eq!(turn("DELETE", dev.token("admin")).await.status(), 200);
    assert_eq!(dev.send(dev.chat(&question(false), &[])).await.status(), 200);
    dev.stop().await;
}

#[tokio::test]
async fn without_a_server_dev_says_what_goes_without() {
    let folder = Folder::new();
    let mut command = super::kit::tollgate(folder.path());
    command.args(["dev", "--listen", "127.0.0.1:0"]).env("TOLLGATE_POSTGRES_BIN", "/nowhere");
    let refused = command.output().await.unwrap();
    assert!(!refused.status.success());
    for helps in ["TOLLGATE_POSTGRES_BIN", "tollgate dev --in-memory"] {
        assert!(stderr(&refused).contains(helps), "{}", stderr(&refused));
    }
}
