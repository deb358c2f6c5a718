//! Every command that names an organization, by somebody whose database login has an organization's roles only.

use std::process::{Command, Output, Stdio};

use crate::{
    Walls, house,
    secrets::{CANARY, plain, rows_of, secretive},
};

fn tollgate(arguments: &[String], database: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("TOLLGATE_") {
            command.env_remove(name);
        }
    }
    command.env("DATABASE_URL", database).current_dir(std::env::temp_dir());
    command.args(arguments).stdin(Stdio::null()).output().unwrap()
}

fn text(output: &Output) -> String {
    [&output.stdout[..], &output.stderr[..]].map(String::from_utf8_lossy).concat()
}

/// The commands that have no commands below them, as the help tells.
fn leaves(above: &[String]) -> Vec<(Vec<String>, String)> {
    let mut asked = above.to_vec();
    asked.push("--help".into());
    let help = text(&tollgate(&asked, ""));
    let Some((_, listed)) = help.split_once("\nCommands:\n") else {
        return vec![(above.to_vec(), help)];
    };
    let names = listed.lines().take_while(|line| !line.is_empty());
    let names =
        names.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help");
    names.flat_map(|name| leaves(&[above, &[name.to_owned()]].concat())).collect()
}

/// What a command is given, by its usage: the organization wherever one is named, and something harmless elsewhere.
fn arguments(command: &[String], help: &str, organization: &str) -> Option<Vec<String>> {
    let usage = help.lines().find(|line| line.starts_with("Usage:"))?;
    if !help.contains("--database-url") || !(usage.contains("ID") || help.contains("--org ")) {
        return None;
    }
    let mut given = command.to_vec();
    let words: Vec<&str> = usage.split_whitespace().collect();
    if usage.contains("--org ") || help.contains("--org ") {
        given.extend(["--org".to_owned(), organization.to_owned()]);
    }
    for pair in words.windows(2) {
        // One of several begins with a bracket.
        let name = pair[0].trim_start_matches('<');
        if !name.starts_with("--") || name == "--org" {
            continue;
        }
        let value = match pair[1] {
            "<DOLLARS>" | "<AMOUNT>" | "<BPS>" => "1",
            "<DATE>" | "<TIME>" => "2026-11-01",
            "<SCOPE>" => "organization",
            "<WINDOW>" => "day",
            figure if figure.starts_with("<N>") => "1",
            _ => "walnut",
        };
        given.extend([name.to_owned(), value.to_owned()]);
    }
    for (at, word) in
        words.iter().enumerate().filter(|(_, word)| word.contains("ID") || word.contains("JSON"))
    {
        if !words[at - 1].starts_with("--") {
            given.push(if word.contains("ID") { organization.to_owned() } else { "{}".to_owned() });
        }
    }
    Some(given)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_command_tells_a_tenants_login_of_any_organization() {
    let house = house(Walls::All, None).await;
    let (own, other) = (plain(&house).await, secretive(&house).await);
    house.check().await;
    // Roles are the cluster's, and other tests run beside this one.
    let make = "do $$ begin
        create role a_tenant login in role tollgate_owner, tollgate_admin, tollgate_member, tollgate_viewer;
        exception when duplicate_object then null; end $$";
    house.admin.batch_execute(make).await.unwrap();
    let before = rows_of(&house.admin, other.id.as_uuid()).await;
    let mut tried = 0;
    for (command, help) in leaves(&[]) {
        let about = |organization: &str| arguments(&command, &help, organization);
        let Some(theirs) = about(&other.id.to_string()) else { continue };
        tried += 1;
        let nobody = uuid::Uuid::now_v7().to_string();
        let answers = [theirs, about(&nobody).unwrap()].map(|given| {
            let output = tollgate(&given, &house.url("a_tenant"));
            let text = text(&output);
            assert!(!output.status.success(), "{given:?}: {text}");
            assert!(!text.contains(CANARY) && !text.contains("1000"), "{given:?}: {text}");
            (
                output.status.code(),
                text.replace(&given.join(" "), "")
                    .replace(&other.id.to_string(), "ID")
                    .replace(&nobody, "ID"),
            )
        });
        assert_eq!(answers[0], answers[1], "{command:?} tells an organization from none");

        // The operator, who may, sees the one that was asked for and touches no other.
        let given = about(&own.id.to_string()).unwrap();
        let said = text(&tollgate(&given, &house.url("tollgate_login")));
        assert!(
            !said.contains(CANARY) && !said.contains(&other.id.to_string()),
            "{given:?}: {said}"
        );
        assert_eq!(rows_of(&house.admin, other.id.as_uuid()).await, before, "{given:?}");
    }
    assert!(tried >= 5, "{tried} commands");
    house.close().await;
}
