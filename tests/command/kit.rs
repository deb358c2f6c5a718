//! Runs the program in a temporary folder, and talks to its servers.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Output, Stdio},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    time::timeout,
};
use tollgate::client::HttpClient;

use super::logs;

/// Nothing here takes long; on a busy machine a cluster may take a while to be made.
pub(crate) const PATIENCE: Duration = Duration::from_mins(2);

/// The key for the provider, in a file of this name.
const PROVIDER_KEY: (&str, &str) = ("provider-key", "sk-test-of-the-command");

/// A data folder of its own for each test, gone with it.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        let path = std::env::temp_dir().join(format!("tollgate-command-{}", uuid::Uuid::new_v4()));
        fs::create_dir(&path).unwrap();
        let (name, key) = PROVIDER_KEY;
        logs::secret(key);
        fs::write(path.join(name), key).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Postgres's own files lie elsewhere where its account cannot reach this folder.
        if let Ok(elsewhere) = fs::read_to_string(self.0.join(".tollgate/location")) {
            drop(fs::remove_dir_all(Path::new(&elsewhere).parent().unwrap()));
        }
        drop(fs::remove_dir_all(&self.0));
    }
}

pub(crate) fn tollgate(folder: &Path) -> Command {
    let mut command = Command::new(super::program::tollgate());
    // What this machine has set for others is not meant for the process under test.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("TOLLGATE_") && name != "TOLLGATE_POSTGRES_BIN" {
            command.env_remove(name);
        }
    }
    command.env("TOLLGATE_LOG__LEVEL", "trace");
    command.env_remove("DATABASE_URL").current_dir(folder).kill_on_drop(true).stdin(Stdio::null());
    command
}

pub(crate) async fn run(folder: &Path, arguments: &[&str]) -> Output {
    let ended = timeout(PATIENCE, tollgate(folder).args(arguments).output()).await;
    let output = ended.unwrap().unwrap();
    stderr(&output).lines().for_each(logs::heard);
    output
}

pub(crate) async fn run_json(folder: &Path, arguments: &[&str]) -> Value {
    let output = run(folder, arguments).await;
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{arguments:?}: {said}{}", stderr(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A command that ends well, as one types it: what it says in JSON.
pub(crate) async fn done(folder: &Path, line: &str) -> Value {
    run_json(folder, &line.split_whitespace().chain(["--json"]).collect::<Vec<_>>()).await
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A running `tollgate dev`.
pub(crate) struct Dev {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    pub(crate) ready: Value,
    pub(crate) client: HttpClient,
    folder: PathBuf,
}

impl Dev {
    pub(crate) async fn start(folder: &Path) -> Self {
        Self::start_with(folder, |command| command).await
    }

    /// With further arguments or variables.
    pub(crate) async fn start_with(
        folder: &Path,
        more: impl FnOnce(&mut Command) -> &mut Command,
    ) -> Self {
        let mut command = tollgate(folder);
        command
            .args(["dev", "--json", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(folder.join(".tollgate"));
        more(&mut command);
        let log = fs::File::create(folder.join(format!("log-{}", uuid::Uuid::new_v4()))).unwrap();
        let mut child = command.stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let Some(line) = timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap() else {
            panic!("no line: {}", Self::logs(folder));
        };
        let ready = serde_json::from_str(&line).unwrap();
        Self { child, lines, ready, client: HttpClient::default(), folder: folder.to_owned() }
    }

    pub(crate) fn logs(folder: &Path) -> String {
        let logs = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap())
            .filter(|entry| entry.file_name().to_string_lossy().starts_with("log-"))
            .filter_map(|entry| fs::read_to_string(entry.path()).ok());
        logs.collect()
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.ready["url"].as_str().unwrap())
    }

    pub(crate) fn organization(&self) -> &str {
        self.ready["organizations"][0]["id"].as_str().unwrap()
    }

    pub(crate) fn token(&self, role: &str) -> &str {
        self.ready["organizations"][0]["tokens"][role].as_str().unwrap()
    }

    pub(crate) fn chat(&self, body: &Value, headers: &[(&str, &str)]) -> Request<Full<Bytes>> {
        chat(&self.url(""), self.token("member"), body, headers)
    }

    /// A token as `tollgate token` gives it, for a member who is `who`: `--user ada --team ID`.
    pub(crate) async fn issued(&self, folder: &Path, who: &str) -> String {
        let organization = self.organization();
        let url = self.url("");
        let line = format!("token --org {organization} --role member --url {url} {who}");
        done(folder, &line).await["token"].as_str().unwrap().to_owned()
    }

    /// The status of one call with this token, and the code of the refusal where it is one.
    pub(crate) async fn call(&self, token: &str, body: &Value) -> (u16, String) {
        let answer = self.send(chat(&self.url(""), token, body, &[])).await;
        let code = json_of(&answer)["error"]["code"].as_str().unwrap_or_default().to_owned();
        (answer.status().as_u16(), code)
    }

    pub(crate) async fn send(&self, request: Request<Full<Bytes>>) -> Response<Bytes> {
        self.client.fetch(request, 1 << 20, PATIENCE).await.unwrap()
    }

    pub(crate) async fn get(&self, path: &str) -> Response<Bytes> {
        self.send(Request::get(self.url(path)).body(Full::default()).unwrap()).await
    }

    pub(crate) fn signal(&self, signal: &str) {
        let id = self.child.id().unwrap().to_string();
        let sent = std::process::Command::new("kill").args([signal, &id]).status().unwrap();
        assert!(sent.success());
    }

    pub(crate) async fn ended(mut self) -> Option<i32> {
        let status = timeout(PATIENCE, self.child.wait()).await.unwrap().unwrap();
        assert_eq!(
            self.lines.next_line().await.unwrap(),
            None,
            "one line on standard output, no more"
        );
        let said = Self::logs(&self.folder);
        assert!(said.contains("\"level\":\"TRACE\""), "what is not said cannot be found: {said}");
        said.lines().for_each(logs::heard);
        status.code()
    }

    pub(crate) async fn stop(self) {
        self.signal("-TERM");
        assert_eq!(self.ended().await, Some(0));
    }
}

pub(crate) fn question(stream: bool) -> Value {
    json!({"model": "gpt-4o-mini", "stream": stream, "max_tokens": 64, "messages": [{"role": "user", "content": "knock"}]})
}

pub(crate) fn json_of(answer: &Response<Bytes>) -> Value {
    serde_json::from_slice(answer.body()).unwrap()
}

pub(crate) async fn credits(dev: &Dev, folder: &Path) -> Value {
    let mut shown = run_json(folder, &["org", "show", dev.organization(), "--json"]).await;
    shown["credits"].take()
}

/// A call to a gateway, with this token.
pub(crate) fn chat(
    url: &str,
    token: &str,
    body: &Value,
    headers: &[(&str, &str)],
) -> Request<Full<Bytes>> {
    let mut request = Request::post(format!("{url}/v1/chat/completions"))
        .header("content-type", "application/json")
        .header("authorization", format!("Bearer {token}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Full::from(body.to_string())).unwrap()
}

/// A running `tollgate serve`.
pub(crate) struct Serving {
    pub(crate) url: String,
    _child: Child,
}

impl Serving {
    /// With this text as its configuration, in a file of this name.
    pub(crate) async fn start(folder: &Path, name: &str, text: &str) -> Self {
        fs::write(folder.join(name), format!("{text}[log]\nformat = \"json\"\n")).unwrap();
        let mut serve = tollgate(folder);
        serve.args(["serve", "--config", name]).stderr(Stdio::piped());
        let mut child = serve.spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut said = String::new();
        let ready = async {
            while let Some(line) = log.next_line().await.unwrap() {
                logs::heard(&line);
                let entry: Value = serde_json::from_str(&line).unwrap_or_default();
                let fields = if entry["fields"].is_object() { &entry["fields"] } else { &entry };
                if fields["message"] == "ready" {
                    return format!("http://{}", fields["listen"].as_str().unwrap());
                }
                said.extend([&line, "\n"]);
            }
            panic!("it did not start: {said}");
        };
        let url = timeout(PATIENCE, ready).await.expect("it says nothing");
        // What is not read would stop it one day.
        tokio::spawn(async move {
            while let Ok(Some(line)) = log.next_line().await {
                logs::heard(&line);
            }
        });
        Self { url, _child: child }
    }
}

/// The configuration of a gateway on the database of a `tollgate dev`, with this line in its `[database]`.
pub(crate) fn serving(dev: &Dev, line: &str) -> String {
    let database = dev.ready["database_url"].as_str().unwrap();
    let (scheme, rest) = database.split_once("://").unwrap();
    let (_, host) = rest.split_once('@').unwrap();
    let [issuer, jwks, mock] =
        ["issuer", "jwks_url", "mock_url"].map(|name| dev.ready[name].as_str().unwrap());
    let (key, _) = PROVIDER_KEY;
    format!(
        "[server]\nlisten = \"127.0.0.1:0\"\n[database]\nurl = \"{scheme}://tollgate_login@{host}\"\n{line}\n\
         [identity]\nissuer = \"{issuer}\"\naudience = \"tollgate\"\njwks_url = \"{jwks}\"\n\
         [[upstream]]\nname = \"mock\"\nbase_url = \"{mock}\"\nmodels = [\"*\"]\ncredential = \"file:{key}\"\n"
    )
}
