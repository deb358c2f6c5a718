//! The program, told whom to trust.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Output, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    time::timeout,
};

use super::{authority, harness::DEADLINE};

/// A proof of several places is long work.
const PATIENCE: Duration = Duration::from_mins(5);

/// A folder of a test's own, with the certificate of the authority that is trusted in it.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        let path = std::env::temp_dir().join(format!("tollgate-tls-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir(&path).unwrap();
        authority::write_root(&path.join("root.pem"));
        std::fs::write(path.join("none.pem"), "").unwrap();
        Self(path)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.0.join(name), text).unwrap();
    }

    /// `tollgate` in this folder, which trusts the authority and nobody else.
    pub(crate) fn tollgate(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(super::program::tollgate());
        // What this machine has set for others is not meant for the process under test.
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy();
            if name.starts_with("TOLLGATE_") && name != "TOLLGATE_POSTGRES_BIN" {
                command.env_remove(&*name);
            }
        }
        command.env_remove("DATABASE_URL").env_remove("SSL_CERT_DIR");
        command.env("SSL_CERT_FILE", self.0.join("root.pem")).env("THEIR_KEY", "sk-theirs");
        command.args(arguments);
        command.current_dir(&self.0).kill_on_drop(true).stdin(Stdio::null());
        command
    }

    /// The same with this database.
    pub(crate) fn about(&self, database_url: &str, arguments: &[&str]) -> Command {
        let mut command = self.tollgate(arguments);
        command.env("DATABASE_URL", database_url);
        command
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// Whether it succeeded, and what it said.
pub(crate) async fn run(mut command: Command) -> (bool, String) {
    let Output { status, stdout, stderr } =
        timeout(PATIENCE, command.output()).await.expect("the command does not end").unwrap();
    (status.success(), [stdout, stderr].map(|text| String::from_utf8(text).unwrap()).concat())
}

/// A `tollgate serve` that runs.
#[derive(Debug)]
pub(crate) struct Gateway {
    pub(crate) address: SocketAddr,
    log: Arc<Mutex<String>>,
    _child: Child,
}

impl Gateway {
    /// Starts it with `serve.toml`; what it said, where it does not start.
    pub(crate) async fn start(mut serve: Command) -> Result<Self, String> {
        serve.env("TOLLGATE_LOG__FORMAT", "json").env("TOLLGATE_SERVER__LISTEN", "127.0.0.1:0");
        serve.stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = serve.spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut said = String::new();
        let ready = async {
            while let Some(line) = lines.next_line().await.unwrap() {
                said.extend([&line, "\n"]);
                let entry: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
                let fields = if entry["fields"].is_object() { &entry["fields"] } else { &entry };
                if fields["message"] == "ready" {
                    return fields["listen"].as_str().unwrap().parse().ok();
                }
            }
            None
        };
        let ready = timeout(DEADLINE, ready).await.expect("the gateway says nothing");
        let Some(address) = ready else {
            assert!(!child.wait().await.unwrap().success());
            return Err(said);
        };
        let log = Arc::new(Mutex::new(said));
        // What is not read would stop it one day.
        let kept = Arc::clone(&log);
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                kept.lock().unwrap().extend([&line, "\n"]);
            }
        });
        Ok(Self { address, log, _child: child })
    }

    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// The value of a metric.
    pub(crate) async fn metric(&self, name: &str) -> Option<f64> {
        let text = self.get("/metrics").await;
        let line = text.lines().find(|line| line.split(' ').next() == Some(name))?;
        line.rsplit(' ').next()?.parse().ok()
    }

    pub(crate) async fn get(&self, path: &str) -> String {
        let mut client = super::harness::Client::open(self.address).await;
        client.send(format!("GET {path} HTTP/1.1\r\nhost: gateway\r\n\r\n").as_bytes()).await;
        client.answer().await.unwrap().text().to_owned()
    }
}
