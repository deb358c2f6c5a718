//! Each thing that the proof can say is provoked, in full: `weakened.sql` has the ways, and all that is then found.

use std::collections::BTreeSet;

use tokio_postgres::Client;
use tollgate::{
    domain::ids::OrganizationId,
    postgres::{
        Schema,
        cluster::testing,
        migrate,
        prove::{self, CHECKS, Extent, Finding},
    },
};
use uuid::Uuid;

use super::{mutants::FORGETFUL, newer::is_of, newer::version, sealed_database};

const WAYS: &str = include_str!("weakened.sql");

/// One way to weaken something.
#[derive(Default)]
struct Way {
    sql: String,
    found: BTreeSet<String>,
    and_more: bool,
    sealed: bool,
    apart: bool,
    since: i32,
    before: Option<i32>,
    extent: Option<&'static str>,
}

fn ways() -> Vec<Way> {
    let blocks = WAYS.split("\n\n").skip(1).filter(|block| !block.trim().is_empty());
    blocks.map(way).collect()
}

fn way(block: &'static str) -> Way {
    let mut way = Way::default();
    for line in block.lines() {
        if let Some(found) = line.strip_prefix("--> ") {
            if found == "and more" {
                way.and_more = true;
            } else {
                way.found.insert(found.to_owned());
            }
        } else if let Some(about) = line.strip_prefix("-- ") {
            match about.split_once(' ') {
                Some(("since", version)) => way.since = version.parse().unwrap(),
                Some(("before", version)) => way.before = Some(version.parse().unwrap()),
                _ if about == "sealed" => way.sealed = true,
                _ if about == "in a schema of its own" => way.apart = true,
                _ => way.extent = Some(about),
            }
        } else {
            way.sql.push_str(line);
            way.sql.push('\n');
        }
    }
    assert!(!way.found.is_empty() && !way.sql.is_empty(), "{block}");
    way
}

impl Way {
    fn extent(&self) -> Extent<'static> {
        match self.extent {
            None => Extent::Catalog,
            Some("everything") => Extent::Full,
            Some("functions") => Extent::Functions,
            Some("read only") => Extent::ReadOnly,
            Some(extent) => Extent::Table(extent.strip_prefix("table ").unwrap()),
        }
    }
}

fn line(finding: &Finding) -> String {
    format!("{} {}: {}", finding.code, finding.object, finding.message)
}

async fn are_found(client: &Client, schema: &Schema, which: impl Fn(&Way) -> bool) {
    let version = version(client).await;
    let asked = "select current_user::text, current_database()::text";
    let here = client.query_one(asked, &[]).await.unwrap();
    let read = |text: &str| {
        let text = text.replace(":superuser", here.get(0)).replace(":database", here.get(1));
        text.replace("tollgate.", &format!("{schema}."))
    };
    let (mut tried, mut wrong) = (0, Vec::new());
    for way in ways().into_iter().filter(which) {
        let over = way.before.is_some_and(|before| version >= before * 10_000);
        if over || !is_of(version, way.since) {
            continue;
        }
        tried += 1;
        let sql = read(&way.sql);
        client.batch_execute("begin").await.unwrap();
        client.batch_execute(&sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        let proof = prove::within(client, schema, way.extent()).await;
        let proof = proof.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        client.batch_execute("rollback").await.unwrap();
        let all: BTreeSet<_> = proof.findings.iter().map(line).collect();
        let mut found = all.clone();
        let expected = way.found.iter().map(|line| read(line)).collect();
        if way.and_more {
            found = found.intersection(&expected).cloned().collect();
        }
        if found != expected {
            wrong.push(format!("{sql}expected: {expected:#?}\nfound: {all:#?}\n"));
        }
    }
    assert!(tried > 0 && wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn whatever_the_catalog_shows_is_found_and_nothing_else() {
    let client = testing::database().await.unwrap().connect().await.unwrap();
    let which = |way: &Way| way.extent.is_none() && !way.apart;
    are_found(&client, &Schema::SHARED, which).await;
}

#[tokio::test]
async fn whatever_only_trying_shows_is_found() {
    let client = testing::database().await.unwrap().connect().await.unwrap();
    are_found(&client, &Schema::SHARED, |way| way.extent.is_some() && !way.sealed).await;
}

#[tokio::test]
async fn whatever_lets_forged_claims_count_is_found() {
    let (database, _) = sealed_database().await;
    let client = database.connect().await.unwrap();
    are_found(&client, &Schema::SHARED, |way| way.sealed).await;
}

#[tokio::test]
async fn whatever_lets_others_into_a_schema_of_ones_own_is_found() {
    let database = testing::database().await.unwrap();
    let own = Schema::of(OrganizationId::new(Uuid::now_v7()));
    migrate::run_in(&database.config(), &own).await.unwrap();
    let client = database.connect().await.unwrap();
    are_found(&client, &own, |way| way.apart).await;
}

/// What the program says of its own, besides the texts in the queries of the catalog.
const TEXTS: &[(&str, &str)] = &[
    ("C22", "calls a function for every row, not once a statement"),
    ("C24", "%s reaches %s rows by %s"),
    ("C29", "has no %s"),
    ("P00", "new row for relation %s violates check constraint %s"),
    ("P00", "gave no row back"),
    ("P00", "has no canary"),
    ("P00", "sees not even its own rows: the claims have no effect"),
    ("P01", "%s reaches %s rows by %s"),
    ("P01", "%s gets %s past the policies; only a constraint stops it"),
    ("P01", "%s as %s shows nothing: SQLSTATE %s"),
    ("P02", "%s reaches %s rows by %s"),
    ("P03", "%s reaches %s rows by %s"),
    ("P04", "shows rows of another organization to %s"),
    ("P04", "answers for another organization to %s"),
    ("P04", "changes rows of another organization for %s"),
    ("P05", "%s may truncate it"),
    ("P06", "%s reaches %s rows by %s with claims %s"),
    ("P06", "takes claims %s as %s"),
    ("P06", "refuses for another reason than the seal claims %s as %s"),
    ("P06", "shows another organization to claims %s as %s"),
    ("P06", "changes rows of another organization for claims %s as %s"),
    ("P06", "takes claims %s from %s"),
    ("P06", "does not take genuine claims from %s"),
    ("P07", "%s reaches %s rows by %s"),
    ("P07", "%s gets %s past the policies; only a constraint stops it"),
];
/// How often the program finds something by such a text. One more needs a line above.
const FOUND_IN: [(&str, usize); 8] = [
    (include_str!("../../src/postgres/prove/answer.rs"), 4),
    (include_str!("../../src/postgres/prove/catalog.rs"), 2),
    (include_str!("../../src/postgres/prove/forged.rs"), 2),
    (include_str!("../../src/postgres/prove/functions.rs"), 3),
    (include_str!("../../src/postgres/prove/keys.rs"), 1),
    (include_str!("../../src/postgres/prove/probes.rs"), 1),
    (include_str!("../../src/postgres/prove/rows.rs"), 2),
    (include_str!("../../src/postgres/prove/tries.rs"), 1),
];

/// Texts of a query that are no part of what is said: the rest of a name, or something that is compared.
const UNSAID: &[&str] = &[
    " in tollgate",
    "(key_id IS NOT NULL)",
    "(version IS NOT NULL)",
    ": ",
    "CHECK ((organization_id = %I.only_organization()))",
    "MEMBER WITH ADMIN OPTION",
    "RETURN %L::uuid",
    "database ",
    "event trigger ",
    "search_path=pg_catalog, pg_temp",
    "select true",
    "with check",
];

/// Every text of a query that may be said: more than one word.
fn texts(query: &str) -> Vec<String> {
    let lines = query.lines().map(|line| line.split("--").next().unwrap_or_default());
    let query = lines.collect::<Vec<_>>().join("\n").replace("''", "\u{2019}");
    let texts = query.split('\'').skip(1).step_by(2).filter(|text| text.contains(' '));
    texts.map(|text| text.replace('\u{2019}', "'")).collect()
}

/// Whether it is this text, with something in each of its places.
fn says(said: &str, text: &str) -> bool {
    let text = text.replace("%I", "%s").replace("%L", "%s");
    let mut parts = text.split("%s");
    let Some(mut rest) = said.strip_prefix(parts.next().unwrap_or_default()) else {
        return false;
    };
    for part in parts {
        let Some(at) = (if part.is_empty() { Some(rest.len()) } else { rest.find(part) }) else {
            return false;
        };
        rest = rest.get(at + part.len()..).unwrap_or_default();
    }
    rest.is_empty()
}

#[test]
fn everything_that_the_proof_can_say_is_provoked() {
    let mut provoked: Vec<(String, String, String)> = Vec::new();
    let ways = ways();
    let forgetful = FORGETFUL.iter().map(|(.., found)| *found);
    for line in ways.iter().flat_map(|way| &way.found).map(String::as_str).chain(forgetful) {
        let (code, said) = line.split_once(' ').unwrap();
        for (at, _) in said.match_indices(": ") {
            let (object, message) = (&said[..at], &said[at + 2..]);
            provoked.push((code.to_owned(), object.to_owned(), message.to_owned()));
        }
    }
    let catalog = [
        include_str!("../../src/postgres/sql/statements/prove/catalog.sql"),
        include_str!("../../src/postgres/sql/statements/prove/catalog_since_15.sql"),
    ];
    let mut unsaid = BTreeSet::new();
    for text in catalog.into_iter().flat_map(texts) {
        let said =
            provoked.iter().any(|(_, object, message)| says(object, &text) || says(message, &text));
        if !said {
            unsaid.insert(text);
        }
    }
    let known: BTreeSet<_> = UNSAID.iter().map(|text| (*text).to_owned()).collect();
    assert_eq!(unsaid, known, "nothing in weakened.sql provokes it");
    for (code, text) in TEXTS {
        let said = provoked.iter().any(|(of, _, message)| of == code && says(message, text));
        assert!(said, "nothing provokes {code}: {text}");
    }
    for (source, count) in FOUND_IN {
        assert_eq!(source.matches("proof.found(").count(), count, "{source}");
    }
    for check in CHECKS {
        // What is in the wrong place is found by tests of places.
        let said = provoked.iter().any(|(code, ..)| code == check.code);
        assert!(said || check.code == "P08", "nothing provokes {}", check.code);
    }
}
