//! `organization_id` and `team_id` are UUIDs with one name and one spelling in tables, in SQL and in the code.

use std::{fs, path::Path};

use super::fixture::{Fixture, Postgres};

/// Where a foreign protocol spells it so: the file, and the words that are read or taken off there.
const FOREIGN: [(&str, &[&str]); 5] = [
    // A field of the vendors' bodies, by which an account of theirs is chosen.
    ("src/domain/request/refused.rs", &["workspace_id"]),
    ("src/domain/request/fields_tests.rs", &["workspace_id"]),
    ("src/domain/endpoint/sdk_tests.rs", &["workspace_id"]),
    // Headers of a caller that pretend to be our context.
    ("src/tenant/headers.rs", &["x-org-id", "x-tenant-id"]),
    ("src/tenant/tests.rs", &["x-tenant-id"]),
];

/// An identifier's parts, in lower case: `x-org-id`, `orgId` and `ORG_ID` all end in org, id.
fn parts(word: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut after_lower = false;
    for letter in word.chars() {
        if letter == '_' || letter == '-' || (letter.is_ascii_uppercase() && after_lower) {
            parts.push(String::new());
        }
        if letter.is_ascii_alphanumeric() {
            parts.last_mut().unwrap().push(letter.to_ascii_lowercase());
        }
        after_lower = letter.is_ascii_lowercase();
    }
    parts
}

/// Whether a word has a second spelling of an organization's or a team's id in it.
fn second_spelling(word: &str) -> bool {
    let others =
        ["org", "orgs", "organisation", "tenant", "workspace", "customer", "company", "squad"];
    let ids = ["id", "ids", "uuid", "uid", "guid"];
    let one = [
        "organization_id",
        "organization-id",
        "OrganizationId",
        "ORGANIZATION_ID",
        "team_id",
        "team-id",
        "TeamId",
        "TEAM_ID",
    ];
    let parts = parts(word);
    let run_together =
        others.iter().any(|of| ids.iter().any(|id| parts.contains(&format!("{of}{id}"))));
    run_together
        || parts.windows(2).any(|pair| {
            let (of, id) = (pair[0].as_str(), pair[1].as_str());
            match of {
                "organization" | "team" if id == "id" || id == "ids" => {
                    !one.iter().any(|one| word.contains(one))
                }
                "organization" | "team" => ids.contains(&id),
                _ => others.contains(&of) && ids.contains(&id),
            }
        })
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '-'))
        .filter(|word| !word.is_empty())
}

fn files(folder: &Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs" || end == "sql") {
            found.push(path);
        }
    }
}

#[test]
fn the_rule_knows_second_spellings_from_the_one() {
    for word in [
        "org_id",
        "tenant_id",
        "orgId",
        "TenantId",
        "x-org-id",
        "callers_tenant_ids",
        "orgid",
        "organization_uuid",
        "teamId",
    ] {
        assert!(second_spelling(word), "{word}");
    }
    for word in [
        "organization_id",
        "p_team_id",
        "OrganizationId",
        "TeamId",
        "ORGANIZATION_IDS",
        "tenant",
        "org",
        "user_id",
    ] {
        assert!(!second_spelling(word), "{word}");
    }
}

#[test]
fn the_code_and_its_sql_have_no_second_spelling() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut sources = Vec::new();
    files(&root.join("src"), &mut sources);
    assert!(sources.len() > 100);
    let mut second = Vec::new();
    for path in sources {
        let name = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
        for (number, line) in fs::read_to_string(&path).unwrap().lines().enumerate() {
            for word in words(line).filter(|word| second_spelling(word)) {
                if !FOREIGN.iter().any(|(file, allowed)| *file == name && allowed.contains(&word)) {
                    second.push(format!("{name}:{}: {word}", number + 1));
                }
            }
        }
    }
    assert_eq!(second, Vec::<String>::new());
}

#[tokio::test]
async fn every_column_and_parameter_of_the_schema_has_the_one_spelling_and_type() {
    let f = Postgres::start().await;
    let client = f.database.connect().await.unwrap();
    let sql = "select c.relname::text, a.attname::text, format_type(a.atttypid, a.atttypmod) \
        from pg_attribute a join pg_class c on c.oid = a.attrelid \
        where c.relnamespace = 'tollgate'::regnamespace and a.attnum > 0 and not a.attisdropped \
        union all select p.oid::regprocedure::text, regexp_replace(n.name, '^(p|v)_', ''), '' \
        from pg_proc p cross join lateral unnest(p.proargnames) as n (name) where p.pronamespace = 'tollgate'::regnamespace";
    let mut seen = 0;
    for row in client.query(sql, &[]).await.unwrap() {
        let (of, name, kind): (String, String, String) = (row.get(0), row.get(1), row.get(2));
        assert!(!second_spelling(&name), "{of}.{name}");
        if ["organization_id", "team_id"].contains(&name.as_str()) && !kind.is_empty() {
            assert_eq!(kind, "uuid", "{of}.{name}");
            seen += 1;
        }
    }
    assert!(seen > 20);
    // Nothing can map one id to another: no table has two columns of an organization.
    let sql = "select k.conrelid::regclass::text from pg_constraint k \
        where k.contype = 'f' and k.confrelid = 'tollgate.organizations'::regclass \
          and (select attname from pg_attribute where attrelid = k.conrelid and attnum = k.conkey[1]) <> 'organization_id'";
    assert!(client.query(sql, &[]).await.unwrap().is_empty());
}
