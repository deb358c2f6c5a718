//! Runs the command as an operator would, on a test house.

use std::process::Stdio;

use serde_json::Value;
use tokio::process::Command;

use super::{harness::House, street::url_of};

/// `tollgate` with the house's databases in its environment, as their administrator.
pub(crate) fn tollgate(house: &House, arguments: &[&str]) -> Command {
    let mut command = Command::new(super::program::tollgate());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("TOLLGATE_") {
            command.env_remove(name);
        }
    }
    command.env("DATABASE_URL", url_of(&house.database, "postgres"));
    for (name, database) in &house.setup.placements {
        let variable = format!("TOLLGATE_DATABASE__PLACEMENTS__{}__URL", name.to_uppercase());
        command.env(variable, url_of(database, "postgres"));
    }
    command.current_dir(std::env::temp_dir()).args(arguments);
    command.stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// What it says in JSON, whether it succeeded, and what else it says.
pub(crate) async fn run(house: &House, arguments: &[&str]) -> (Value, bool, String) {
    let output = tollgate(house, arguments).arg("--json").output().await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (serde_json::from_slice(&output.stdout).unwrap_or_default(), output.status.success(), said)
}

/// As [`run`], for what must succeed.
pub(crate) async fn must(house: &House, arguments: &[&str]) -> Value {
    let (answer, ok, said) = run(house, arguments).await;
    assert!(ok, "{arguments:?}: {said}");
    answer
}
