//! Every text of the program can be rewritten for another schema.

use std::{fs, path::Path};

use super::*;

fn own() -> Schema {
    Schema::of(OrganizationId::new(Uuid::from_u128(0x0192_f0c1_2345_7890_abcd_ef01_2345_6789)))
}

#[test]
fn a_schema_is_named_after_its_organization_and_back() {
    let own = own();
    assert_eq!(own.name(), "tollgate_0192f0c123457890abcdef0123456789");
    assert_eq!(Schema::named(own.name()).unwrap().owner(), own.owner());
    assert_eq!(Schema::named("tollgate"), Some(Schema::SHARED));
    assert_eq!((Schema::SHARED.name(), Schema::SHARED.owner()), ("tollgate", None));
    for other in [
        "public",
        "tollgate_",
        "tollgate_owner",
        "tollgate_0192F0C123457890ABCDEF0123456789",
        "tollgate_0192f0c1-2345-7890-abcd-ef0123456789",
        "xtollgate_0192f0c123457890abcdef0123456789",
    ] {
        assert_eq!(Schema::named(other), None, "{other}");
    }
}

#[test]
fn only_what_means_the_schema_is_replaced() {
    for (sql, expected) in [
        ("select from tollgate.usage", "select from x.usage"),
        ("'tollgate.jwt()'", "'x.jwt()'"),
        ("format('tollgate.%I')", "format('x.%I')"),
        (
            "revoke create on schema tollgate from tollgate_ledger",
            "revoke create on schema x from tollgate_ledger",
        ),
        ("'tollgate'::regnamespace", "'x'::regnamespace"),
        ("where nspname = 'tollgate'", "where nspname = 'x'"),
        ("p.schemaname = 'tollgate'", "p.schemaname = 'x'"),
        ("set search_path = tollgate, pg_temp", "set search_path = x, pg_temp"),
        ("return 'tollgate'", "return 'tollgate'"),
        ("'tollgate_' || role", "'tollgate_' || role"),
        ("pg_notify('tollgate_policy', id)", "pg_notify('tollgate_policy', id)"),
        (
            "grant usage on schema auth to tollgate_owner",
            "grant usage on schema auth to tollgate_owner",
        ),
        ("mytollgate.usage", "mytollgate.usage"),
        ("schema tollgates", "schema tollgates"),
    ] {
        assert_eq!(in_schema(sql, "x"), expected);
    }
}

/// Files of SQL, with their names.
fn texts(folder: &Path, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            texts(&path, found);
        } else {
            found.push((path.display().to_string(), fs::read_to_string(&path).unwrap()));
        }
    }
}

/// How often a text has a word as a whole word.
fn count(text: &str, word: &str) -> usize {
    let is_whole = |at: usize| {
        let (before, rest) = text.split_at(at);
        let before = before.chars().next_back();
        let after = rest.strip_prefix(word).unwrap().chars().next();
        !before.is_some_and(is_of_a_word) && !after.is_some_and(is_of_a_word)
    };
    text.match_indices(word).filter(|(at, _)| is_whole(*at)).count()
}

/// Texts in which `tollgate` is the program, a source of memberships, the prefix of a message, or any of our schemas.
const MEAN_SOMETHING_ELSE: [&str; 6] = [
    "`tollgate migrate`",
    "'tollgate move'",
    "return 'tollgate'",
    "(true, 'tollgate'",
    "(tollgate\\w*",
    "in tollgate'",
];

#[test]
fn every_statement_and_declared_text_can_be_read_for_another_schema() {
    let mut found = Vec::new();
    texts(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src/postgres/sql")), &mut found);
    assert!(found.len() > 50);
    let mut roles: Vec<String> = Vec::new();
    for (_, text) in &found {
        let words = text.split(|letter: char| !is_of_a_word(letter));
        roles.extend(words.filter(|word| word.starts_with("tollgate_")).map(str::to_owned));
    }
    roles.sort();
    roles.dedup();
    assert!(roles.iter().any(|role| role == "tollgate_migrator"), "{roles:?}");
    for (file, text) in found {
        // These files are about the whole database, and are never rewritten for another schema.
        if ["bootstrap", "before_migrations", "keep_password", "first_password"]
            .iter()
            .any(|name| file.ends_with(&format!("/{name}.sql")))
        {
            continue;
        }
        let own = own();
        let read = in_schema(&text, own.name());
        for role in &roles {
            assert_eq!(count(&read, role), count(&text, role), "{role} in {file}");
        }
        assert!(!read.contains(" tollgate.") && !read.contains("'tollgate."), "{file}");
        assert!(!read.contains("schema tollgate ") && !read.contains("'tollgate'::reg"), "{file}");
        // Every word that is left must be one that means something else.
        let mut left = read.clone();
        for word in MEAN_SOMETHING_ELSE {
            left = left.replace(word, "");
        }
        let lines: Vec<_> = left.lines().filter(|line| count(line, "tollgate") > 0).collect();
        assert_eq!(lines, Vec::<&str>::new(), "{file}");
        let words = count(&read, "tollgate") + count(&read, own.name());
        assert_eq!(words, count(&text, "tollgate"), "{file}");
    }
}

#[test]
fn a_text_is_read_once() {
    let own = own();
    let (one, two) = (own.text("select tollgate.f()"), own.clone().text("select tollgate.f()"));
    assert_eq!(&*one, "select tollgate_0192f0c123457890abcdef0123456789.f()");
    let (Text::Own(one), Text::Own(two)) = (one, two) else { panic!() };
    assert!(Arc::ptr_eq(&one, &two));
    assert_eq!(&*Schema::SHARED.text("select tollgate.f()"), "select tollgate.f()");
}
