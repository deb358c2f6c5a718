//! Runs the commands of the README and of the operator's pages: each block in a shell, against one `tollgate dev`. A
//! new line in a block is run automatically. A new block, or a command in the text, must be added here.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Output, Stdio},
    time::Duration,
};

use tokio::{process::Command, time::timeout};
use tollgate::postgres::cluster::testing;
use uuid::Uuid;

use super::kit::{Dev, Folder, serving};

/// Each page by its name.
const PAGES: [(&str, &str); 10] = [
    ("README", include_str!("../../README.md")),
    ("operating", include_str!("../../docs/operating.md")),
    ("limits", include_str!("../../docs/limits.md")),
    ("credits", include_str!("../../docs/credits.md")),
    ("isolation", include_str!("../../docs/isolation.md")),
    ("placements", include_str!("../../docs/placements.md")),
    ("kill-switch", include_str!("../../docs/kill-switch.md")),
    ("prices", include_str!("../../docs/prices.md")),
    ("guarantees", include_str!("../../docs/guarantees.md")),
    ("speed", include_str!("../../docs/speed.md")),
];
/// Where the README's gateway listens. Here it is a free port.
const LISTENS: &str = "http://127.0.0.1:8080";
/// Shells that wait for one another, on a machine that has other things to do.
const PATIENCE: Duration = Duration::from_mins(5);

/// What `cargo` and `tollgate` are here: the program that is under test. A gateway ends once it is ready.
const PROGRAM: &str = r#"#!/bin/sh
if [ "${0##*/}" = cargo ]; then
    while [ "$1" != -- ]; do shift; done
    shift
fi
case $1 in
token) exec "$PROGRAM" "$@" --url "$GATEWAY" ;;
serve)
    "$PROGRAM" "$@" 2>served.log &
    until grep -q ' ready ' served.log; do
        kill -0 $! || { cat served.log; exit 1; }
        sleep 0.1
    done
    kill $! ;;
*) exec "$PROGRAM" "$@" ;;
esac
"#;

/// How a block is run.
enum Run {
    /// By a shell, after this; what comes out contains all of these words.
    Here(&'static str, &'static [&'static str]),
    /// By that test: its file below `tests`, and its name.
    There(&'static str, &'static str),
    /// Not by a test, because of this.
    Not(&'static str),
}
use Run::{Here, Not, There};

/// The blocks, in the order in which they are run: the page of each, and its first words.
const BLOCKS: [(&str, &str, Run); 16] = [
    (
        "README",
        "cargo run -- dev",
        There(
            "command/dev.rs",
            "dev_serves_calls_probes_and_tokens_and_the_books_are_right_afterwards",
        ),
    ),
    ("README", "cargo test", Not("it is what runs this")),
    ("README", "ORG=$(cargo run", Here("", &["HTTP/1.1 200", "\"content\":\"hello"])),
    ("README", "cargo run -q -- reconcile", Here("", &["All books are right."])),
    ("operating", "tollgate migrate", Here("", &["Isolation holds.", "Acme"])),
    (
        "limits",
        "tollgate limits set",
        Here("", &["User ada: 200 requests", "gpt-4o*: 100000 tokens a minute, 8 calls"]),
    ),
    ("credits", "tollgate credits grant", Here("", &["a day", "a month"])),
    (
        "isolation",
        "cargo run -q -- prove",
        // Before there is a further database.
        Here(
            "unset TOLLGATE_DATABASE__PLACEMENTS__BIG__URL;",
            &["ok  C01", "ok  P01", "calls tried.", "Isolation holds."],
        ),
    ),
    (
        "placements",
        "tollgate org create",
        // `migrate` first, as the comment there says.
        Here("tollgate migrate; ORG=$OTHER;", &["not being moved", "Placed in database:big"]),
    ),
    ("kill-switch", "OWNER=$(cargo run", Here("", &["a leaked key"])),
    ("kill-switch", "tollgate org suspend", Here("", &[])),
    ("isolation", "openssl rand", Here("", &["Claims must be sealed"])),
    ("prices", "tollgate prices import", Here("", &["gpt-4o-mini"])),
    ("prices", "tollgate prices set-override", Here("", &["gpt-4o"])),
    ("prices", "tollgate prices rebill", Here("", &[])),
    ("prices", "tollgate statement", Here("", &[])),
];

/// Commands within the text.
const WITHIN: [(&str, Run); 14] = [
    (
        "tollgate dev --in-memory",
        There(
            "command/dev.rs",
            "dev_in_memory_serves_calls_until_the_credits_are_used_up_and_starts_no_postgres",
        ),
    ),
    ("cargo build --profile dist", Not("the same build as CI's")),
    (
        "tollgate dev --upstream https://api.openai.com",
        There(
            "command/upstream.rs",
            "dev_sends_calls_to_the_upstream_that_is_named_with_the_keys_of_its_environment",
        ),
    ),
    (
        "tollgate dev --json",
        There(
            "command/dev.rs",
            "dev_serves_calls_probes_and_tokens_and_the_books_are_right_afterwards",
        ),
    ),
    (
        "tollgate serve --config FILE",
        There("command/seals.rs", "a_key_is_changed_for_another_while_calls_go_on"),
    ),
    (
        "tollgate prove --read-only",
        There("tls/encrypted.rs", "every_command_talks_to_the_database_within_tls_only"),
    ),
    (
        "tollgate migrate",
        There(
            "command/operate.rs",
            "an_operator_makes_an_organization_gives_it_credits_and_stops_it",
        ),
    ),
    (
        "tollgate reconcile",
        There(
            "command/dev.rs",
            "dev_serves_calls_probes_and_tokens_and_the_books_are_right_afterwards",
        ),
    ),
    ("tollgate", Not("the program's name")),
    (".ci/run", Not("it is what runs this")),
    ("cargo bench --bench postgres", Not("a measurement, for a machine with nothing else to do")),
    ("cargo bench --bench rls", Not("a measurement, for a machine with nothing else to do")),
    ("cargo bench --bench layers", Not("a measurement, for a machine with nothing else to do")),
    (
        "cargo test --release --lib a_million_keys -- --nocapture",
        There("../src/limits/tests/keys.rs", "a_million_keys"),
    ),
];

/// The shell's blocks: the page of each, and its text.
fn blocks() -> Vec<(&'static str, &'static str)> {
    let of_page = |(page, text): (&'static str, &'static str)| {
        let opened = text.split("```sh\n").skip(1);
        opened.map(move |rest| (page, rest.split_once("\n```").unwrap().0))
    };
    PAGES.into_iter().flat_map(of_page).collect()
}

#[test]
fn every_command_on_a_page_is_run_by_a_test() {
    let blocks = blocks();
    for (page, block) in &blocks {
        let listed = BLOCKS.iter().any(|(at, first, _)| at == page && block.starts_with(first));
        assert!(listed, "say in BLOCKS how this is run, of {page}:\n{block}");
    }
    for (page, first, _) in &BLOCKS {
        let there = blocks.iter().filter(|(at, block)| at == page && block.starts_with(first));
        assert_eq!(there.count(), 1, "not in {page}: {first}");
    }

    let words = PAGES.iter().flat_map(|(_, text)| text.split('`').skip(1).step_by(2));
    let within = words.filter(|text| {
        let mut words = text.split_whitespace();
        matches!(words.next(), Some("tollgate" | "cargo" | "curl" | ".ci/run" | "openssl"))
    });
    for command in within.clone().filter(|text| !text.contains('\n')) {
        let listed = WITHIN.iter().any(|(text, _)| *text == command);
        assert!(listed, "say in WITHIN how this is run: {command}");
    }
    for (text, _) in &WITHIN {
        assert!(within.clone().any(|command| command == *text), "on no page: {text}");
    }

    let runs = BLOCKS.iter().map(|(.., run)| run).chain(WITHIN.iter().map(|(_, run)| run));
    for run in runs {
        match run {
            There(file, name) => {
                let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(file);
                let text = fs::read_to_string(&path).unwrap();
                assert!(text.contains(&format!("fn {name}")), "{file} has no test {name}");
            }
            Not(reason) => assert!(!reason.is_empty()),
            Here(..) => {}
        }
    }
}

/// A block in a shell that knows the words of the pages.
async fn shell(folder: &Folder, dev: &Dev, before: &str, block: &str) -> Output {
    let here = folder.path();
    // In production the organization's id is written out.
    let block = block.replace(LISTENS, &dev.url("")).replace("--org ID", "--org $ORG");
    // The move above it has come to its end, so that there is nothing to undo.
    let block = block.replace("--abort ", "--abort || test $? = 1; ");
    // A day that is always to come.
    let block = block.replace("2027-01-01", "2999-01-01");
    let mut shell = Command::new("/bin/sh");
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("TOLLGATE_") || name == "DATABASE_URL" {
            shell.env_remove(&*name);
        }
    }
    let path = std::env::var("PATH").unwrap();
    let big = dev.ready["database_url"].as_str().unwrap().replace("/postgres?", "/big?");
    shell.args(["-euc", &format!("{before} {block}")]).current_dir(here);
    shell.env("PATH", format!("{}:{path}", here.join("bin").display()));
    shell.env("PROGRAM", super::program::tollgate()).env("GATEWAY", dev.url(""));
    shell.env("ORG", dev.organization()).env("TOKEN", dev.token("member"));
    shell.env("OTHER", dev.ready["organizations"][1]["id"].as_str().unwrap());
    shell.env("TEAM", Uuid::new_v4().to_string());
    shell.env("TOLLGATE_DATABASE__PLACEMENTS__BIG__URL", big);
    shell.kill_on_drop(true).stdin(Stdio::null());
    timeout(PATIENCE, shell.output()).await.expect("it does not end").unwrap()
}

#[tokio::test]
async fn each_page_holds_what_it_says_from_its_first_line_to_its_last() {
    let tools = ["curl", "openssl", "python3"];
    let found = |tool: &str| std::process::Command::new(tool).arg("--help").output().is_ok();
    if !testing::has("curl, openssl and python3", tools.into_iter().all(found)) {
        return;
    }
    let folder = Folder::new();
    let here = folder.path();
    fs::create_dir(here.join("bin")).unwrap();
    for name in ["cargo", "tollgate"] {
        let program = here.join("bin").join(name);
        fs::write(&program, PROGRAM).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    }
    // The first block.
    let dev = Dev::start(here).await;
    let database = dev.ready["database_url"].as_str().unwrap();
    let (admin, connection) =
        tokio_postgres::connect(database, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(async move { drop(connection.await) });
    admin.batch_execute("create database big template template0").await.unwrap();
    fs::write(here.join("FILE"), serving(&dev, "")).unwrap();
    let list = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/domain/prices/model_prices.json");
    fs::copy(list, here.join("prices.json")).unwrap();

    let agreed = r#"{"tollgate_prices": 1, "models": {"gpt-4o": {"usd_per_million_tokens": {"input": 2, "output": 8}}}}"#;
    fs::write(here.join("agreed.json"), agreed).unwrap();

    let blocks = blocks();
    for (page, first, run) in &BLOCKS {
        let Here(before, words) = run else { continue };
        let of_it = |(at, block): &&(&str, &str)| at == page && block.starts_with(first);
        let (_, block) = blocks.iter().find(of_it).unwrap();
        let output = shell(&folder, &dev, before, block).await;
        let said = [&output.stdout[..], &output.stderr].map(String::from_utf8_lossy).concat();
        assert!(output.status.success(), "{page}:\n{block}\n{said}");
        for word in *words {
            assert!(said.contains(word), "{page}, {word}:\n{block}\n{said}");
        }
    }
    // One of the organizations is in the further database now.
    let books = shell(&folder, &dev, "", "tollgate reconcile").await;
    assert!(books.status.success(), "{}", String::from_utf8_lossy(&books.stdout));
    dev.stop().await;
}
