//! The command as its users run it: a process, its one line of JSON, its ports and its signals.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Output, Stdio},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    time::timeout,
};
use tollgate::client::HttpClient;

/// Nothing here takes long; on a busy machine a cluster may take a while to be made.
const PATIENCE: Duration = Duration::from_mins(2);

/// A data folder of its own for each test, gone with it.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("tollgate-command-{}", uuid::Uuid::new_v4()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Postgres's own files lie elsewhere where its account cannot reach this folder.
        if let Ok(elsewhere) = fs::read_to_string(self.0.join("location")) {
            drop(fs::remove_dir_all(Path::new(&elsewhere).parent().unwrap()));
        }
        drop(fs::remove_dir_all(&self.0));
    }
}

fn tollgate(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
    // What this machine has set for others is not meant for the process under test.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("TOLLGATE_") && name != "TOLLGATE_POSTGRES_BIN" {
            command.env_remove(name);
        }
    }
    command.env_remove("DATABASE_URL").current_dir(folder).kill_on_drop(true).stdin(Stdio::null());
    command
}

async fn run(folder: &Path, arguments: &[&str]) -> Output {
    timeout(PATIENCE, tollgate(folder).args(arguments).output()).await.unwrap().unwrap()
}

async fn run_json(folder: &Path, arguments: &[&str]) -> Value {
    let output = run(folder, arguments).await;
    assert!(output.status.success(), "{arguments:?}: {}", stderr(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A running `tollgate dev`.
struct Dev {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    ready: Value,
    client: HttpClient,
}

impl Dev {
    async fn start(folder: &Path) -> Self {
        let mut command = tollgate(folder);
        command
            .args(["dev", "--json", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(folder.join(".tollgate"));
        let log = fs::File::create(folder.join(format!("log-{}", uuid::Uuid::new_v4()))).unwrap();
        let mut child = command.stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let Some(line) = timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap() else {
            panic!("no line: {}", Self::logs(folder));
        };
        let ready = serde_json::from_str(&line).unwrap();
        Self { child, lines, ready, client: HttpClient::default() }
    }

    fn logs(folder: &Path) -> String {
        let logs = fs::read_dir(folder)
            .unwrap()
            .filter_map(|entry| fs::read_to_string(entry.unwrap().path()).ok());
        logs.collect()
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.ready["url"].as_str().unwrap())
    }

    fn organization(&self) -> &str {
        self.ready["organizations"][0]["id"].as_str().unwrap()
    }

    fn token(&self, role: &str) -> &str {
        self.ready["organizations"][0]["tokens"][role].as_str().unwrap()
    }

    fn chat(&self, body: &Value, headers: &[(&str, &str)]) -> Request<Full<Bytes>> {
        let mut request = Request::post(self.url("/v1/chat/completions"))
            .header("content-type", "application/json")
            .header("authorization", format!("Bearer {}", self.token("member")));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(Full::from(body.to_string())).unwrap()
    }

    async fn send(&self, request: Request<Full<Bytes>>) -> Response<Bytes> {
        self.client.fetch(request, 1 << 20, PATIENCE).await.unwrap()
    }

    async fn get(&self, path: &str) -> Response<Bytes> {
        self.send(Request::get(self.url(path)).body(Full::default()).unwrap()).await
    }

    fn signal(&self, signal: &str) {
        let id = self.child.id().unwrap().to_string();
        let sent = std::process::Command::new("kill").args([signal, &id]).status().unwrap();
        assert!(sent.success());
    }

    async fn ended(mut self) -> Option<i32> {
        let status = timeout(PATIENCE, self.child.wait()).await.unwrap().unwrap();
        assert_eq!(
            self.lines.next_line().await.unwrap(),
            None,
            "one line on standard output, no more"
        );
        status.code()
    }

    async fn stop(self) {
        self.signal("-TERM");
        assert_eq!(self.ended().await, Some(0));
    }
}

fn question(stream: bool) -> Value {
    json!({"model": "gpt-4o-mini", "stream": stream, "max_tokens": 64, "messages": [{"role": "user", "content": "knock"}]})
}

fn json_of(answer: &Response<Bytes>) -> Value {
    serde_json::from_slice(answer.body()).unwrap()
}

async fn credits(dev: &Dev, folder: &Path) -> Value {
    let mut shown = run_json(folder, &["org", "show", dev.organization(), "--json"]).await;
    shown["credits"].take()
}

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
        ("--scope team", "Name it with --id"),
        ("--scope team --id walnut", "UUID"),
        ("--scope user --id *", "--each"),
        ("--scope organization --each", "leave --id and --each out"),
    ] {
        assert!(failed("remove", wrong).await.contains(reason), "{wrong}");
    }
    dev.stop().await;
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

#[tokio::test]
async fn serve_refuses_to_start_without_what_it_needs_and_names_it() {
    let folder = Folder::new();
    let here = folder.path();
    let identity = "[identity]\nissuer = \"http://127.0.0.1:9\"\naudience = \"tollgate\"\njwks_url = \"http://127.0.0.1:9/keys\"\n";
    let upstream =
        "[[upstream]]\nname = \"a\"\nbase_url = \"http://127.0.0.1:9\"\nmodels = [\"*\"]\n";
    let database = "[database]\nurl = \"postgres://tollgate_login@127.0.0.1:9/x\"\n";
    let server = "[server]\nlisten = \"127.0.0.1:0\"\n";
    for (text, named) in [
        (format!("{server}{identity}{upstream}"), "DATABASE_URL"),
        (format!("{server}{database}{upstream}"), "identity.issuer"),
        (
            format!("{server}{database}{upstream}{}", identity.replace("jwks_url", "# ")),
            "identity.jwks_url",
        ),
        (format!("{server}{database}{identity}"), "[[upstream]]"),
        (format!("{server}{database}{identity}{upstream}"), "database"),
        (format!("{server}{database}{identity}{upstream}[limit]\n"), "`limit`"),
    ] {
        fs::write(here.join("tollgate.toml"), &text).unwrap();
        let refused = run(here, &["serve", "--config", "tollgate.toml"]).await;
        assert!(
            !refused.status.success() && stderr(&refused).contains(named),
            "{named}: {}",
            stderr(&refused)
        );
    }
    let missing = run(here, &["serve", "--config", "nowhere.toml"]).await;
    assert!(stderr(&missing).contains("nowhere.toml"), "{}", stderr(&missing));
}

#[tokio::test]
async fn a_command_without_its_counterpart_says_what_to_start() {
    let folder = Folder::new();
    let id = uuid::Uuid::new_v4().to_string();
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", free.local_addr().unwrap());
    drop(free);
    let token = run(
        folder.path(),
        &["token", "--org", &id, "--user", "ada", "--role", "member", "--url", &url],
    )
    .await;
    assert!(
        !token.status.success() && stderr(&token).contains("tollgate dev"),
        "{}",
        stderr(&token)
    );
    let books = run(folder.path(), &["reconcile"]).await;
    assert!(
        !books.status.success() && stderr(&books).contains("DATABASE_URL"),
        "{}",
        stderr(&books)
    );
}

/// The configuration of a gateway on the database of a `tollgate dev`, with this line in its `[database]`.
fn serving(dev: &Dev, line: &str) -> String {
    let database = dev.ready["database_url"].as_str().unwrap();
    let (scheme, rest) = database.split_once("://").unwrap();
    let (_, host) = rest.split_once('@').unwrap();
    let [issuer, jwks, mock] =
        ["issuer", "jwks_url", "mock_url"].map(|name| dev.ready[name].as_str().unwrap());
    format!(
        "[server]\nlisten = \"127.0.0.1:0\"\n[database]\nurl = \"{scheme}://tollgate_login@{host}\"\n{line}\n\
         [identity]\nissuer = \"{issuer}\"\naudience = \"tollgate\"\njwks_url = \"{jwks}\"\n\
         [[upstream]]\nname = \"mock\"\nbase_url = \"{mock}\"\nmodels = [\"*\"]\n"
    )
}

#[tokio::test]
async fn gateway_operator_and_database_agree_on_seals_or_are_told_what_to_do() {
    let folder = Folder::new();
    let here = folder.path();
    let dev = Dev::start(here).await;
    let [key, other] = ["c0ffee42", "decade00"].map(|digits| digits.repeat(8));
    fs::write(here.join("key"), &key).unwrap();
    fs::write(here.join("other"), &other).unwrap();
    let refused = async |arguments: &[&str], words: &[&str]| {
        let output = run(here, arguments).await;
        let said = stderr(&output);
        assert!(!output.status.success(), "{arguments:?}");
        assert!(words.iter().all(|word| said.contains(word)), "{arguments:?}: {said}");
        assert!(!said.contains("c0ffee42") && !said.contains("decade00"), "{said}");
    };
    let serve = ["serve", "--config", "tollgate.toml"];

    // A key, and nobody who asks for seals.
    fs::write(here.join("tollgate.toml"), serving(&dev, "seal_key = \"file:key\"")).unwrap();
    refused(&serve, &["database.seal_key", "without a seal", "tollgate migrate --seal-key"]).await;
    refused(&["migrate", "--seal-key", &key], &["env:NAME", "file:/path"]).await;
    refused(&["migrate", "--seal-key", "file:nowhere"], &["--seal-key", "file:nowhere"]).await;

    // Sealed by what the configuration names: whoever calls without a seal waits, and the operator goes on.
    let migrated = run_json(
        here,
        &[
            "migrate",
            "--config",
            "tollgate.toml",
            "--database-url",
            dev.ready["database_url"].as_str().unwrap(),
            "--json",
        ],
    )
    .await;
    assert_eq!(migrated["sealed"].as_bool(), Some(true), "{migrated}");
    assert_eq!(dev.send(dev.chat(&question(false), &[])).await.status(), 503);
    let ready = dev.get("/readyz").await;
    let ready = std::str::from_utf8(ready.body()).unwrap();
    assert!(ready.contains("does not take the claims"), "{ready}");
    let shown = run_json(here, &["org", "show", dev.organization(), "--json"]).await;
    assert!(shown["credits"]["posted"].as_i64().unwrap() > 0, "{shown}");
    assert_eq!(run_json(here, &["reconcile", "--json"]).await["ok"].as_bool(), Some(true));
    let proof = run_json(here, &["prove", "--read-only", "--json"]).await;
    assert_eq!(proof["ok"].as_bool(), Some(true), "{proof}");
    assert!(proof["probes"].as_u64().unwrap() > 100, "{proof}");

    // An operator who cannot read the keys needs the gateway's.
    let text = serving(&dev, "");
    let login = text.split('"').find(|word| word.contains("tollgate_login@")).unwrap().to_owned();
    let books = ["reconcile", "--json", "--database-url", &login];
    refused(&books, &["tollgate_rls_helper", "--config"]).await;
    let with_config = [&books[..], &["--config", "tollgate.toml"]].concat();
    assert_eq!(run_json(here, &with_config).await["ok"].as_bool(), Some(true));

    // A gateway that agrees starts; one that does not is told.
    let mut agreeing = tollgate(here).args(serve).stderr(Stdio::piped()).spawn().unwrap();
    let mut log = BufReader::new(agreeing.stderr.take().unwrap()).lines();
    let started = async {
        while let Some(line) = log.next_line().await.unwrap() {
            if line.contains("ready") {
                return true;
            }
        }
        false
    };
    assert!(timeout(PATIENCE, started).await.unwrap());
    agreeing.kill().await.unwrap();
    fs::write(here.join("tollgate.toml"), serving(&dev, "")).unwrap();
    refused(&serve, &["sealed claims only", "database.seal_key", "tollgate migrate --unseal"])
        .await;
    fs::write(here.join("tollgate.toml"), serving(&dev, "seal_key = \"file:other\"")).unwrap();
    refused(&serve, &["does not accept this key", "--seal-key"]).await;

    // The next start of `tollgate dev` reads the key, as its administrator.
    dev.stop().await;
    let dev = Dev::start(here).await;
    assert_eq!(dev.send(dev.chat(&question(false), &[])).await.status(), 200);
    let unsealed = run_json(here, &["migrate", "--unseal", "--json"]).await;
    assert_eq!(unsealed["sealed"].as_bool(), Some(false));
    assert_eq!(dev.get("/readyz").await.status(), 200);
    // A seal that nobody asks for any more does no harm.
    assert_eq!(dev.send(dev.chat(&question(false), &[])).await.status(), 200);
    dev.stop().await;
}
