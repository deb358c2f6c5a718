//! The gateway as a separate process, so that it can really be killed.

use std::{
    net::SocketAddr,
    path::PathBuf,
    process::{Command, Stdio},
};

use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command as AsyncCommand},
    time::timeout,
};
use tollgate::gateway::config::{Config, Log, LogFormat, Server};

use super::harness::{DEADLINE, House, logs};

/// A `tollgate serve` that runs until it is told otherwise, or dropped.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) address: SocketAddr,
    child: Child,
    config: PathBuf,
}

impl House {
    /// A gateway over the same database, in a process of its own.
    pub(crate) async fn start_process(&self) -> Process {
        let mut config = Config {
            server: Server { listen: ([127, 0, 0, 1], 0).into(), ..self.setup.server.clone() },
            log: Log { format: LogFormat::Json, level: "trace".into() },
            ..self.config()
        };
        config.database.url = Some(self.url_with_password());
        config.database.pool_size = self.setup.connections;
        config.database.wait_timeout = self.setup.wait;
        let name = format!("tollgate-test-{}.toml", uuid::Uuid::new_v4());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, toml(&config)).unwrap();
        let mut command = AsyncCommand::new(super::program::tollgate());
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("TOLLGATE_") || name == "DATABASE_URL" {
                command.env_remove(name);
            }
        }
        command.args(["serve", "--config"]).arg(&path).kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let address = async {
            let mut said = Vec::new();
            while let Some(line) = lines.next_line().await.unwrap() {
                logs::heard(&line);
                let entry: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
                let fields = if entry["fields"].is_object() { &entry["fields"] } else { &entry };
                if fields["message"] == "ready" {
                    return fields["listen"].as_str().unwrap().parse().unwrap();
                }
                said.push(line);
            }
            panic!("the gateway did not start: {said:?}");
        };
        let address = timeout(DEADLINE, address).await.expect("the gateway says nothing");
        // What is not read would stop it one day.
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                logs::heard(&line);
                if std::env::var_os("TOLLGATE_TEST_LOG").is_some() {
                    eprintln!("{line}");
                }
            }
        });
        Process { address, child, config: path }
    }
}

/// The file of a configuration: every value of it, by its serialized form.
fn toml(config: &Config) -> String {
    let value = serde_json::to_value(config).unwrap();
    let mut text = String::new();
    for (section, fields) in value.as_object().unwrap() {
        let tables = fields.as_array().cloned().unwrap_or_else(|| vec![fields.clone()]);
        for table in tables {
            let head =
                if fields.is_array() { format!("[[{section}]]") } else { format!("[{section}]") };
            text.extend([head.as_str(), "\n"]);
            for (name, field) in
                table.as_object().unwrap().iter().filter(|(_, field)| !field.is_null())
            {
                text.extend([name.as_str(), " = ", &field.to_string(), "\n"]);
            }
        }
    }
    text
}

impl Process {
    /// As the out-of-memory killer does it.
    pub(crate) async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    /// Stops it, or lets it go on, without its knowing.
    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().unwrap().to_string();
        let sent = Command::new("kill").args([&format!("-{name}"), &id]).status().unwrap();
        assert!(sent.success());
    }

    /// Ends in order.
    pub(crate) async fn close(mut self) {
        self.signal("TERM");
        let ended = timeout(DEADLINE, self.child.wait()).await.expect("the gateway does not end");
        assert!(ended.unwrap().success());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.config));
    }
}
