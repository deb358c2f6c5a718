//! Every command that names an organization, by somebody whose database login has an organization's roles only.

use std::{
    collections::BTreeSet,
    process::{Command, Output, Stdio},
};

use super::{
    Walls, house,
    secrets::{CANARY, plain, rows_of, secretive},
};

fn tollgate(arguments: &[String], database: &str) -> Output {
    let mut command = Command::new(super::program::tollgate());
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

/// What Postgres says to somebody who may not.
const REFUSED: &str = "permission denied";

/// The commands that name an organization, `ORG` here, and all that they need besides. In this order: what one makes,
/// another shows, and a later one removes.
const ABOUT_ONE: [&str; 23] = [
    "org create --name walnut --id ORG",
    "org show ORG",
    "org suspend ORG --reason walnut",
    "org resume ORG",
    "org move ORG --to schema",
    "credits grant --org ORG --amount 1",
    "policy show --org ORG",
    "policy set --org ORG {}",
    "budgets set --org ORG --scope organization --window day --tokens 100",
    "budgets show --org ORG",
    "budgets events --org ORG",
    "budgets remove --org ORG --scope organization --window day",
    "limits set --org ORG --scope organization --requests-per-minute 100",
    "limits show --org ORG",
    "limits remove --org ORG --scope organization",
    "prices set-override --org ORG --model small --input 1 --output 4",
    "prices end-override --org ORG --model small",
    "prices markup --org ORG --bps 100",
    "prices show --org ORG --model small",
    "prices rebill --org ORG --from 2026-11-01",
    "statement --org ORG --from 2026-11-01",
    // Of any organization that there is.
    "reconcile",
    "org show",
];

/// Those among the program's commands, as its help tells, that are about an organization.
fn about_one() -> BTreeSet<String> {
    let all = leaves(&[]).into_iter();
    let named = all.filter(|(_, help)| {
        let names = ["--org <ID>", "--id <ID>", "<ID>\n", "[ID]\n"];
        help.contains("--database-url") && names.iter().any(|name| help.contains(name))
    });
    named.map(|(command, _)| command.join(" ")).collect()
}

fn given(line: &str, organization: &str) -> Vec<String> {
    line.split(' ').map(|word| word.replace("ORG", organization)).collect()
}

#[test]
fn every_command_about_an_organization_is_tried() {
    let named = ABOUT_ONE.iter().filter(|line| line.contains("ORG"));
    let tried = named.map(|line| {
        let words = line.split(' ').take_while(|word| !word.starts_with("--") && *word != "ORG");
        words.collect::<Vec<_>>().join(" ")
    });
    assert_eq!(tried.collect::<BTreeSet<_>>(), about_one(), "say in ABOUT_ONE what it is given");
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
    // Without it every command would end before it begins: who may not see the migrations is told that they lack.
    let seeing = "grant select on tollgate.schema_history to a_tenant;
        create policy seen on tollgate.schema_history for select to a_tenant using (version is not null)";
    house.admin.batch_execute(seeing).await.unwrap();
    let before = rows_of(&house.admin, other.id.as_uuid()).await;
    for line in ABOUT_ONE {
        let nobody = uuid::Uuid::now_v7().to_string();
        let answers = [other.id.to_string(), nobody].map(|organization| {
            let output = tollgate(&given(line, &organization), &house.url("a_tenant"));
            let text = text(&output);
            // One for what the program refuses; two is what is said of a line that cannot be read.
            assert_eq!(output.status.code(), Some(1), "{line}: {text}");
            assert!(text.contains(REFUSED), "{line}: {text}");
            assert!(!text.contains(CANARY) && !text.contains("1000"), "{line}: {text}");
            text.replace(&organization, "ID")
        });
        assert_eq!(answers[0], answers[1], "{line} tells an organization from none");

        // The operator, who may, does it to the one that was asked for and touches no other. As administrator: the
        // gateway's login is looked at for what a call must not do (`probe_checkouts`), and operators do.
        let creates = line.starts_with("org create");
        let organization =
            if creates { uuid::Uuid::now_v7().to_string() } else { own.id.to_string() };
        let output = tollgate(&given(line, &organization), &house.url("postgres"));
        let said = text(&output);
        assert!(output.status.success(), "{line}: {said}");
        let of_all = !line.contains("ORG");
        let theirs = said.contains(CANARY) || said.contains(&other.id.to_string());
        assert!(of_all || !theirs, "{line}: {said}");
        assert_eq!(rows_of(&house.admin, other.id.as_uuid()).await, before, "{line}");
    }
    house.close().await;
}
