//! The examples print exactly the output that their documentation shows.

use std::{env, fs, path::Path, process::Command};

use tollgate::postgres::cluster::testing;

/// The block below "It prints:".
fn promised(source: &str) -> String {
    let (_, rest) = source.split_once("//! It prints:\n//! ```text\n").unwrap();
    let (block, _) = rest.split_once("//! ```\n").unwrap();
    block.replace("//! ", "")
}

fn prints_what_it_says(name: &str) {
    // `cargo test` has built those beside this program whose features are there.
    let here = env::current_exe().unwrap();
    let program = here.parent().unwrap().with_file_name("examples").join(name);
    if !testing::has(&format!("the example {name}, built"), program.exists()) {
        return;
    }
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("examples/{name}.rs"));
    let output = Command::new(program).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(said, promised(&fs::read_to_string(source).unwrap()), "{name}");
}

#[test]
fn one_layer_prints_what_it_says() {
    prints_what_it_says("one_layer");
}

#[test]
fn hyper_prints_what_it_says() {
    prints_what_it_says("hyper");
}

#[test]
fn axum_prints_what_it_says() {
    prints_what_it_says("axum");
}
